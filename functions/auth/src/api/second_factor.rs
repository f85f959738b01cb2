//! `POST /v1/auth/second-factor`: finish a log-in that asks for a second factor.

use axum::extract::State;
use serde::Deserialize;
use shared::http::{ClientNetwork, Document, Json, Problem, ProblemType};
use shared::id::TenantId;
use utoipa::ToSchema;

use super::offered_factor::{Claimant, OfferedFactor, missing};
use super::passkey_ceremony::{PasskeyOptions, PasskeyProof};
use crate::app::App;
use crate::audit::Origin;
use crate::factor::passkey::Ceremony;
use crate::issue::{Proved, SignedIn};
use crate::one_time::{PasswordSeal, Purpose, Ticket, TicketHash};
use crate::throttle::KnownDevice;
use crate::user::User;

/// What a client sends: the ticket and one of the factors.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactor {
    /// The ticket that the log-in answered.
    #[schema(example = "tf_ot_…")]
    ticket: String,
    /// A code of the authenticator app.
    #[serde(default)]
    #[schema(example = "287082")]
    totp: Option<String>,
    /// A recovery code.
    #[serde(default)]
    #[schema(example = "k7vq2-mz4hs")]
    recovery_code: Option<String>,
    /// A passkey, by the options of `/v1/auth/second-factor/passkey`.
    #[serde(default)]
    passkey: Option<PasskeyProof>,
}

/// What a client sends for the options.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasskeyRequest {
    /// The ticket that the log-in answered.
    #[schema(example = "tf_ot_…")]
    ticket: String,
}

/// Finish a log-in with a second factor.
///
/// Exactly one of `totp`, `recovery_code` and `passkey`. A code works once. A wrong one may be tried again, five times for
/// a ticket; after some wrong tries each further one waits longer.
#[utoipa::path(
    post, path = "/v1/auth/second-factor", operation_id = "prove_second_factor", tag = "auth",
    request_body(content = SecondFactor, example = json!({"ticket": "tf_ot_…", "totp": "287082"})),
    responses(
        (status = 200, description = "The tokens", body = SignedIn),
        (status = 400, description = "invalid-one-time-token: the ticket is void, or was used: log in again", body = Document, content_type = "application/problem+json"),
        (status = 401, description = "invalid-credentials: the factor is wrong, or its code was used", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn prove(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<SecondFactor>,
) -> Result<Json<SignedIn>, Problem> {
    let offered = OfferedFactor::one_of(given.totp, given.recovery_code, given.passkey)?;
    let offered = offered.ok_or_else(|| missing("/totp", "or recovery_code or passkey is required"))?;
    let begun = app.log_in_begun(&given.ticket).await?;
    // Whoever knew the password alone, before there was a second factor, has no count of their own for it.
    let device = begun.device.as_ref().filter(|device| device.has_both_factors());
    let subject = KnownDevice::subject(device, "factor", &begun.user.id.to_string());
    let admitted = app.throttle.admit(&subject, network).await?;
    let (may_try, told) = tokio::try_join!(app.accounts.try_code(&begun.ticket), app.seat(&begun.user))?;
    if !may_try {
        return Err(void());
    }
    let who = Claimant { user: &begun.user, told, ceremony: Ceremony::SecondFactor };
    let factor = app.prove_factor(&who, offered, &origin).await?;
    let methods = begun.methods.iter().cloned();
    let methods = methods.chain(factor.methods.iter().map(|method| (*method).to_owned())).collect();
    let mut along = vec![app.accounts.ticket_used(&begun.ticket)];
    along.extend(factor.writes);
    let Begun { user, tenant_id, device, .. } = &begun;
    let proved = Proved { user, tenant_id: *tenant_id, methods, device: device.clone(), origin: &origin };
    let signed_in = Box::pin(app.sign_in(proved, along)).await?;
    app.throttle.succeeded(admitted).await?;
    if let Some(mail) = factor.notice {
        app.hurry(&mail).await;
    }
    Ok(Json(signed_in))
}

/// Begin to use a passkey as second factor.
///
/// Give `options` to `navigator.credentials.get` as `publicKey` (`PublicKeyCredential.parseRequestOptionsFromJSON`), and
/// send what it makes with this answer's ticket to `/v1/auth/second-factor`, as `passkey`.
#[utoipa::path(
    post, path = "/v1/auth/second-factor/passkey", operation_id = "begin_second_factor_passkey", tag = "auth",
    request_body(content = PasskeyRequest, example = json!({"ticket": "tf_ot_…"})),
    responses(
        (status = 200, description = "The options", body = PasskeyOptions),
        (status = 400, description = "invalid-one-time-token: the ticket is void: log in again", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: there are no passkeys in this installation", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: the user has no passkey", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn begin_passkey(
    State(app): State<App>,
    network: ClientNetwork,
    Json(given): Json<PasskeyRequest>,
) -> Result<Json<PasskeyOptions>, Problem> {
    app.throttle.admit_network(network).await?;
    let begun = app.log_in_begun(&given.ticket).await?;
    app.begin_known_passkey(&begun.user.id, Ceremony::SecondFactor).await.map(Json)
}

/// A log-in whose first factor was proved.
struct Begun {
    ticket: TicketHash,
    user: User,
    tenant_id: Option<TenantId>,
    methods: Vec<String>,
    device: Option<KnownDevice>,
}

impl App {
    /// The log-in that a ticket goes on with.
    async fn log_in_begun(&self, ticket: &str) -> Result<Begun, Problem> {
        let ticket = ticket.parse::<Ticket>().map_err(|_| void())?.hash();
        let one_time = self.accounts.ticket(&ticket, self.clock.now()).await?.ok_or_else(void)?;
        let Purpose::SecondFactor { user_id, tenant_id, methods, password, known_device, .. } = one_time.purpose else {
            return Err(void());
        };
        let user = self.accounts.user(&user_id).await?;
        // A log-in with a password that was replaced since does not go on.
        let user = user.filter(|user| PasswordSeal::of(user.password.as_ref()) == password).ok_or_else(void)?;
        Ok(Begun { ticket, user, tenant_id, methods, device: known_device })
    }
}

fn void() -> Problem {
    Problem::new(ProblemType::InvalidOneTimeToken, "the ticket is not valid (any more): log in again")
}
