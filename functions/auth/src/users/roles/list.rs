//! `GET /v1/roles`: the roles that members can have.

use axum::extract::State;
use http::Uri;
use shared::http::{Document, Page, Problem};
use shared::identity::{Caller, Role, permission};

use crate::app::Core;
use crate::view::RoleView;

/// The roles of the tenant.
///
/// The four built-in ones, the widest first, then the tenant's own by name. There are 54 at most, so that the list has one
/// page.
#[utoipa::path(
    get, path = "/v1/roles", operation_id = "list_roles", tag = "roles",
    responses(
        (status = 200, description = "The roles", body = Page<RoleView>, example = json!({
            "data": [{
                "name": "support", "description": "Answers customers", "permissions": ["links:read", "users:manage"],
                "built_in": false, "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(core): State<Core>,
    caller: Caller<permission::ManageRoles>,
    uri: Uri,
) -> Result<Page<RoleView>, Problem> {
    let mut roles = Role::ALL.map(RoleView::built_in).to_vec();
    roles.extend(core.accounts.roles(&caller.tenant).await?.iter().map(RoleView::of));
    Ok(Page::new(&uri, roles, None))
}
