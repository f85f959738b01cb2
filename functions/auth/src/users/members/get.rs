//! `GET /v1/users/{id}`: one member.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::Core;
use crate::user::UserId;
use crate::view::MemberView;

/// See a member.
#[utoipa::path(
    get, path = "/v1/users/{id}", operation_id = "get_user", tag = "users",
    params(("id" = String, Path, example = "user_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The member", body = MemberView, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "not-found: the tenant has no such member", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(core): State<Core>,
    caller: Caller<permission::ManageUsers>,
    Path(id): Path<UserId>,
    conditions: Preconditions,
) -> Result<Tagged<MemberView>, Problem> {
    let member = core.member(&caller.tenant, &id).await?;
    Ok(Tagged::unless_known(&conditions, MemberView::etag(&member), MemberView::of(&member)))
}
