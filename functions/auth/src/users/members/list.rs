//! `GET /v1/users`: the tenant's members.

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::IntoParams;

use crate::app::Core;
use crate::membership::{MemberStatus, RoleName};
use crate::store::MemberFilter;
use crate::view::MemberView;

/// Which members.
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
    /// Only members with this status.
    #[param(inline)]
    status: Option<MemberStatus>,
    /// Only members who have this role.
    #[param(inline)]
    role: Option<RoleName>,
}

/// The tenant's members.
///
/// By id, which is by the time of their sign-up. Who signed up is a member once their address is proved.
/// With a filter a page can be short and still have a next one.
#[utoipa::path(
    get, path = "/v1/users", operation_id = "list_users", tag = "users",
    params(Parameters),
    responses(
        (status = 200, description = "A page of members", body = Page<MemberView>, headers(("Link" = String)), example = json!({
            "data": [{
                "id": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "email": "ann@example.com", "name": "Ann", "roles": ["member"],
                "status": "active", "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(core): State<Core>,
    caller: Caller<permission::ManageUsers>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<MemberView>, Problem> {
    let keyset = core.keyset(&caller.tenant, &uri, parameters.cursor.as_deref(), parameters.limit).await?;
    let filter = MemberFilter { status: parameters.status, role: parameters.role };
    let page = core.accounts.member_page(&caller.tenant, &filter, &keyset).await?;
    core.cursors.page(&caller.tenant, &uri, page.rows.iter().map(MemberView::of).collect(), page.next).await
}
