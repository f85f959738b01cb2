//! `PATCH /v1/oauth-clients/{id}`: rename a client, or change what it may do or its keys.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, Tagged};
use shared::identity::permission::ALL;
use shared::identity::{Principal, Revoked, Scopes, Sensitive, permission, revocation};
use shared::refusal::{Fault, Refusal};
use utoipa::ToSchema;

use super::scopes_of;
use super::view::ClientView;
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::oauth::client::{Client, ClientId, Proof};
use crate::oauth::keys::PublicKeys;
use crate::oauth::redirect_uri::RedirectUris;
use crate::store::Write;
use crate::user::Name;
use crate::users::authority::{Scoped, check_scopes};
use crate::users::race::{Failure, race};

/// What an administrator changes of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientEdit {
    /// What people call it.
    name: Name,
    /// What its tokens may do at most.
    #[schema(value_type = Vec<String>, example = json!(["links:read"]))]
    scopes: Scopes,
    /// Its public keys, all of them, as in its registration. A client with a secret has none and gets none.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    jwks: Option<PublicKeys>,
    /// Where the browser is sent with its codes, all addresses, as in its registration. A client without `authorization_code`
    /// has none and gets none.
    #[serde(default)]
    redirect_uris: Option<RedirectUris>,
}

impl ClientEdit {
    fn of(client: &Client) -> Self {
        let jwks = match &client.proof {
            Proof::Secret { .. } | Proof::Public {} => None,
            Proof::PrivateKeyJwt { keys } => Some(keys.clone()),
        };
        let redirect_uris = client.redirect_uris.clone().try_into().ok();
        Self { name: client.name.clone(), scopes: client.scopes.clone(), jwks, redirect_uris }
    }

    /// How the client proves itself afterwards: by other keys maybe, and never in another way.
    fn proof(&self, before: &Proof) -> Result<Proof, Fault> {
        match (before, &self.jwks) {
            (Proof::Secret { .. } | Proof::Public {}, None) => Ok(before.clone()),
            (Proof::PrivateKeyJwt { .. }, Some(keys)) => Ok(Proof::PrivateKeyJwt { keys: keys.clone() }),
            _ => {
                let detail = "a client keeps the way in which it proves itself: register another one";
                Err(Refusal::new("not_changeable", detail).at("/jwks"))
            }
        }
    }
}

/// Change an OAuth client.
///
/// A JSON Merge Patch. When redirect URIs change, users who let it in are asked again. When scopes are taken away, its access tokens are refused within 30 seconds; when only its keys
/// change, they stay good. It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    patch, path = "/v1/oauth-clients/{id}", operation_id = "update_oauth_client", tag = "oauth-clients",
    params(("id" = String, Path, example = "client_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = ClientEdit, content_type = "application/merge-patch+json", example = json!({"scopes": ["links:read"]})),
    responses(
        (status = 200, description = "The client after the change", body = ClientView, headers(("ETag" = String))),
        (status = 403, description = "forbidden: it would have, or has, more scopes than the caller, or the caller is a key with an end, networks or credits", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the tenant has no such client", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageClients>,
    origin: Origin,
    Path(id): Path<ClientId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<ClientView>, Problem> {
    race(&core.random, || core.update_client(&caller, &origin, &id, &conditions, &patch)).await
}

impl Core {
    async fn update_client(
        &self,
        caller: &Principal,
        origin: &Origin,
        id: &ClientId,
        conditions: &Preconditions,
        patch: &MergePatch,
    ) -> Result<Tagged<ClientView>, Failure> {
        let before = self.client(&caller.tenant, id).await?;
        conditions.check(&ClientView::etag(&before))?;
        let current = ClientEdit::of(&before);
        let mut edit = patch.apply(&current)?;
        if edit.scopes != current.scopes {
            edit.scopes =
                scopes_of(&edit.scopes, &before.grant_types).map_err(|refusal| Problem::from(refusal.at("/scopes")))?;
        }
        let proof = edit.proof(&before.proof).map_err(Problem::from)?;
        if edit.redirect_uris.is_some() != current.redirect_uris.is_some() {
            let refusal = Refusal::new("not_changeable", "a client keeps its grant types: register another one");
            return Err(Problem::from(refusal.at("/redirect_uris")).into());
        }
        if edit == current {
            return Ok(Tagged::new(ClientView::etag(&before), ClientView::of(&before)));
        }
        // Whoever has one of its keys may do what the client may, and so may who gets its codes.
        if edit.scopes != current.scopes || edit.jwks != current.jwks || edit.redirect_uris != current.redirect_uris {
            check_scopes(caller, Scoped::Client, &edit.scopes)?;
            self.limits_of(caller).await?.check_absent()?;
        }
        let now = revocation::after(before.updated_at, self.clock.now());
        let narrowed = ALL.iter().any(|name| current.scopes.grant(name) && !edit.scopes.grant(name));
        let ClientEdit { name, scopes, redirect_uris, .. } = edit;
        let redirect_uris = redirect_uris.map(Vec::from).unwrap_or_default();
        let moved = redirect_uris != before.redirect_uris;
        let redirect_uris_changed_at = if moved { Some(now) } else { before.redirect_uris_changed_at };
        let after = Client {
            name,
            scopes,
            proof,
            redirect_uris,
            redirect_uris_changed_at,
            updated_at: now,
            revision: before.revision + 1,
            ..before
        };
        let view = ClientView::of(&after);
        let record = origin.by(caller, Action::ClientUpdated, now, &self.random).on(id).with(view.scopes.join(" "));
        let mut writes = self.accounts.client_writes(&after)?;
        writes.push(self.accounts.audit_write(&record)?);
        if narrowed {
            let revoked = self.accounts.identity().revocation_writes(&[Revoked::Client(id.to_string())], now);
            writes.extend(revoked.into_iter().map(Write::sure));
        }
        self.accounts.transact(writes).await?;
        Ok(Tagged::new(ClientView::etag(&after), view))
    }
}
