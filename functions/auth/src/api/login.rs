//! `POST /v1/auth/login`: sign in with a password.

use std::borrow::Cow;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::http::{ClientNetwork, Document, Json, Problem, ProblemType};
use shared::id::TenantId;
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::{ANONYMOUS, Action, Origin};
use crate::email::EmailAddress;
use crate::issue::{Proved, SignedIn, used_already};
use crate::mail::task::{MailTask, Occasion};
use crate::mail::templates::Message;
use crate::one_time::{OneTime, PasswordSeal, Purpose, Ticket};
use crate::password::{Password, PasswordHash};
use crate::store::Write;
use crate::throttle::KnownDevice;
use crate::user::User;

/// How long after its proof an account is a new one.
const NEW_FOR: SignedDuration = SignedDuration::from_hours(1);

/// What a client sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// The account's address.
    email: EmailAddress,
    /// Its password.
    password: Password,
    /// The tenant that the tokens shall name, of those that the user is a member of. Without it the one they began in, or another.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// The `device_token` of an earlier log-in from this device.
    #[serde(default)]
    device_token: Option<String>,
}

/// The first factor is right, and the second is asked for.
#[derive(Serialize, ToSchema)]
pub struct SecondFactorRequired {
    /// `second_factor_required`.
    #[schema(example = "second_factor_required")]
    pub status: &'static str,
    /// Send it with the second factor to `/v1/auth/second-factor`.
    #[schema(example = "tf_ot_…")]
    pub ticket: String,
    /// The factors that are set up: `totp`, `passkey`, `recovery_code`.
    #[schema(example = json!(["totp", "recovery_code"]))]
    pub factors: Vec<&'static str>,
    /// Until when the ticket is good.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub expires_at: Timestamp,
}

/// What a log-in answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum LogInAnswer {
    /// Signed in.
    SignedIn(Box<SignedIn>),
    /// One step more.
    SecondFactor(SecondFactorRequired),
}

