//! `DELETE /v1/api-keys/{id}`: revoke a key.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Preconditions, Problem};
use shared::identity::api_key::ApiKeyId;
use shared::identity::{Principal, Sensitive, permission};

use super::on_identity;
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::store::api_keys::ListedKey;
use crate::users::race::{Failure, race};

/// Revoke an API key.
///
/// It is refused everywhere within 30 seconds, and at once where it matters most. It stays to be read, as revoked, and nothing
/// can be done to it any more: a second `DELETE` is 404 as of anything that was deleted, and it is neither changed nor rotated
/// (409). It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    delete, path = "/v1/api-keys/{id}", operation_id = "revoke_api_key", tag = "api-keys",
    params(("id" = String, Path, example = "key_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is revoked"),
        (status = 404, description = "not-found: the tenant has no such key, or it is revoked", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke(
    State(core): State<Core>,
    caller: Sensitive<permission::WriteApiKeys>,
    origin: Origin,
    Path(id): Path<ApiKeyId>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    race(&core.random, || core.revoke_key(&caller, &origin, &id, &conditions)).await
}

impl Core {
    async fn revoke_key(
        &self,
        caller: &Principal,
        origin: &Origin,
        id: &ApiKeyId,
        conditions: &Preconditions,
    ) -> Result<NoContent, Failure> {
        let now = self.clock.now();
        let found = self.key(&caller.tenant, id).await?;
        conditions.check(&self.key_view(&found.listed, found.record.as_ref())?.0)?;
        if found.listed.revoked_at.is_some() {
            return Err(Problem::not_found().into());
        }
        let counted = usize::from(found.listed.counts());
        let listed = ListedKey { revoked_at: Some(now), revision: found.listed.revision + 1, ..found.listed };
        let mut writes = self.accounts.key_listing(&[&listed], counted)?;
        if found.record.is_some() {
            writes.push(on_identity(self.accounts.identity().revoke_key_write(id, now)));
        }
        let record = origin.by(caller, Action::ApiKeyRevoked, now, &self.random).on(id).with(listed.name);
        writes.push(self.accounts.audit_write(&record)?);
        self.accounts.transact(writes).await?;
        Ok(NoContent)
    }
}
