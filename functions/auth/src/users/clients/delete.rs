//! `DELETE /v1/oauth-clients/{id}`: delete a client.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Preconditions, Problem};
use shared::identity::{Principal, Revoked, Sensitive, permission, revocation};

use super::view::ClientView;
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::oauth::client::ClientId;
use crate::store::{Counted, Write};
use crate::users::race::{Failure, race};

/// Delete an OAuth client.
///
/// It gets no token any more, and those that it has are refused within 30 seconds. It needs a sign-in within the last 15
/// minutes.
#[utoipa::path(
    delete, path = "/v1/oauth-clients/{id}", operation_id = "delete_oauth_client", tag = "oauth-clients",
    params(("id" = String, Path, example = "client_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "not-found: the tenant has no such client", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageClients>,
    origin: Origin,
    Path(id): Path<ClientId>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    race(&core.random, || core.delete_client(&caller, &origin, &id, &conditions)).await
}

impl Core {
    async fn delete_client(
        &self,
        caller: &Principal,
        origin: &Origin,
        id: &ClientId,
        conditions: &Preconditions,
    ) -> Result<NoContent, Failure> {
        let client = self.client(&caller.tenant, id).await?;
        conditions.check(&ClientView::etag(&client))?;
        let now = revocation::after(client.updated_at, self.clock.now());
        let record = origin.by(caller, Action::ClientDeleted, now, &self.random).on(id);
        let mut writes = self.accounts.client_deletion(&client);
        writes.push(self.accounts.counted_less(&caller.tenant, Counted::Clients));
        writes.push(self.accounts.audit_write(&record)?);
        let revoked = self.accounts.identity().revocation_writes(&[Revoked::Client(id.to_string())], now);
        writes.extend(revoked.into_iter().map(Write::sure));
        self.accounts.transact(writes).await?;
        Ok(NoContent)
    }
}