impl IntoResponse for LogInAnswer {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// Sign in with a password.
///
/// The answer is either the tokens or, where a second factor is set up, a ticket for it: `status` says which. Wrong
/// passwords, unknown addresses and addresses that are not proved yet are answered alike. After some wrong tries each
/// further one waits longer; a device that sends its `device_token` waits for its own tries alone. A right password from
/// another device is told to the user by mail, also where it waits for the second factor.
#[utoipa::path(
    post, path = "/v1/auth/login", operation_id = "log_in", tag = "auth",
    request_body(content = LogIn, example = json!({"email": "ann@example.com", "password": "walnut-harbour-sixteen"})),
    responses(
        (status = 200, description = "The tokens, or the ticket for the second factor", body = LogInAnswer),
        (status = 401, description = "invalid-credentials", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "forbidden: no active membership in the tenant", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn login(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<LogIn>,
) -> Result<LogInAnswer, Problem> {
    app.throttle.admit_network(network).await?;
    let user = app.accounts.user_by_email(&given.email).await?;
    let device = KnownDevice::find(app.device_key().await?, user.as_ref(), given.device_token.as_deref());
    let subject = KnownDevice::subject(device.as_ref(), "password", &given.email.hash());
    let admitted = app.throttle.admit_subject(&subject).await?;

    let hash = user.as_ref().and_then(|user| user.password.clone()).unwrap_or_else(PasswordHash::decoy);
    let right = given.password.matches(hash).await.map_err(Problem::internal)?;
    let Some(user) = user.as_ref().filter(|user| right && user.is_verified()) else {
        let found = std::future::ready(Ok(user));
        app.audit_whom_later(found, Action::SignInFailed, Some("wrong password"), origin).await;
        return Err(invalid_credentials());
    };
    let user = app.keep_up(user, &given.password).await;
    let notice = if device.is_some() { None } else { app.unknown_device_notice(&user, &origin)? };
    let (mail, told) = notice.unzip();
    let along = std::iter::once(app.throttle.success(admitted)).chain(told).collect();
    let (tenant_id, methods) = (given.tenant_id, vec!["pwd".to_owned()]);
    let proved = Proved { user: &user, tenant_id, methods, device, origin: &origin };
    let answer = app.proved_first_factor(proved, along).await?;
    if let Some(mail) = mail {
        app.hurry(&mail).await;
    }
    Ok(answer)
}

/// The one answer to a log-in that does not work. Whoever signs up with somebody's address and tries to log in learns no
/// more from it than from the sign-up: an account that waits for its proof answers like one with another password.
pub fn invalid_credentials() -> Problem {
    let detail = "the address and the password do not belong together, or the address is not proved yet: see the mail";
    Problem::new(ProblemType::InvalidCredentials, detail)
}

/// The answer to a sign-in by something that only the user has, to an account whose address is not proved.
pub fn unverified() -> Problem {
    let detail = "follow the link in the mail, or ask for another at /v1/auth/email/verify/resend";
    Problem::new(ProblemType::EmailNotVerified, detail)
}

impl App {
    /// Signs in who proved a first factor, or answers the ticket for the second.
    pub(crate) async fn after_first_factor(
        &self,
        user: &User,
        tenant_id: Option<TenantId>,
        methods: &[&str],
        origin: &Origin,
    ) -> Result<LogInAnswer, Problem> {
        let methods = methods.iter().map(|method| (*method).to_owned()).collect();
        let proved = Proved { user, tenant_id, methods, device: None, origin };
        self.proved_first_factor(proved, Vec::new()).await
    }

    /// The same, in one transaction with `along`, which may use a ticket up.
    pub(crate) async fn proved_first_factor(
        &self,
        proved: Proved<'_>,
        mut along: Vec<Write>,
    ) -> Result<LogInAnswer, Problem> {
        let factors = proved.user.second_factors;
        if !factors.any() {
            let signed_in = Box::pin(self.sign_in(proved, along)).await?;
            return Ok(LogInAnswer::SignedIn(Box::new(signed_in)));
        }
        let ticket = Ticket::draw(&self.random);
        along.push(self.accounts.user_unchanged(proved.user));
        along.extend(self.first_factor_recorded(&proved).await?);
        let purpose = Purpose::SecondFactor {
            user_id: proved.user.id,
            tenant_id: proved.tenant_id,
            methods: proved.methods,
            device: proved.origin.device.clone(),
            password: PasswordSeal::of(proved.user.password.as_ref()),
            known_device: proved.device,
        };
        let one_time = OneTime::new(purpose, self.clock.now());
        along.push(self.accounts.ticket_write(&ticket.hash(), &one_time)?);
        self.accounts.transact(along).await.map_err(used_already)?;
        let offered = [("totp", factors.totp), ("passkey", factors.passkeys > 0), ("recovery_code", true)];
        Ok(LogInAnswer::SecondFactor(SecondFactorRequired {
            status: "second_factor_required",
            ticket: ticket.expose(),
            factors: offered.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect(),
            expires_at: one_time.expires_at,
        }))
    }

    /// The record of a first factor that was right: whoever knows it and not the second is seen by that. Nobody is proved
    /// yet, and the tenant that was asked for may be any.
    async fn first_factor_recorded(&self, proved: &Proved<'_>) -> Result<Option<Write>, Problem> {
        let Some(tenant) = self.seat(proved.user).await? else { return Ok(None) };
        let (action, now) = (Action::FirstFactorProved, self.clock.now());
        let record = proved.origin.record(tenant, action, ANONYMOUS, now, &self.random).on(proved.user.id);
        Ok(Some(self.accounts.audit_write(&record.with(proved.methods.join(" ")))?))
    }

    /// The mail that tells of a right password from a device that was not seen before: it signed in, or waits for the second
    /// factor. None in the first hour of an account, whose first sign-ins are the user's own.
    fn unknown_device_notice(&self, user: &User, origin: &Origin) -> Result<Option<(MailTask, Write)>, Problem> {
        let now = self.clock.now();
        let is_new = user.email_verified_at.is_none_or(|proved_at| now.duration_since(proved_at) < NEW_FOR);
        if is_new {
            return Ok(None);
        }
        let occurrence = origin.occurrence(now);
        let letter = Box::new(if user.second_factors.any() {
            Message::PasswordUsed { occurrence }
        } else {
            Message::NewSignIn { occurrence }
        });
        self.mail(Occasion::Notice { user_id: user.id, email: None, letter }).map(Some)
    }

    /// The user, whose password is hashed again when it was hashed with weaker parameters than today's. A failure changes
    /// nothing: the next log-in tries again.
    async fn keep_up<'a>(&self, user: &'a User, password: &Password) -> Cow<'a, User> {
        if !user.password.as_ref().is_some_and(PasswordHash::needs_rehash) {
            return Cow::Borrowed(user);
        }
        let Ok(hash) = password.hashed(&self.random).await else { return Cow::Borrowed(user) };
        let rehashed = User { password: Some(hash), ..user.clone() }.changed(self.clock.now());
        match self.accounts.update_user(&rehashed, None, Vec::new()).await {
            Ok(()) => Cow::Owned(rehashed),
            Err(error) => {
                tracing::warn!(error = shared::telemetry::chain(&error), "a password was not hashed again");
                Cow::Borrowed(user)
            }
        }
    }
}
