//! `POST /v1/auth/passkeys/login/…`: sign in with a passkey and nothing else, not even a name.

use axum::extract::State;
use serde::Deserialize;
use shared::http::{ClientNetwork, Document, Json, Problem, ProblemType};
use shared::id::TenantId;
use utoipa::ToSchema;
use webauthn_rs::prelude::PublicKeyCredential;

use super::login::unverified;
use super::passkey_ceremony::{NotProved, PasskeyOptions, PasskeyProof};
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::factor::passkey::{Authenticating, Ceremony, NotVerified};
use crate::issue::{Proved, SignedIn};

/// What a client sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyLogIn {
    /// The ticket of the options.
    #[schema(example = "tf_ot_…")]
    ticket: String,
    /// What `navigator.credentials.get` made: the JSON form (`toJSON`) of its `PublicKeyCredential`.
    #[schema(value_type = Object)]
    credential: PublicKeyCredential,
    /// The tenant that the tokens shall name, of those that the user is a member of. Without it the one they began in, or another.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// Begin to sign in with a passkey.
///
/// Give `options` to `navigator.credentials.get` as `publicKey` (`PublicKeyCredential.parseRequestOptionsFromJSON`); the
/// user chooses the passkey, and with it the account. Send what it makes to `/v1/auth/passkeys/login/finish`.
#[utoipa::path(
    post, path = "/v1/auth/passkeys/login/begin", operation_id = "begin_passkey_log_in", tag = "auth",
    responses(
        (status = 200, description = "The options", body = PasskeyOptions),
        (status = 404, description = "not-found: there are no passkeys in this installation", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn begin(State(app): State<App>, network: ClientNetwork) -> Result<Json<PasskeyOptions>, Problem> {
    app.throttle.admit_network(network).await?;
    let (options, state) = app.relying_party()?.begin_authentication(&[]).map_err(Problem::internal)?;
    app.begin_ceremony(Ceremony::SignIn, options, &Authenticating { user_id: None, state }).await.map(Json)
}

/// Sign in with a passkey.
///
/// The authenticator has verified its user, so that no second factor is asked for.
#[utoipa::path(
    post, path = "/v1/auth/passkeys/login/finish", operation_id = "finish_passkey_log_in", tag = "auth",
    request_body(content = PasskeyLogIn, example = json!({"ticket": "tf_ot_…", "credential": {"id": "…", "rawId": "…", "type": "public-key", "response": {}}})),
    responses(
        (status = 200, description = "The tokens", body = SignedIn),
        (status = 400, description = "invalid-one-time-token: the ticket is void, or was used: ask for new options", body = Document, content_type = "application/problem+json"),
        (status = 401, description = "invalid-credentials: the passkey is not known, or was not accepted", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "email-not-verified; or forbidden: no active membership in the tenant", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn finish(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<PasskeyLogIn>,
) -> Result<Json<SignedIn>, Problem> {
    app.throttle.admit_network(network).await?;
    let proof = PasskeyProof { ticket: given.ticket, credential: given.credential };
    let proved = match app.prove_passkey(Ceremony::SignIn, None, &proof).await {
        Ok(proved) => proved,
        Err(NotProved::Problem(problem)) => return Err(problem),
        Err(NotProved::Wrong { passkey, reason }) => {
            if let Some(passkey) = passkey
                && let Some(user) = app.accounts.user(&passkey.user_id).await?
            {
                if matches!(reason, NotVerified::Cloned) {
                    app.block_passkey(&passkey, app.seat(&user).await?, &origin).await?;
                }
                let found = std::future::ready(Ok(Some(user)));
                app.audit_whom_later(found, Action::SignInFailed, Some("passkey"), origin).await;
            }
            return Err(refused());
        }
    };
    let user = app.accounts.user(&proved.user_id).await?.ok_or_else(refused)?;
    if !user.is_verified() {
        return Err(unverified());
    }
    let methods = proved.methods.iter().map(|method| (*method).to_owned()).collect();
    let signed_in = Proved { user: &user, tenant_id: given.tenant_id, methods, device: None, origin: &origin };
    Box::pin(app.sign_in(signed_in, proved.writes)).await.map(Json)
}

fn refused() -> Problem {
    Problem::new(ProblemType::InvalidCredentials, "the passkey was not accepted")
}
