//! `GET`, `PATCH /v1/tenant`: the tenant's name and the rules for its members.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::http::{Document, FieldError, MergePatch, Preconditions, Problem, Tagged};
use shared::id::TenantId;
use shared::identity::{Caller, Principal, Revoked, Sensitive, permission, revocation};
use shared::refusal::Fault;
use utoipa::ToSchema;

use super::race::{Failure, race};
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::store::Write;
use crate::tenant::{Settings, Tenant};
use crate::user::Name;
use crate::view::TenantView;

/// What an administrator changes of the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantEdit {
    /// What it is called.
    name: Name,
    /// The rules for its members. What is null has its default again.
    settings: Settings,
}

/// See the tenant.
#[utoipa::path(
    get, path = "/v1/tenant", operation_id = "get_tenant", tag = "tenant",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The tenant", body = TenantView, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "not-found: nobody has signed up to this tenant", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(core): State<Core>,
    caller: Caller<permission::ManageTenant>,
    conditions: Preconditions,
) -> Result<Tagged<TenantView>, Problem> {
    let tenant = core.own_tenant(&caller.tenant).await?;
    Ok(Tagged::unless_known(&conditions, TenantView::etag(&tenant), TenantView::of(&tenant)))
}

/// Change the tenant's name or settings.
///
/// A JSON Merge Patch. Shorter lives of sessions hold for those that are there already. When a second factor becomes
/// required, the tenant's access tokens are refused within 30 seconds, and members without one get only as far as setting it
/// up. It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    patch, path = "/v1/tenant", operation_id = "update_tenant", tag = "tenant",
    params(("If-Match" = Option<String>, Header)),
    request_body(content = TenantEdit, content_type = "application/merge-patch+json", example = json!({"settings": {"second_factor_required": true}})),
    responses(
        (status = 200, description = "The tenant after the change", body = TenantView, headers(("ETag" = String))),
        (status = 404, description = "not-found: nobody has signed up to this tenant", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageTenant>,
    origin: Origin,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<TenantView>, Problem> {
    race(&core.random, || core.update_own_tenant(&caller, &origin, &conditions, &patch)).await
}

impl Core {
    /// The tenant's record. One whose only credentials are API keys of `platform.keys` has none.
    async fn own_tenant(&self, id: &TenantId) -> Result<Tenant, Problem> {
        self.accounts.tenant(id).await?.ok_or_else(Problem::not_found)
    }

    async fn update_own_tenant(
        &self,
        caller: &Principal,
        origin: &Origin,
        conditions: &Preconditions,
        patch: &MergePatch,
    ) -> Result<Tagged<TenantView>, Failure> {
        let before = self.own_tenant(&caller.tenant).await?;
        let now = revocation::after(before.updated_at, self.clock.now());
        conditions.check(&TenantView::etag(&before))?;
        let current = TenantEdit { name: before.name.clone(), settings: before.settings.clone() };
        let mut edit: TenantEdit = patch.apply(&current)?;
        edit.settings = edit.settings.check().map_err(within_settings)?;
        if edit == current {
            return Ok(Tagged::new(TenantView::etag(&before), TenantView::of(&before)));
        }
        let changed = changed_fields(&current, &edit)?.join(" ");
        let stricter = edit.settings.second_factor_required && !before.settings.second_factor_required;
        let after = Tenant {
            name: edit.name,
            settings: edit.settings,
            updated_at: now,
            tokens_ended_at: if stricter { Some(now) } else { before.tokens_ended_at },
            revision: before.revision + 1,
            ..before
        };

        let record = origin.by(caller, Action::SettingsChanged, now, &self.random).on(after.id).with(changed);
        let mut along = vec![self.accounts.audit_write(&record)?];
        if stricter {
            let revoked = self.accounts.identity().revocation_writes(&[Revoked::Tenant(after.id)], now);
            along.extend(revoked.into_iter().map(Write::sure));
        }
        self.accounts.update_tenant(&after, None, along).await?;
        Ok(Tagged::new(TenantView::etag(&after), TenantView::of(&after)))
    }
}

fn within_settings(faults: Vec<Fault>) -> Problem {
    let error =
        |fault: Fault| FieldError::new(format!("/settings{}", fault.pointer), fault.refusal.code, fault.refusal.detail);
    Problem::validation(faults.into_iter().map(error).collect())
}

/// The names of what differs, those of the settings by their own, sorted.
fn changed_fields(before: &TenantEdit, after: &TenantEdit) -> Result<Vec<String>, Problem> {
    let settings = |edit: &TenantEdit| serde_json::to_value(&edit.settings).map_err(Problem::internal);
    let (old, new) = (settings(before)?, settings(after)?);
    let mut changed = Vec::new();
    if before.name != after.name {
        changed.push("name".to_owned());
    }
    let members = new.as_object().into_iter().flatten();
    let differing = members.filter(|(name, value)| old.get(name.as_str()).unwrap_or(&Value::Null) != *value);
    changed.extend(differing.map(|(name, _)| name.clone()));
    changed.sort_unstable();
    Ok(changed)
}
