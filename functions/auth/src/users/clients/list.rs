//! `GET /v1/oauth-clients`: the tenant's clients.

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::IntoParams;

use super::view::ClientView;
use crate::app::Core;

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// Rows in a page, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The OAuth clients of the tenant, the oldest first.
#[utoipa::path(
    get, path = "/v1/oauth-clients", operation_id = "list_oauth_clients", tag = "oauth-clients",
    params(Parameters),
    responses(
        (status = 200, description = "A page of clients", body = Page<ClientView>, headers(("Link" = String))),
        (status = 400, description = "invalid-cursor", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(core): State<Core>,
    caller: Caller<permission::ManageClients>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<ClientView>, Problem> {
    let cursor = parameters.cursor.as_deref();
    let keyset = core.keyset(&caller.tenant, &uri, cursor, parameters.limit).await?;
    let page = core.accounts.clients(&caller.tenant, &keyset).await?;
    core.cursors.page(&caller.tenant, &uri, page.rows.iter().map(ClientView::of).collect(), page.next).await
}
