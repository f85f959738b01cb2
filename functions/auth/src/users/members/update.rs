//! `PATCH /v1/users/{id}`: roles, and keeping a member out.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::events::Event;
use shared::events::identity::MemberChanged;
use shared::http::{Document, FieldError, MergePatch, Path, Preconditions, Problem, Tagged};
use shared::identity::{Principal, Sensitive, permission, revocation};
use shared::refusal::Refusal;
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::app::Core;
use crate::audit::{Action, AuditRecord, Origin};
use crate::membership::{CustomRole, MOST_ROLES, MemberStatus, Membership, RoleName};
use crate::store::MemberChange;
use crate::user::UserId;
use crate::users::authority::{check_ownership, check_role, given};
use crate::users::race::{Failure, race};
use crate::view::MemberView;

/// What an administrator changes of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberEdit {
    /// 1 to 10 names of roles, built-in ones and the tenant's own.
    #[schema(example = json!(["member"]))]
    roles: Vec<RoleName>,
    /// `suspended` keeps the member out of the tenant, `active` lets them in again.
    status: MemberStatus,
}

/// Change a member's roles, or suspend them.
///
/// A JSON Merge Patch. Nobody gives a role that grants more than they may do themselves, and only an owner makes, changes or
/// removes an owner; an API key counts as an administrator at most. The tenant keeps one owner who is not suspended. The
/// member's access tokens are refused within 30 seconds, and at once where it matters most: a client refreshes them and has
/// the new roles; a suspended member's are not refreshed. API keys that the member made belong to the tenant and stay. It
/// needs a sign-in within the last 15 minutes.
#[utoipa::path(
    patch, path = "/v1/users/{id}", operation_id = "update_user", tag = "users",
    params(("id" = String, Path, example = "user_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = MemberEdit, content_type = "application/merge-patch+json", example = json!({"roles": ["admin"]})),
    responses(
        (status = 200, description = "The member after the change", body = MemberView, headers(("ETag" = String))),
        (status = 403, description = "forbidden: the role grants more than the caller may do, or the member is an owner", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the tenant has no such member", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "last-owner", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageUsers>,
    origin: Origin,
    Path(id): Path<UserId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<MemberView>, Problem> {
    let request = Request { core: &core, caller: &caller, origin: &origin, id, conditions: &conditions, patch: &patch };
    race(&core.random, || request.once()).await
}

/// One request to change a member.
struct Request<'a> {
    core: &'a Core,
    caller: &'a Principal,
    origin: &'a Origin,
    id: UserId,
    conditions: &'a Preconditions,
    patch: &'a MergePatch,
}

impl Request<'_> {
    /// Reads, changes and writes.
    async fn once(&self) -> Result<Tagged<MemberView>, Failure> {
        let core = self.core;
        let before = core.member(&self.caller.tenant, &self.id).await?;
        let now = revocation::after(before.last_changed_at(), core.clock.now());
        self.conditions.check(&MemberView::etag(&before))?;
        let after = self.edited(&before, now)?;
        if after.roles == before.roles && after.status == before.status {
            return Ok(Tagged::new(MemberView::etag(&before), MemberView::of(&before)));
        }
        check_ownership(self.caller, &[&before, &after])?;
        let given = self.given_roles(&before, &after).await?;

        let data = MemberChanged {
            user_id: after.user_id.to_string(),
            roles: after.roles.iter().map(ToString::to_string).collect(),
            suspended: !after.is_active(),
        };
        let event = Event::new(after.tenant_id, after.user_id, data, now, &core.random);
        let outbox = Some(event.outbox().map_err(Problem::internal)?);
        let change = MemberChange { before: &before, after: Some(&after), outbox };
        let mut writes = core.accounts.member_changed(change)?;
        writes.extend(given.iter().map(|role| core.accounts.role_given(role)));
        writes.extend(core.member_revoked(&before, now));
        for record in self.records(&before, &after, now) {
            writes.push(core.accounts.audit_write(&record)?);
        }
        core.write_member(&before, writes).await?;
        Ok(Tagged::new(MemberView::etag(&after), MemberView::of(&after)))
    }

    fn edited(&self, before: &Membership, now: Timestamp) -> Result<Membership, Problem> {
        let current = MemberEdit { roles: before.roles.clone(), status: before.status };
        let mut edit: MemberEdit = self.patch.apply(&current)?;
        if !(1..=MOST_ROLES).contains(&edit.roles.len()) {
            let refusal = Refusal::new("invalid_length", format!("must have 1 to {MOST_ROLES} roles"));
            return Err(refusal.at("/roles").into());
        }
        let mut seen = Vec::new();
        edit.roles.retain(|role| {
            let is_new = !seen.contains(role);
            seen.push(role.clone());
            is_new
        });
        Ok(Membership {
            roles: edit.roles,
            status: edit.status,
            updated_at: now,
            access_changed_at: None,
            revision: before.revision + 1,
            ..before.clone()
        })
    }

    /// The tenant's own roles among those that are given, all of which exist and are not too wide.
    async fn given_roles(&self, before: &Membership, after: &Membership) -> Result<Vec<CustomRole>, Problem> {
        let mut given_roles = Vec::new();
        for name in given(before, after) {
            let custom = match name.built_in() {
                Some(_) => None,
                None => self.core.accounts.role(&after.tenant_id, name).await?,
            };
            if name.built_in().is_none() && custom.is_none() {
                let index = after.roles.iter().position(|role| role == name).unwrap_or_default();
                let error = FieldError::new(format!("/roles/{index}"), "unknown_role", "is no role of the tenant");
                return Err(Problem::validation(vec![error]));
            }
            check_role(self.caller, name, custom.as_ref())?;
            given_roles.extend(custom);
        }
        Ok(given_roles)
    }

    fn records(&self, before: &Membership, after: &Membership, now: Timestamp) -> Vec<AuditRecord> {
        let record = |action| self.origin.by(self.caller, action, now, &self.core.random).on(after.user_id);
        let mut records = Vec::new();
        if before.roles != after.roles {
            let change = format!("{} → {}", names(&before.roles), names(&after.roles));
            records.push(record(Action::RolesChanged).with(change));
        }
        match (before.status, after.status) {
            (MemberStatus::Active, MemberStatus::Suspended) => records.push(record(Action::MemberSuspended)),
            (MemberStatus::Suspended, MemberStatus::Active) => records.push(record(Action::MemberReinstated)),
            _ => {}
        }
        records
    }
}

fn names(roles: &[RoleName]) -> String {
    roles.iter().map(RoleName::as_str).collect::<Vec<_>>().join(" ")
}
