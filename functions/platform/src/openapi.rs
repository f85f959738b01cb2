//! `platform.openapi`: `GET /openapi/v1.json`, the description of the API.
//!
//! The document is generated from the code of all services, committed, and compared with the code by the tests; it is
//! compiled in, so serving it calls nothing.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use shared::http::{Document, ETag, Preconditions};
use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The document of version 1.
pub const V1: &str = include_str!("../../../docs/openapi/v1.json");

static V1_TAG: LazyLock<ETag> = LazyLock::new(|| ETag::of_bytes(V1.as_bytes()));

/// Builds the function. It reads no variable of its own.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move { Ok(Function::http(&runtime, router())) })
}

/// The routes.
pub fn router() -> Router {
    endpoints().split_for_parts().0
}

/// The description of the routes.
pub fn description() -> utoipa::openapi::OpenApi {
    endpoints().into_openapi()
}

fn endpoints() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(v1))
}

/// Describe the API.
///
/// This document: OpenAPI 3.1.
#[utoipa::path(
    get, path = "/openapi/v1.json", operation_id = "openapi_v1", tag = "openapi",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The document", body = serde_json::Value, headers(("ETag" = String)), example = json!({"openapi": "3.1.0", "info": {"title": "Tenfold", "version": "1"}})),
        (status = 304, description = "The client has it"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
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
