//! `DELETE /v1/users/{id}/sessions`: sign a member out.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Problem};
use shared::identity::{Sensitive, permission};

use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::user::UserId;
use crate::users::authority::check_ownership;

/// Sessions that are ended in one transaction: three writes each.
const TRANSACTION: usize = 30;

/// Sign a member out of the tenant.
///
/// Ends the member's sessions that name this tenant; their access tokens are refused within 30 seconds. Sessions of other
/// tenants go on. Only an owner does it to an owner. It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    delete, path = "/v1/users/{id}/sessions", operation_id = "end_user_sessions", tag = "users",
    params(("id" = String, Path, example = "user_01k9z4n2y6e0qv3m8t5w7x9abc")),
    responses(
        (status = 204, description = "The sessions are over"),
        (status = 403, description = "forbidden: the member is an owner, and the caller is not", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the tenant has no such member", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn end_sessions(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageUsers>,
    origin: Origin,
    Path(id): Path<UserId>,
) -> Result<NoContent, Problem> {
    let now = core.clock.now();
    let member = core.member(&caller.tenant, &id).await?;
    check_ownership(&caller, &[&member])?;
    let mut count = 0;
    // An application may be let in by one of these sessions after they were read: it is there at the second look.
    for _ in 0..2 {
        let mut sessions = core.accounts.sessions(&id, now).await?;
        sessions.retain(|session| session.tenant_id == caller.tenant);
        for some in sessions.chunks(TRANSACTION) {
            let writes = some.iter().flat_map(|session| core.accounts.session_ended(&id, &session.id, now)).collect();
            core.accounts.transact(writes).await?;
        }
        count += sessions.len();
    }
    let record = origin.by(&caller, Action::SessionRevoked, now, &core.random).on(id);
    let mut writes = core.member_revoked(&member, now);
    writes.push(core.accounts.audit_write(&record.with(format!("{count} sessions")))?);
    core.accounts.transact(writes).await?;
    Ok(NoContent)
}
