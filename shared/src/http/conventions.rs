//! What surrounds every handler: request id, trace, CORS, the time-out, panics, problem documents, security headers,
//! and one log line.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use tower::ServiceExt as _;

use super::origins::Origins;
use super::problem::{Problem, ProblemType};
use super::versions::Version;
use super::versions::serve::Versions;
use crate::aws::Usage;
use crate::identity::Principal;
use crate::lambda::Runtime;
use crate::random::Random;
use crate::telemetry::{TRACEPARENT, TraceContext};
use crate::time::Clock;
use crate::{aws, id};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Kept back from the function's time, so that a time-out is answered by us and not by the platform.
const TIMEOUT_MARGIN: Duration = Duration::from_millis(500);

/// What is known of the invocation that carries a request.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Whether it is the instance's first.
    pub cold_start: bool,
    /// How long the function may run.
    pub remaining: Duration,
}

/// What a request carries from the outermost layer to its handler and to the log. An extension of each request.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The client's `X-Request-Id` or a new one.
    pub request_id: Arc<str>,
    /// The caller's trace or a new one, with a span of our own.
    pub trace: TraceContext,
    /// Who calls; set by the extractor that verified the credential.
    caller: Arc<OnceLock<LoggedCaller>>,
    route: Arc<OnceLock<MatchedPath>>,
    version: Arc<OnceLock<Version>>,
}

#[derive(Debug)]
struct LoggedCaller {
    tenant: id::TenantId,
    subject: String,
    kind: &'static str,
}

impl RequestContext {
    /// Names the caller: for the log line, and for what is counted for each client.
    pub(crate) fn note_caller(&self, principal: &Principal) {
        let (tenant, subject, kind) = (principal.tenant, principal.subject.clone(), principal.kind.as_str());
        let _ = self.caller.set(LoggedCaller { tenant, subject, kind });
    }

    /// The caller, once it is known: the tenant, who it is, and what kind of caller that is.
    pub(crate) fn caller(&self) -> Option<(id::TenantId, String, &'static str)> {
        let caller = self.caller.get()?;
        Some((caller.tenant, caller.subject.clone(), caller.kind))
    }

    /// Says which version of the API was asked for.
    pub(crate) fn note_version(&self, version: Version) {
        let _ = self.version.set(version);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let context = parts.extensions.get().cloned();
        context.ok_or_else(|| Problem::internal("the router is not within the conventions"))
    }
}

/// The kind of a request's id.
enum RequestKind {}
impl id::Kind for RequestKind {
    const PREFIX: &'static str = "req";
}

/// A router within the conventions.
pub struct Conventions {
    router: Router,
    /// For a router that has routes of several versions.
    versions: Option<Versions>,
    function: &'static str,
    /// `STAGE`: the deployment's name, for the log.
    stage: String,
    clock: Clock,
    random: Random,
    /// `CORS_ORIGINS`: the origins, separated by commas, whose pages may call the API.
    allowed_origins: Origins,
}

impl Conventions {
    /// Wraps `router` (which has at least one route).
    pub fn new(runtime: &Runtime, router: Router) -> Self {
        // The refusal of a method comes before the layer, so that its route is noted too.
        let router = router
            .method_not_allowed_fallback(async || Problem::new(ProblemType::MethodNotAllowed, "see the Allow header"))
            .route_layer(from_fn(note_route))
            .fallback(async || Problem::new(ProblemType::NotFound, "there is no such route"));
        let mut reader = runtime.environment.reader();
        let allowed_origins = reader.optional("CORS_ORIGINS").unwrap_or_default();
        reader.leave();
        Self {
            router,
            versions: None,
            function: runtime.name,
            stage: runtime.environment.get("STAGE").unwrap_or_default().to_owned(),
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
            allowed_origins,
        }
    }

    /// The same, with the older versions of its routes.
    pub(crate) fn with_versions(self, versions: Versions) -> Self {
        Self { versions: Some(versions), ..self }
    }

    /// Answers one request. It never fails: a panic is a problem as well.
    pub async fn call<B>(&self, request: http::Request<B>, invocation: Invocation) -> Response
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let started = Instant::now();
        let mut request = request.map(Body::new);
        let context = self.context(request.headers());
        let line = Line {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            origin: request.headers().get(header::ORIGIN).cloned(),
            context: context.clone(),
            usage: Arc::default(),
        };
        request.extensions_mut().insert(context);

