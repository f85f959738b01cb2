//! How a request to an older version is served: up, through the code of the newest, and down.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LINK, LOCATION};
use http::request::Parts;
use http::{Extensions, Method, Uri};
use http_body_util::BodyExt as _;
use url::form_urlencoded;

use super::change::{Asked, Operation, Request};
use super::deprecation::{DEPRECATIONS, Deprecation, tell};
use super::members::Members;
use super::usage::Usage;
use super::{Family, Version};
use crate::config::ConfigError;
use crate::dynamo::Dynamo;
use crate::http::conventions::{RequestContext, routed};
use crate::http::extract::sends_json;
use crate::http::{Problem, ProblemType};
use crate::lambda::{Deferred, Runtime};
use crate::telemetry::chain;
use crate::time::{Clock, Timestamp};

/// Begins the cursors of version 1, so that none is taken for one of another version.
const CURSOR: &str = "v1.";

/// Serves all versions of the families that a router has the newest of.
#[derive(Debug)]
pub(crate) struct Versions {
    usage: Usage,
    clock: Clock,
    deferred: Deferred,
}

impl Versions {
    /// Reads `IDENTITY_TABLE`, where the use of what is deprecated is counted.
    pub(crate) fn new(runtime: &Runtime) -> Result<Self, ConfigError> {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("IDENTITY_TABLE");
        reader.finish()?;
        let usage = Usage::new(Dynamo::new(runtime.aws.dynamo.clone()), table);
        Ok(Self { usage, clock: runtime.clock.clone(), deferred: runtime.deferred.clone() })
    }

    /// Answers a request by `router`.
    pub(crate) async fn call(&self, request: http::Request<Body>, router: Router) -> Response {
        let path = request.uri().path().to_owned();
        let Some((family, version)) = Family::of_path(&path) else { return routed(router, request).await };
        let segments: Vec<_> = path.split('/').skip(2).collect();
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let operation = Operation { method: &method, segments: &segments };
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(version);
        let context = parts.extensions.get::<RequestContext>().cloned();
        if let Some(context) = &context {
            context.note_version(version);
        }

        let now = self.clock.now();
        let mut used: Vec<_> =
            DEPRECATIONS.iter().filter(|deprecation| deprecation.covers(version, &operation)).collect();
        let ended = used.iter().try_for_each(|deprecation| deprecation.check_route(now));
        let mut response = match (ended, version) {
            (Err(problem), _) => problem.into_response(),
            (Ok(()), Version::HEAD) => routed(router, http::Request::from_parts(parts, body)).await,
            (Ok(()), Version::V1) => {
                let carried = carry(family, operation, parts, body, router, &mut used, now).await;
                carried.unwrap_or_else(Problem::into_response)
            }
        };
        tell(response.headers_mut(), &used);
        if let Some(context) = context.filter(|_| !used.is_empty()) {
            self.count(&context, used, now).await;
        }
        response
    }

    /// Has the use counted when the answer is out, if it is known whose it was.
    async fn count(&self, context: &RequestContext, used: Vec<&'static Deprecation>, now: Timestamp) {
        let Some((tenant, client, kind)) = context.caller() else { return };
        let usage = self.usage.clone();
        let count = async move {
            if let Err(error) = usage.count(&tenant, &client, kind, &used, now).await {
                tracing::warn!(error = chain(&error), "the use of something deprecated was not counted");
            }
        };
        self.deferred.defer(Box::pin(count)).await;
    }
}

