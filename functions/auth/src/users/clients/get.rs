//! `GET /v1/oauth-clients/{id}`: one client.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use super::view::ClientView;
use crate::app::Core;
use crate::oauth::client::ClientId;

/// See an OAuth client.
#[utoipa::path(
    get, path = "/v1/oauth-clients/{id}", operation_id = "get_oauth_client", tag = "oauth-clients",
    params(("id" = String, Path, example = "client_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The client", body = ClientView, headers(("ETag" = String))),
        (status = 304, description = "The caller has it"),
        (status = 404, description = "not-found: the tenant has no such client", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(core): State<Core>,
    caller: Caller<permission::ManageClients>,
    Path(id): Path<ClientId>,
    conditions: Preconditions,
) -> Result<Tagged<ClientView>, Problem> {
    let client = core.client(&caller.tenant, &id).await?;
    Ok(Tagged::unless_known(&conditions, ClientView::etag(&client), ClientView::of(&client)))
}
