//! `platform.openapi`: `GET /openapi/v1.json`, the description of the API.
//!
//! The document is generated from the code of all services, committed, and compared with the code by the tests; it is
//! compiled in, so serving it calls nothing.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use http::StatusCode;
use shared::http::{ETag, Preconditions};
use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};

/// The document of version 1.
pub const V1: &str = include_str!("../../../docs/openapi/v1.json");

static V1_TAG: LazyLock<ETag> = LazyLock::new(|| ETag::of_bytes(V1.as_bytes()));

/// Builds the function. It reads no variable of its own.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move { Ok(Function::http(&runtime, router())) })
}

/// The routes.
pub fn router() -> Router {
    Router::new().route("/openapi/v1.json", get(v1))
}

/// The document, or 304 when the client has it.
async fn v1(conditions: Preconditions) -> Response {
    let headers = [
        (ETAG, V1_TAG.header()),
        // It changes with a release only, and nobody's data are in it.
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    if conditions.not_modified(&V1_TAG) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], V1).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_openapi() {
        let document: serde_json::Value = serde_json::from_str(V1).unwrap_or_default();
        assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
        assert!(document["paths"].is_object());
    }
}
