//! `GET /openapi/v1.json` and `/openapi/v2.json`: the description of the API in each of its versions.
//!
//! The documents are generated from the code of all services, committed, and compared with the code by the tests.

use std::sync::LazyLock;

use axum::response::Response;
use shared::http::{Document, ETag, Preconditions};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The document of version 1.
pub const V1: &str = include_str!("../../../../docs/openapi/v1.json");

/// The document of version 2.
pub const V2: &str = include_str!("../../../../docs/openapi/v2.json");

static V1_TAG: LazyLock<ETag> = LazyLock::new(|| ETag::of_bytes(V1.as_bytes()));
static V2_TAG: LazyLock<ETag> = LazyLock::new(|| ETag::of_bytes(V2.as_bytes()));

/// The documented routes.
pub(super) fn endpoints() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(v1)).routes(routes!(v2))
}

/// Describe version 1 of the API.
///
/// An OpenAPI 3.1 document: the routes of version 1, and those that have no other version.
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
    super::answer(&conditions, &V1_TAG, "application/json", V1)
}

/// Describe version 2 of the API.
///
/// An OpenAPI 3.1 document: the routes of version 2, and those that have no other version.
#[utoipa::path(
    get, path = "/openapi/v2.json", operation_id = "openapi_v2", tag = "openapi",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The document", body = serde_json::Value, headers(("ETag" = String)), example = json!({"openapi": "3.1.0", "info": {"title": "Tenfold", "version": "2"}})),
        (status = 304, description = "The client has it"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn v2(conditions: Preconditions) -> Response {
    super::answer(&conditions, &V2_TAG, "application/json", V2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_openapi() {
        for document in [V1, V2] {
            let document: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
            assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
            assert!(document["paths"].is_object());
        }
    }
}
