//! `PATCH /v1/roles/{name}`: change what a role grants.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, Tagged};
use shared::identity::permission::ALL;
use shared::identity::{Principal, Revoked, Scopes, Sensitive, permission, revocation};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::kept_description;
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::membership::{CustomRole, Membership, RoleName};
use crate::store::{Write, WriteError};
use crate::users::authority::{check_permissions, known};
use crate::users::race::{Failure, race};
use crate::view::RoleView;

/// The most holders of a role whose tokens are ended one by one: two writes each, of the hundred of a transaction.
const MOST_HOLDERS: usize = 40;

/// What an administrator changes of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleEdit {
    /// What it is for: 1 to 200 characters, without blanks at its ends.
    description: Option<String>,
    /// What it grants: 1 to 50 names of permissions, `resource:*`, or `*`.
    #[schema(value_type = Vec<String>, example = json!(["links:read"]))]
    permissions: Scopes,
}

/// Change a role.
///
/// A JSON Merge Patch. What the role grants besides is in the tokens that are issued from now on. When something is taken
/// away, the access tokens of the members who have the role are refused within 30 seconds (of the whole tenant, when more than
/// 40 have it), and clients refresh theirs. A role gains nothing that the caller may not do. Its version changes also when it is given to a member. It needs a sign-in within the
/// last 15 minutes.
#[utoipa::path(
    patch, path = "/v1/roles/{name}", operation_id = "update_role", tag = "roles",
    params(("name" = String, Path, example = "support"), ("If-Match" = Option<String>, Header)),
    request_body(content = RoleEdit, content_type = "application/merge-patch+json", example = json!({"permissions": ["links:read"]})),
    responses(
        (status = 200, description = "The role after the change", body = RoleView, headers(("ETag" = String))),
        (status = 403, description = "forbidden: it would gain more than the caller may do", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the tenant has no such role", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it is built in", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageRoles>,
    origin: Origin,
    Path(name): Path<RoleName>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<RoleView>, Problem> {
    let request =
        Request { core: &core, caller: &caller, origin: &origin, name, conditions: &conditions, patch: &patch };
    race(&core.random, || request.once()).await
}

/// One request to change a role.
struct Request<'a> {
    core: &'a Core,
    caller: &'a Principal,
    origin: &'a Origin,
    name: RoleName,
    conditions: &'a Preconditions,
    patch: &'a MergePatch,
}

impl Request<'_> {
    /// Reads, changes and writes.
    async fn once(&self) -> Result<Tagged<RoleView>, Failure> {
        let (core, now) = (self.core, self.core.clock.now());
        let before = core.own_role(&self.caller.tenant, &self.name).await?;
        self.conditions.check(&RoleView::etag(&before))?;
        let current = RoleEdit { description: before.description.clone(), permissions: before.permissions.clone() };
        let edit: RoleEdit = self.patch.apply(&current)?;
        let description = kept_description(edit.description.as_deref()).map_err(Problem::from)?;
        let permissions = known(&edit.permissions, 1).map_err(|refusal| Problem::from(refusal.at("/permissions")))?;
        if description == before.description && permissions == before.permissions {
            return Ok(Tagged::new(RoleView::etag(&before), RoleView::of(&before)));
        }
        check_permissions(self.caller, &before.permissions, &permissions)?;
        let narrowed = ALL.iter().any(|name| before.permissions.grant(name) && !permissions.grant(name));
        let holders = if narrowed { core.accounts.holders(&before, MOST_HOLDERS).await? } else { Some(Vec::new()) };
        // Later than what the tokens of its holders are made of.
        let changed = holders.iter().flatten().map(Membership::access_as_of).fold(before.updated_at, Timestamp::max);
        let now = revocation::after(changed, now);
        let after = CustomRole {
            description,
            permissions,
            updated_at: now,
            narrowed_at: if narrowed { Some(now) } else { before.narrowed_at },
            revision: before.revision + 1,
            ..before.clone()
        };

        let view = RoleView::of(&after);
        let record = self.origin.by(self.caller, Action::RoleUpdated, now, &core.random).on(&after.name);
        let mut writes = vec![core.accounts.role_write(&after)?];
        writes.push(core.accounts.audit_write(&record.with(view.permissions.join(" ")))?);
        writes.extend(self.ended(holders.as_deref(), now)?);
        // Whoever is given the role after its holders were read raises its revision, so that this is tried again.
        core.accounts.transact(writes).await?;
        Ok(Tagged::new(RoleView::etag(&after), view))
    }

    /// The writes that end the access tokens of those who have the role; where they are too many, of the whole tenant.
    fn ended(&self, holders: Option<&[Membership]>, now: Timestamp) -> Result<Vec<Write>, WriteError> {
        if let Some(holders) = holders {
            return Ok(holders.iter().flat_map(|holder| self.core.member_revoked(holder, now)).collect());
        }
        let (accounts, tenant) = (&self.core.accounts, self.caller.tenant);
        let revoked = accounts.identity().revocation_writes(&[Revoked::Tenant(tenant)], now);
        let ended = accounts.tokens_ended(&tenant, now)?;
        Ok(revoked.into_iter().map(Write::sure).chain([ended]).collect())
    }
}
