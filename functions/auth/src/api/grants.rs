//! `GET /v1/auth/grants`, `DELETE /v1/auth/grants/{id}`: the applications that a user let in.

use axum::extract::State;
use http::Uri;
use serde::{Deserialize, Serialize};
use shared::http::{Document, Limit, NoContent, Page, Path, Problem, Query};
use shared::id::TenantId;
use shared::identity::{Caller, permission};
use shared::time::Timestamp;
use utoipa::{IntoParams, ToSchema};

use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::oauth::client::ClientId;
use crate::oauth::grant::Grant;
use crate::users::race::{Failure, race};

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantParameters {
    /// Rows in a page, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// An application that the user let in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Grant, example = json!({
    "client_id": "client_01k9z4n2y6e0qv3m8t5w7x9abc", "client_name": "Report Maker",
    "tenant_id": "tenant_01k9z4n2y6e0qv3m8t5w7x9abc", "scopes": ["links:read"],
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
}))]
pub struct GrantView {
    /// The application's OAuth client: the id of the grant.
    pub client_id: String,
    /// What it was called when the user last agreed.
    pub client_name: String,
    /// The tenant in which it acts.
    #[schema(value_type = String)]
    pub tenant_id: TenantId,
    /// All that the user agreed to.
    pub scopes: Vec<String>,
    /// When the user first agreed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When the user last agreed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub updated_at: Timestamp,
}

impl GrantView {
    fn of(grant: &Grant) -> Self {
        Self {
            client_id: grant.client_id.to_string(),
            client_name: grant.name.to_string(),
            tenant_id: grant.tenant_id,
            scopes: grant.scopes.iter().map(str::to_owned).collect(),
            created_at: grant.created_at,
            updated_at: grant.updated_at,
        }
    }
}

/// The applications that the user let in, in whichever tenant, the one that was registered first before others.
#[utoipa::path(
    get, path = "/v1/auth/grants", operation_id = "list_grants", tag = "auth",
    params(GrantParameters),
    responses(
        (status = 200, description = "A page of grants", body = Page<GrantView>, headers(("Link" = String))),
        (status = 400, description = "invalid-cursor", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadAccount>,
    uri: Uri,
    Query(parameters): Query<GrantParameters>,
) -> Result<Page<GrantView>, Problem> {
    let user = person(&caller)?;
    let keyset = app.keyset(&caller.tenant, &uri, parameters.cursor.as_deref(), parameters.limit).await?;
    let page = app.accounts.grants(&user, &keyset).await?;
    app.cursors.page(&caller.tenant, &uri, page.rows.iter().map(GrantView::of).collect(), page.next).await
}

/// End an application's access.
///
/// Its refresh tokens are good for nothing from now on, and its access tokens are refused everywhere within 30 seconds. It has
/// to ask the user again.
#[utoipa::path(
    delete, path = "/v1/auth/grants/{id}", operation_id = "delete_grant", tag = "auth",
    params(("id" = String, Path, description = "The application's `client_id`", example = "client_01k9z4n2y6e0qv3m8t5w7x9abc")),
    responses(
        (status = 204, description = "Its access is over"),
        (status = 404, description = "not-found: the user let no such application in", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    origin: Origin,
    Path(id): Path<ClientId>,
) -> Result<NoContent, Problem> {
    let user = person(&caller)?;
    race(&app.random, || async {
        let now = app.clock.now();
        let grant = app.accounts.grant(&user, &id).await?.ok_or_else(Problem::not_found)?;
        let action = Action::ConsentWithdrawn;
        let record = origin.record(grant.tenant_id, action, user, now, &app.random).on(id);
        let sessions = app.accounts.application_ended(&user, &id, now).await?;
        let mut writes = vec![app.accounts.grant_deletion(&grant), app.accounts.audit_write(&record)?];
        writes.extend(sessions);
        // A session that is begun meanwhile changes the grant, so that this is tried again.
        app.accounts.transact(writes).await?;
        Ok::<_, Failure>(NoContent)
    })
    .await
}
