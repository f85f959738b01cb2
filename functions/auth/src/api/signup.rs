//! `POST /v1/auth/signup`: make an account.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::events::Event;
use shared::events::identity::UserCreated;
use shared::http::{ClientNetwork, Document, Json, Problem};
use shared::id::TenantId;
use shared::identity::Role;
use shared::refusal::Refusal;
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::{Action, Origin};
use crate::email::EmailAddress;
use crate::mail::task::{MailTask, Occasion};
use crate::membership::{MemberStatus, Membership};
use crate::password::{Password, PasswordHash};
use crate::store::{NewAccount, SweepEntry, SweepReason, WriteError};
use crate::tenant::{Settings, Tenant};
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
    /// A tenant to join, whose settings allow it. Without one the account gets a tenant of its own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// What the account's own tenant is called.
    #[serde(default)]
    tenant_name: Option<Name>,
}

impl SignUp {
    fn user(&self, id: UserId, home_tenant_id: TenantId, password: PasswordHash, now: Timestamp) -> User {
        User {
            id,
            email: self.email.clone(),
            email_verified_at: None,
            name: self.name.clone(),
            password: Some(password),
            second_factors: SecondFactors::default(),
            home_tenant_id,
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
/// The answer is the same whether the address has an account or not; its owner learns it by mail. The account gives access
/// once its address is proved (`/v1/auth/email/verify`); one that never is proved is deleted after a week. Until then
/// another sign-up with the address and another password leaves the account without one, as nobody knows whose is whose:
/// whoever reads the mail sets one at `/v1/auth/password/forgot`.
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
    origin: Origin,
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
    let joined = match new.tenant_id {
        Some(id) => Some(app.joinable(&id, &new.email).await?),
        None => None,
    };
    app.throttle.admit_mail(&new.email.hash(), network).await?;
    // For every address alike: two reads, one argon2, one transaction, one message.
    for attempt in 1..=RACES {
        let mail = match app.accounts.user_by_email(&new.email).await? {
            None => app.create(&new, joined.as_ref(), &origin).await?,
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
    /// The tenant that `email` may join by signing up.
    async fn joinable(&self, id: &TenantId, email: &EmailAddress) -> Result<Tenant, Problem> {
        let tenant = self.accounts.tenant(id).await?;
        tenant.filter(|tenant| tenant.settings.admit(email)).ok_or_else(|| {
            Refusal::new("not_admitted", "names a tenant that this address cannot sign up to").at("/tenant_id").into()
        })
    }

    /// Makes the account. None when another request has made one with the address meanwhile.
    async fn create(
        &self,
        new: &SignUp,
        joined: Option<&Tenant>,
        origin: &Origin,
    ) -> Result<Option<MailTask>, Problem> {
        let hash = new.password.hashed(&self.random).await.map_err(Problem::internal)?;
        let now = self.clock.now();
        let own = joined.is_none().then(|| self.own_tenant(new, now));
        let tenant_id = joined.or(own.as_ref()).map(|tenant| tenant.id);
        let tenant_id = tenant_id.ok_or_else(|| Problem::internal("an account without a tenant"))?;
        let user = new.user(UserId::new(now, &self.random), tenant_id, hash, now);
        let role = if own.is_some() { Role::Owner } else { Role::Member };
        let membership = first_membership(&user, role);
        let event = Event::new(tenant_id, user.id, created(&user), now, &self.random);
        let sweep = SweepEntry {
            user_id: user.id,
            at: now.checked_add(UNVERIFIED_FOR).unwrap_or(Timestamp::MAX),
            reason: SweepReason::Unverified,
        };
        let (mail, mail_write) = self.mail(Occasion::VerifyEmail { email: new.email.clone() })?;
        let record = origin.record(tenant_id, Action::SignedUp, user.id, now, &self.random);
        let account = NewAccount {
            user: &user,
            tenant: own.as_ref(),
            membership: &membership,
            outbox: Some(event.outbox().map_err(Problem::internal)?),
        };
        let along = vec![self.accounts.sweep_write(&sweep)?, mail_write, self.accounts.audit_write(&record)?];
        match self.accounts.create_account(account, along).await {
            Ok(()) => Ok(Some(mail)),
            Err(WriteError::Taken | WriteError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What a sign-up does whose address has an account: its owner is told. While nobody has proved the address, whoever
    /// signed up before may be another person, who must not find their password working once it is proved: unless it is
    /// the same, the account has none from now on. None when another request has changed the account meanwhile.
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
            let contested = User { password: None, ..user }.changed(self.clock.now());
            self.accounts.update_user(&contested, None, vec![mail_write]).await
        };
        match written {
            Ok(()) => Ok(Some(mail)),
            Err(WriteError::Stale | WriteError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn own_tenant(&self, new: &SignUp, now: Timestamp) -> Tenant {
        let name = new.tenant_name.clone().or_else(|| new.name.clone());
        Tenant {
            id: TenantId::new(now, &self.random),
            name: name.unwrap_or_else(Name::unnamed),
            settings: Settings::default(),
            created_at: now,
            updated_at: now,
            tokens_ended_at: None,
            revision: 1,
        }
    }
}

/// The membership with which a user begins.
pub fn first_membership(user: &User, role: Role) -> Membership {
    Membership {
        tenant_id: user.home_tenant_id,
        user_id: user.id,
        roles: vec![role.into()],
        status: MemberStatus::Active,
        email: user.email.clone(),
        name: user.name.clone(),
        created_at: user.created_at,
        updated_at: user.created_at,
        revision: 1,
    }
}

/// The event of a new user.
pub fn created(user: &User) -> UserCreated {
    UserCreated {
        user_id: user.id.to_string(),
        email: user.email.to_string(),
        name: user.name.as_ref().map(ToString::to_string),
        verified: user.is_verified(),
    }
}
