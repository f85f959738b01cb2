//! `GET /v1/roles/{name}`: one role.

use axum::extract::State;
use shared::http::{Document, ETag, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::Core;
use crate::membership::RoleName;
use crate::view::RoleView;

/// See a role.
#[utoipa::path(
    get, path = "/v1/roles/{name}", operation_id = "get_role", tag = "roles",
    params(("name" = String, Path, example = "support"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The role", body = RoleView, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "not-found: the tenant has no such role", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(core): State<Core>,
    caller: Caller<permission::ManageRoles>,
    Path(name): Path<RoleName>,
    conditions: Preconditions,
) -> Result<Tagged<RoleView>, Problem> {
    if let Some(role) = name.built_in() {
        let view = RoleView::built_in(role);
        // It changes with a release that has other permissions.
        let etag = ETag::of_bytes(&serde_json::to_vec(&view).map_err(Problem::internal)?);
        return Ok(Tagged::unless_known(&conditions, etag, view));
    }
    let role = core.accounts.role(&caller.tenant, &name).await?.ok_or_else(Problem::not_found)?;
    Ok(Tagged::unless_known(&conditions, RoleView::etag(&role), RoleView::of(&role)))
}
