//! `DELETE /v1/users/{id}`: remove a member from the tenant.

use axum::extract::State;
use shared::events::Event;
use shared::events::identity::MemberRemoved;
use shared::http::{Document, NoContent, Path, Preconditions, Problem};
use shared::identity::{Principal, Sensitive, permission, revocation};

use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::store::MemberChange;
use crate::user::UserId;
use crate::users::authority::check_ownership;
use crate::users::race::{Failure, race};
use crate::view::MemberView;

/// Remove a member.
///
/// The membership ends, the account stays: it may belong to other tenants. The member's access tokens of this tenant are
/// refused within 30 seconds, and are not refreshed. Only an owner removes an owner, and the last owner who is not suspended
/// stays. API keys that the member made belong to the tenant and stay. It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    delete, path = "/v1/users/{id}", operation_id = "remove_user", tag = "users",
    params(("id" = String, Path, example = "user_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "The user is no member any more"),
        (status = 403, description = "forbidden: the member is an owner, and the caller is not", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the tenant has no such member", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "last-owner", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn remove(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageUsers>,
    origin: Origin,
    Path(id): Path<UserId>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    race(&core.random, || core.remove_member(&caller, &origin, &id, &conditions)).await
}

impl Core {
    async fn remove_member(
        &self,
        caller: &Principal,
        origin: &Origin,
        id: &UserId,
        conditions: &Preconditions,
    ) -> Result<NoContent, Failure> {
        let member = self.member(&caller.tenant, id).await?;
        let now = revocation::after(member.last_changed_at(), self.clock.now());
        conditions.check(&MemberView::etag(&member))?;
        check_ownership(caller, &[&member])?;
        let data = MemberRemoved { user_id: id.to_string() };
        let event = Event::new(member.tenant_id, id, data, now, &self.random);
        let outbox = event.outbox().map_err(Problem::internal)?;
        let record = origin.by(caller, Action::MemberRemoved, now, &self.random).on(id);
        let mut writes = self.accounts.member_changed(MemberChange { before: &member, after: None, outbox: None })?;
        writes.extend(self.member_revoked(&member, now));
        writes.push(self.accounts.audit_write_telling(&record, outbox)?);
        self.write_member(&member, writes).await?;
        Ok(NoContent)
    }
}
