//! `GET /v1/api-keys/{id}`: one key.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::api_key::ApiKeyId;
use shared::identity::{Caller, permission};

use super::view::ApiKeyView;
use crate::app::Core;

/// See an API key.
///
/// What it may do and how it is used, never the key itself.
#[utoipa::path(
    get, path = "/v1/api-keys/{id}", operation_id = "get_api_key", tag = "api-keys",
    params(("id" = String, Path, example = "key_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The key", body = ApiKeyView, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "not-found: the tenant has no such key", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(core): State<Core>,
    caller: Caller<permission::ReadApiKeys>,
    Path(id): Path<ApiKeyId>,
    conditions: Preconditions,
) -> Result<Tagged<ApiKeyView>, Problem> {
    let found = core.key(&caller.tenant, &id).await?;
    let (etag, view) = core.key_view(&found.listed, found.record.as_ref())?;
    Ok(Tagged::unless_known(&conditions, etag, view))
}
