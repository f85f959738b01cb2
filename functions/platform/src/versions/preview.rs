//! `POST /v1/versions/preview`: a request in both versions.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use shared::http::versions::preview::preview as carried;
use shared::http::{Document, FieldError, Json, Problem};
use utoipa::ToSchema;

use super::{App, DeprecationView};

/// What the API is asked by.
const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// A request as it is sent to version 1.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVersionPreview, example = json!({
    "method": "POST", "path": "/v1/notes", "body": {"title": "Groceries", "body": "- milk", "tags": "home"},
}))]
pub struct NewPreview {
    /// Its method.
    #[schema(example = "POST")]
    method: String,
    /// Its path and query.
    #[schema(example = "/v1/notes")]
    path: String,
    /// Its body.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    body: Option<Box<RawValue>>,
    /// The body of an answer of version 2 to it, to see it in version 1.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    answer: Option<Box<RawValue>>,
}

/// A request in both versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VersionPreview, example = json!({
    "request": {
        "v1": {"method": "POST", "path": "/v1/notes", "body": {"title": "Groceries", "body": "- milk", "tags": "home"}},
        "v2": {"method": "POST", "path": "/v2/notes", "body": {"title": "Groceries", "content": "- milk", "tags": ["home"]}},
        "differences": [{"op": "replace", "path": "/path", "value": "/v2/notes"}],
    },
    "answer": null,
    "deprecations": [{
        "name": "notes-v1", "version": "v1", "since": "2026-11-01T00:00:00.000Z", "sunset": "2027-12-01T00:00:00.000Z",
        "brown_outs": [], "instead": "use `/v2/notes`", "guide": "/changelog#notes-v1",
    }],
}))]
pub struct Preview {
    /// The request.
    request: Both,
    /// The answer, when one was sent along.
    answer: Option<Both>,
    /// What the request uses that is deprecated.
    deprecations: Vec<DeprecationView>,
}

/// The same thing in both versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InBothVersions)]
pub struct Both {
    /// In version 1.
    #[schema(value_type = Object)]
    v1: Box<RawValue>,
    /// In version 2.
    #[schema(value_type = Object)]
    v2: Box<RawValue>,
    /// What makes version 2 of version 1: a JSON Patch (RFC 6902).
    #[schema(value_type = Vec<Object>)]
    differences: json_patch::Patch,
}

impl Both {
    fn of(older: Box<RawValue>, newer: Box<RawValue>) -> Result<Self, serde_json::Error> {
        let (v1, v2): (Value, Value) = (serde_json::from_str(older.get())?, serde_json::from_str(newer.get())?);
        Ok(Self { differences: json_patch::diff(&v1, &v2), v1: older, v2: newer })
    }
}

/// A request, as it is shown.
#[derive(Serialize)]
struct Sent<'a> {
    method: &'a str,
    path: &'a str,
    body: Option<&'a RawValue>,
}

/// See a request in both versions.
///
/// Nothing is done: it is carried from version 1 to version 2 as the server carries it, and an answer back.
#[utoipa::path(
    post, path = "/v1/versions/preview", operation_id = "preview_version", tag = "versions",
    request_body = NewPreview,
    responses(
        (status = 200, description = "The request in both versions", body = Preview),
        (status = 422, description = "validation: also what version 1 would find wrong with the request, with pointers into its body", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn preview(
    axum::extract::State(app): axum::extract::State<App>,
    Json(new): Json<NewPreview>,
) -> Result<Json<Preview>, Problem> {
    let Some(method) = METHODS.into_iter().find(|method| *method == new.method.as_str()) else {
        let detail = "must be `GET`, `HEAD`, `POST`, `PUT`, `PATCH` or `DELETE`";
        return Err(Problem::validation(vec![FieldError::new("/method", "invalid", detail)]));
    };
    if new.answer.as_ref().is_some_and(|answer| !answer.get().starts_with('{')) {
        return Err(Problem::validation(vec![FieldError::new("/answer", "invalid_type", "must be a JSON object")]));
    }
    let done = carried(&method, &new.path, new.body.as_deref(), new.answer.as_deref(), app.clock.now())?;
    let request = |path: &str, body: Option<&RawValue>| to_raw_value(&Sent { method: &new.method, path, body });
    let both = || -> Result<Preview, serde_json::Error> {
        let answer = new.answer.clone().zip(done.answer).map(|(newer, older)| Both::of(older, newer)).transpose()?;
        let (older, newer) = (request(&new.path, new.body.as_deref())?, request(&done.path, done.body.as_deref())?);
        Ok(Preview {
            request: Both::of(older, newer)?,
            answer,
            deprecations: done.deprecations.into_iter().map(Into::into).collect(),
        })
    };
    both().map(Json).map_err(Problem::internal)
}