        let preflight = self.preflight(&request);
        let mut response = match preflight {
            Some(response) => response,
            None => self.answer(request, &invocation, &line).await,
        };
        let problem = response.extensions_mut().remove::<Arc<Problem>>();
        if let Some(problem) = &problem {
            write_document(&mut response, problem, &line);
        }
        self.finish(&mut response, &line);
        self.log(&line, &response, problem.as_deref(), &invocation, started.elapsed());
        response
    }

    fn context(&self, headers: &HeaderMap) -> RequestContext {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let usable = |text: &&str| {
            (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        };
        let request_id = match given.filter(usable) {
            Some(given) => given.into(),
            None => id::Id::<RequestKind>::new(self.clock.now(), &self.random).to_string().into(),
        };
        let traceparent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        RequestContext {
            request_id,
            trace: TraceContext::continue_or_start(traceparent, &self.random),
            caller: Arc::default(),
            route: Arc::default(),
            version: Arc::default(),
        }
    }

    async fn answer(&self, request: Request, invocation: &Invocation, line: &Line) -> Response {
        let work = line.context.trace.scope(aws::count(line.usage.clone(), self.route(request)));
        let budget = invocation.remaining.saturating_sub(TIMEOUT_MARGIN);
        match tokio::time::timeout(budget, AssertUnwindSafe(work).catch_unwind()).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => {
                let message = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                Problem::internal(format!("the handler panicked: {message}")).into_response()
            }
            Err(_) => Problem::new(ProblemType::Timeout, "the work did not end in time; it may still take effect")
                .into_response(),
        }
    }

    async fn route(&self, request: Request) -> Response {
        let router = self.router.clone();
        match &self.versions {
            // Boxed, so that the functions without versions do not carry its state.
            Some(versions) => Box::pin(versions.call(request, router)).await,
            None => routed(router, request).await,
        }
    }

    /// The answer to a CORS preflight (<https://fetch.spec.whatwg.org/#cors-preflight-fetch>).
    fn preflight(&self, request: &Request) -> Option<Response> {
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        if request.method() != Method::OPTIONS || !self.allows(request.headers().get(header::ORIGIN)) {
            return None;
        }
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
        if let Some(names) = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(response)
    }

    fn allows(&self, origin: Option<&HeaderValue>) -> bool {
        origin.is_some_and(|origin| self.allowed_origins.contains(origin))
    }

    /// The headers that every answer has.
    fn finish(&self, response: &mut Response, line: &Line) {
        let has_no_body = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let headers = response.headers_mut();
        if has_no_body {
            // Not allowed here, or that of the 200 (RFC 9110, section 8.6).
            headers.remove(header::CONTENT_LENGTH);
        }
        if let Ok(id) = HeaderValue::from_str(&line.context.request_id) {
            headers.insert(REQUEST_ID, id);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers
            .insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if !self.allowed_origins.is_empty() {
            vary_by_origin(headers);
        }
        if let Some(origin) = line.origin.as_ref().filter(|origin| self.allows(Some(origin))) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(
                    "Deprecation, ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, Sunset, \
                     X-Request-Id",
                ),
            );
        }
    }

    #[allow(clippy::cast_possible_truncation)] // a duration in microseconds fits
    fn log(
        &self,
        line: &Line,
        response: &Response,
        problem: Option<&Problem>,
        invocation: &Invocation,
        took: Duration,
    ) {
        let caller = line.context.caller.get();
        let status = response.status();
        let error = problem.filter(|_| status.is_server_error()).map(|problem| crate::telemetry::chain(problem));
        tracing::info!(
            function = self.function,
            stage = self.stage,
            method = %line.method,
            route = line.context.route.get().map_or("(none)", MatchedPath::as_str),
            status = status.as_u16(),
            duration_us = took.as_micros() as u64,
            version = line.context.version.get().map(|version| version.as_str()),
            tenant = caller.map(|caller| caller.tenant.to_string()),
            caller = caller.map(|caller| caller.kind),
            request_id = &*line.context.request_id,
            trace_id = line.context.trace.trace_id(),
            span_id = line.context.trace.span_id(),
            cold_start = invocation.cold_start,
            aws_calls = line.usage.calls(),
            read_units = line.usage.read_units(),
            write_units = line.usage.write_units(),
            problem = problem.map(|problem| problem.kind().slug()),
            error,
            "request"
        );
    }
}

/// What is kept of a request for the end.
struct Line {
    method: Method,
    path: String,
    origin: Option<HeaderValue>,
    context: RequestContext,
    usage: Arc<Usage>,
}

/// Adds `Origin` to `Vary`, in one line: an answer to API Gateway holds one value of each header.
fn vary_by_origin(headers: &mut HeaderMap) {
    let others: Vec<_> = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok()).collect();
    let all = if others.is_empty() { "Origin".to_owned() } else { format!("{}, Origin", others.join(", ")) };
    if let Ok(all) = HeaderValue::try_from(all) {
        headers.insert(header::VARY, all);
    }
}

/// The answer of a router, which never fails.
pub(super) async fn routed(router: Router, request: Request) -> Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn note_route(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    if let (Some(context), Some(path)) = (extensions.get::<RequestContext>(), extensions.get::<MatchedPath>()) {
        let _ = context.route.set(path.clone());
    }
    next.run(request).await
}

/// Writes the problem document, which needs the path and the request id.
fn write_document(response: &mut Response, problem: &Problem, line: &Line) {
    let document = problem.document(&line.path, &line.context.request_id);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    // Whatever it asks for (RFC 9110, section 15.5.2).
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    if line.method != Method::HEAD {
        *response.body_mut() = Body::from(serde_json::to_vec(&document).unwrap_or_default());
    }
}
