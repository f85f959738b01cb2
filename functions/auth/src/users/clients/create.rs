//! `POST /v1/oauth-clients`: register a client.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use shared::config::Secret;
use shared::http::idempotency::{Attempt, Submitted};
use shared::http::{Created, Document, Problem, ProblemType};
use shared::identity::{Principal, Scopes, Sensitive, permission};
use shared::random::Random;
use shared::refusal::{Fault, Refusal};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::scopes_of;
use super::view::{ClientView, ClientWithSecret};
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::oauth::client::{Client, ClientId, GrantType, Proof, draw_secret};
use crate::oauth::keys::PublicKeys;
use crate::oauth::redirect_uri::RedirectUris;
use crate::store::{Counted, MOST_CLIENTS, Write, WriteError};
use crate::user::Name;
use crate::users::authority::{Scoped, check_scopes};
use crate::users::race::{Failure, race_of_key};

/// What is sent.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    /// What people call it.
    name: Name,
    /// What its tokens may do at most: up to 50 names of permissions, `resource:*`, or `*`; nothing that its maker may not. None
    /// for an application that only signs users in (`openid`, `email`, `profile`); a machine has at least one. One without
    /// `client_credentials` has nothing but what users can give an application: of links, jobs, mails of jobs and notes.
    #[schema(value_type = Vec<String>)]
    scopes: Scopes,
    /// Its public keys, 1 to 10 (RFC 7517): RSA of 2048 to 8192 bits, EC on P-256 or P-384, or Ed25519. It proves itself by
    /// `private_key_jwt` then, and gets no secret.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    jwks: Option<PublicKeys>,
    /// For an application that acts for users: where the browser is sent with its codes, 1 to 10 addresses that are compared
    /// as texts. `https`, or for a program on users' machines `http://127.0.0.1` and `http://[::1]` (with any port) or a
    /// scheme with a dot.
    #[serde(default)]
    redirect_uris: Option<RedirectUris>,
    /// By what it gets tokens: without it `authorization_code` and `refresh_token` when there are redirect URIs, else
    /// `client_credentials`.
    #[serde(default)]
    grant_types: Option<Vec<GrantType>>,
    /// `none` for an application that can keep no secret: it runs in browsers or on users' machines.
    #[serde(default)]
    #[schema(example = "none")]
    token_endpoint_auth_method: Option<AuthMethod>,
}

/// How a client is to prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OAuthClientAuthMethod)]
enum AuthMethod {
    /// By a secret: what it is without `jwks`.
    ClientSecretBasic,
    /// By assertions: what it is with `jwks`.
    PrivateKeyJwt,
    /// Not at all.
    None,
}

impl NewClient {
    /// How it proves itself, and its secret if that is the way.
    fn proof(&self, now: Timestamp, random: &Random) -> Result<(Option<Secret>, Proof), Fault> {
        match (self.token_endpoint_auth_method, &self.jwks) {
            (None | Some(AuthMethod::PrivateKeyJwt), Some(keys)) => {
                Ok((None, Proof::PrivateKeyJwt { keys: keys.clone() }))
            }
            (None | Some(AuthMethod::ClientSecretBasic), None) => {
                let (secret, stored) = draw_secret(now, random);
                Ok((Some(secret), Proof::Secret { secrets: vec![stored] }))
            }
            (Some(AuthMethod::None), None) => Ok((None, Proof::Public {})),
            _ => {
                let detail = "private_key_jwt has jwks, and no other method has";
                Err(Refusal::new("contradictory", detail).at("/token_endpoint_auth_method"))
            }
        }
    }
}

/// Register an OAuth client.
///
/// The answer shows the secret, this once. A tenant has at most 100 clients. It needs a sign-in within the last 15 minutes. With
/// `redirect_uris` it is an application that asks members of the tenant to let it in (`/oauth/authorize`).
#[utoipa::path(
    post, path = "/v1/oauth-clients", operation_id = "create_oauth_client", tag = "oauth-clients",
    request_body(content = NewClient, example = json!({"name": "Nightly export", "scopes": ["links:read"]})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again (without the secret) and done once. Kept 24 hours.")),
    responses(
        (status = 201, description = "The client was registered", body = ClientWithSecret, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden: it would have more scopes than the caller, or the caller is a key with an end, networks or credits", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: there are 100 clients", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageClients>,
    origin: Origin,
    new: Submitted<NewClient>,
) -> Result<Response, Problem> {
    let body = &new.body;
    race_of_key(&core, &caller.tenant, "POST /v1/oauth-clients", &new, async |attempt| {
        core.create_client(&caller, &origin, body, &attempt).await
    })
    .await
}

impl Core {
    async fn create_client(
        &self,
        caller: &Principal,
        origin: &Origin,
        new: &NewClient,
        attempt: &Attempt,
    ) -> Result<Response, Failure> {
        let now = self.clock.now();
        let (secret, proof) = new.proof(now, &self.random).map_err(Problem::from)?;
        let public = matches!(proof, Proof::Public {});
        let grant_types = GrantType::of_new(new.grant_types.as_deref(), new.redirect_uris.is_some(), public)
            .map_err(|refusal| Problem::from(refusal.at("/grant_types")))?;
        let scopes = scopes_of(&new.scopes, &grant_types);
        let scopes = scopes.map_err(|refusal| Problem::from(refusal.at("/scopes")))?;
        check_scopes(caller, Scoped::Client, &scopes)?;
        self.limits_of(caller).await?.check_absent()?;
        let client = Client {
            id: ClientId::new(now, &self.random),
            tenant_id: caller.tenant,
            name: new.name.clone(),
            scopes,
            proof,
            grant_types,
            redirect_uris: new.redirect_uris.clone().map(Vec::from).unwrap_or_default(),
            redirect_uris_changed_at: None,
            created_by: caller.subject.clone(),
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let created = Created {
            location: format!("/v1/oauth-clients/{}", client.id),
            etag: ClientView::etag(&client),
            body: ClientWithSecret {
                client_secret: secret.map(|secret| secret.expose().to_owned()),
                client: ClientView::of(&client),
            },
        };
        let record = origin.by(caller, Action::ClientCreated, now, &self.random).on(client.id);
        let mut writes = Vec::new();
        let answer = attempt.record_without_secret(&created, &created.body.again())?;
        writes.extend(answer.map(|write| Write::or(write, WriteError::KeyUsed)));
        writes.extend(self.accounts.client_writes(&client)?);
        writes.push(self.accounts.counted_more(&caller.tenant, Counted::Clients, 1));
        writes.push(self.accounts.audit_write(&record.with(created.body.client.scopes.join(" ")))?);
        match self.accounts.transact(writes).await {
            Ok(()) => Ok(created.into_response()),
            Err(WriteError::Full) => {
                let detail = format!("the tenant has {MOST_CLIENTS} clients: delete one that is not needed");
                Err(Problem::new(ProblemType::Conflict, detail).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
