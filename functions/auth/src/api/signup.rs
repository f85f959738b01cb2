//! `POST /v1/auth/signup`: make an account.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::http::{ClientNetwork, Document, Json, Problem};
use shared::id::TenantId;
use shared::refusal::Refusal;
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::app::App;
use crate::email::EmailAddress;
use crate::first_tenant::FirstTenant;
use crate::mail::task::{MailTask, Occasion};
use crate::password::{Password, PasswordHash};
use crate::store::{SweepEntry, SweepReason, WriteError};
use crate::throttle::MailKind;
use crate::user::{Name, SecondFactors, User, UserId};

/// An account whose address is not proved for so long is deleted.
const UNVERIFIED_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often a sign-up looks again that meets others with the same address.
const RACES: u32 = 5;
/// The first pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// What a client sends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    /// Where mail goes; proved by the mail that is sent there.
    email: EmailAddress,
    /// 8 to 128 characters, not a common password, and not the address or name.
    password: Password,
    /// What the user is called.
    #[serde(default)]
    name: Option<Name>,
    /// A tenant to join, whose settings allow it, now and when the address is proved. Without one the account gets a tenant
    /// of its own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// What the account's own tenant is called.
    #[serde(default)]
    tenant_name: Option<Name>,
}

impl SignUp {
    fn user(&self, id: UserId, home_tenant_id: TenantId, password: PasswordHash, now: Timestamp) -> User {
        let first_tenant = match self.tenant_id {
            Some(tenant_id) => FirstTenant::Joined { tenant_id },
            None => FirstTenant::Own { name: self.tenant_name.clone() },
        };
        User {
            id,
            email: self.email.clone(),
            email_verified_at: None,
            name: self.name.clone(),
            password: Some(password),
            second_factors: SecondFactors::default(),
            home_tenant_id,
            first_tenant: Some(first_tenant),
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }
}

/// The answer, whether the address had an account or not.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckYourMail {
    /// `check_your_mail`.
    #[schema(example = "check_your_mail")]
    pub status: &'static str,
}

impl CheckYourMail {
    /// 202 with the neutral answer.
    pub fn answer() -> Response {
        (StatusCode::ACCEPTED, Json(Self { status: "check_your_mail" })).into_response()
    }
}

/// Sign up.
///
/// The answer is the same whether the address has an account or not; its owner learns it by mail. The account gives access,
/// and has its tenant, once its address is proved (`/v1/auth/email/verify`); one that never is proved is deleted after a
/// week. Until then another sign-up with the address and another password leaves the account without password, name and
/// wish for a tenant, as nobody knows whose is whose: whoever reads the mail sets a password at
/// `/v1/auth/password/forgot`.
#[utoipa::path(
    post, path = "/v1/auth/signup", operation_id = "sign_up", tag = "auth",
    request_body(content = SignUp, example = json!({"email": "ann@example.com", "password": "walnut-harbour-sixteen", "name": "Ann"})),
    responses(
        (status = 202, description = "A mail is on its way to the address", body = CheckYourMail),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn signup(
    State(app): State<App>,
    network: ClientNetwork,
    Json(new): Json<SignUp>,
) -> Result<Response, Problem> {
    if new.tenant_id.is_some() && new.tenant_name.is_some() {
        let detail = "is for a tenant of the account's own, and goes with no tenant_id";
        return Err(Refusal::new("not_with_tenant_id", detail).at("/tenant_name").into());
    }
    let name = new.name.as_ref().map_or("", Name::as_str);
    let choice = new.password.check_choice(&[new.email.as_str(), name, &app.product_name]);
    choice.map_err(|refusal| refusal.at("/password"))?;
    app.throttle.admit_network(network).await?;
    if let Some(id) = &new.tenant_id {
        app.check_admitted(id, &new.email).await?;
    }
    app.throttle.admit_mail(MailKind::SignUp, &new.email.hash(), network).await?;
    // For every address alike: two reads, one argon2, one transaction, one message.
    for attempt in 1..=RACES {
        let mail = match app.accounts.user_by_email(&new.email).await? {
            None => app.create(&new).await?,
            Some(user) => app.sign_up_again(user, &new.password).await?,
        };
        if let Some(mail) = mail {
            app.hurry(&mail).await;
            return Ok(CheckYourMail::answer());
        }
        tokio::time::sleep(app.random.pause(FIRST_PAUSE, attempt)).await;
    }
    Err(Problem::unavailable(WriteError::Conflict))
}

impl App {
    /// Refuses a tenant that `email` may not join by signing up.
    async fn check_admitted(&self, id: &TenantId, email: &EmailAddress) -> Result<(), Problem> {
        let tenant = self.accounts.tenant(id).await?;
        if tenant.is_some_and(|tenant| tenant.settings.admit(email)) {
            return Ok(());
        }
        Err(Refusal::new("not_admitted", "names a tenant that this address cannot sign up to").at("/tenant_id").into())
    }

    /// Keeps the sign-up until its address is proved. None when another request has made an account with it meanwhile.
    async fn create(&self, new: &SignUp) -> Result<Option<MailTask>, Problem> {
        let hash = new.password.hashed(&self.random).await.map_err(Problem::internal)?;
        let now = self.clock.now();
        let user = new.user(UserId::new(now, &self.random), TenantId::new(now, &self.random), hash, now);
        let sweep = SweepEntry {
            user_id: user.id,
            at: now.checked_add(UNVERIFIED_FOR).unwrap_or(Timestamp::MAX),
            reason: SweepReason::Unverified,
        };
        let (mail, mail_write) = self.mail(Occasion::VerifyEmail { email: new.email.clone() })?;
        let along = vec![self.accounts.sweep_write(&sweep)?, mail_write];
        match self.accounts.begin_account(&user, along).await {
            Ok(()) => Ok(Some(mail)),
            Err(WriteError::Taken | WriteError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a sign-up does whose address has an account: its owner is told. While nobody has proved the address, whoever
    /// signed up before may be another person, who must not find their password working once it is proved, nor have chosen
    /// the name and the tenant: unless the password is the same, the account has none of these from now on. None when
    /// another request has changed the account meanwhile.
    async fn sign_up_again(&self, user: User, password: &Password) -> Result<Option<MailTask>, Problem> {
        let hash = user.password.clone().filter(|_| !user.is_verified()).unwrap_or_else(PasswordHash::decoy);
        let is_same = password.matches(hash).await.map_err(Problem::internal)?;
        let email = user.email.clone();
        let (mail, mail_write) = self.mail(if user.is_verified() {
            Occasion::AlreadyRegistered { email }
        } else {
            Occasion::VerifyEmail { email }
        })?;
        let written = if user.is_verified() || is_same || user.password.is_none() {
            self.accounts.transact(vec![mail_write]).await
        } else {
            let contested = user.without_choices().changed(self.clock.now());
            self.accounts.update_user(&contested, None, vec![mail_write]).await
        };
        match written {
            Ok(()) => Ok(Some(mail)),
            Err(WriteError::Stale | WriteError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