/// Answers a request of version 1.
async fn carry(
    family: &Family,
    operation: Operation<'_>,
    mut parts: Parts,
    body: Body,
    router: Router,
    used: &mut Vec<&'static Deprecation>,
    now: Timestamp,
) -> Result<Response, Problem> {
    if (family.is_new)(&operation) {
        return Err(Problem::new(ProblemType::NotFound, "this came with version v2, and v1 does not have it"));
    }
    let unread = |error| Problem::new(ProblemType::BadRequest, "the body could not be read").caused_by(error);
    let body = body.collect().await.map_err(unread)?.to_bytes();
    let asked_for = parts.uri.clone();
    let mut request = Request {
        operation,
        query: form_urlencoded::parse(asked_for.query().unwrap_or_default().as_bytes()).collect(),
        body: if sends_json(&parts.headers) { serde_json::from_slice(&body).ok() } else { None },
        extensions: Extensions::new(),
        faults: Vec::new(),
        uses: Vec::new(),
    };
    raise(family, &mut request, used, now)?;

    let Request { query, body: members, extensions, .. } = request;
    parts.uri = uri(&asked_for, &query)?;
    parts.headers.remove(CONTENT_LENGTH);
    // What a HEAD is told of an answer is told of it as it is carried down, so that has to be there.
    let is_head = parts.method == Method::HEAD;
    if is_head {
        parts.method = Method::GET;
    }
    parts.extensions.extend(extensions.clone());
    let body = match members {
        Some(members) => serde_json::to_vec(&members).map_err(Problem::internal)?.into(),
        None => body,
    };
    let response = routed(router, http::Request::from_parts(parts, body.into())).await;
    let mut response = lower(family, &Asked { operation, extensions: &extensions }, &asked_for, response).await?;
    if is_head {
        *response.body_mut() = Body::empty();
    }
    Ok(response)
}

/// Carries a request up, and notes what it uses that is deprecated.
pub(super) fn raise(
    family: &Family,
    request: &mut Request<'_>,
    used: &mut Vec<&'static Deprecation>,
    now: Timestamp,
) -> Result<(), Problem> {
    family.raise(request);
    for (name, pointer) in std::mem::take(&mut request.uses) {
        let Some(deprecation) = Deprecation::named(name) else { continue };
        request.faults.extend(deprecation.check_use(pointer, now));
        used.push(deprecation);
    }
    if !request.faults.is_empty() {
        return Err(Problem::validation(std::mem::take(&mut request.faults)));
    }
    for (_, cursor) in request.query.iter_mut().filter(|(name, _)| name == "cursor") {
        let own = cursor.strip_prefix(CURSOR).map(str::to_owned);
        let foreign =
            || Problem::new(ProblemType::InvalidCursor, "it is of another version: start again without a cursor");
        *cursor = own.ok_or_else(foreign)?.into();
    }
    Ok(())
}

/// The address of the same in version 2.
pub(super) fn uri(asked_for: &Uri, query: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<Uri, Problem> {
    let path = asked_for.path().replacen("/v1/", "/v2/", 1);
    let path = if query.is_empty() {
        path
    } else {
        format!("{path}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish())
    };
    path.parse().map_err(Problem::internal)
}

/// Carries an answer down.
async fn lower(
    family: &Family,
    asked: &Asked<'_>,
    asked_for: &Uri,
    mut response: Response,
) -> Result<Response, Problem> {
    if let Some(problem) = response.extensions_mut().get_mut::<Arc<Problem>>() {
        if let Some(problem) = Arc::get_mut(problem) {
            problem.move_pointers(|pointer| family.lower_pointer(pointer));
        }
        return Ok(response);
    }
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let own = location.filter(|location| Family::of_path(location).is_some());
    if let Some(own) = own.map(|location| location.replacen("/v2/", "/v1/", 1)) {
        response.headers_mut().insert(LOCATION, HeaderValue::try_from(own).map_err(Problem::internal)?);
    }
    if response.headers().get(CONTENT_TYPE).is_none_or(|kind| kind != "application/json") {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map_err(Problem::internal)?.to_bytes();
    let Ok(mut members) = serde_json::from_slice::<Members<'_>>(&body) else {
        return Ok(Response::from_parts(parts, body.into()));
    };
    if let Some(cursor) = members.read::<String>("next_cursor") {
        let cursor = format!("{CURSOR}{cursor}");
        parts.headers.insert(LINK, next_link(asked_for, &cursor)?);
        members.set("next_cursor", &cursor);
    }
    family.lower(asked, &mut members);
    let body = serde_json::to_vec(&members).map_err(Problem::internal)?;
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, body.into()))
}

/// The `Link` to the next page of what was asked for.
fn next_link(asked_for: &Uri, cursor: &str) -> Result<HeaderValue, Problem> {
    let query = form_urlencoded::parse(asked_for.query().unwrap_or_default().as_bytes());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query.filter(|(name, _)| name != "cursor"))
        .append_pair("cursor", cursor)
        .finish();
    HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", asked_for.path())).map_err(Problem::internal)
}
