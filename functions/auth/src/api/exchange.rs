//! `POST /v1/auth/exchange`: sign in with what a provider has proved (`/v1/auth/social`).

use axum::extract::State;
use serde::Deserialize;
use shared::dynamo::DynamoError;
use shared::events::Event;
use shared::http::{ClientNetwork, Document, Json, Problem, ProblemType};
use shared::id::TenantId;
use shared::identity::Role;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::login::LogInAnswer;
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::email::EmailAddress;
use crate::first_tenant::created;
use crate::membership::Membership;
use crate::one_time::TicketHash;
use crate::social::ceremony::{Intent, Proven, void};
use crate::social::identity::{EXTERNAL, IdentityId, LinkedIdentity, ProvenIdentity};
use crate::store::{NewAccount, WriteError};
use crate::tenant::Tenant;
use crate::user::{SecondFactors, User, UserId};

/// How often it is looked again at who it is, when another request changes that meanwhile.
const LOOKS: usize = 3;

/// What a client sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SocialCode {
    /// The `code` that the browser brought back.
    #[schema(example = "tf_ot_…")]
    pub(super) code: String,
    /// The `binding` of the start.
    #[schema(example = "tf_ot_…")]
    pub(super) binding: String,
}

/// Sign in by a provider.
///
/// With the account of the provider that was linked before. One that is new makes an account: with the address, which the
/// provider must have verified, and without a password. Where that address has an account already, nothing is linked: sign
/// in to it as before, and send the same code and binding to `/v1/auth/identities` within ten minutes. An account whose
/// address never was proved gives way: whoever made it has not shown that the address is theirs.
#[utoipa::path(
    post, path = "/v1/auth/exchange", operation_id = "exchange_social_code", tag = "auth",
    request_body(content = SocialCode, example = json!({"code": "tf_ot_Vx2…", "binding": "tf_ot_8aK…"})),
    responses(
        (status = 200, description = "The tokens, or the ticket for the second factor", body = LogInAnswer),
        (status = 400, description = "invalid-one-time-token", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "email-not-verified: the provider has not verified an address; or forbidden: no active membership in the tenant, or it admits no such address", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "account-exists", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn exchange(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<SocialCode>,
) -> Result<LogInAnswer, Problem> {
    app.throttle.admit_network(network).await?;
    let now = app.clock.now();
    let (ticket, proven) = Proven::find(&app.accounts, &given.code, &given.binding, &[Intent::SignIn], now).await?;
    for _ in 0..LOOKS {
        let found = match app.linked_user(&proven.identity).await? {
            Some(user) => app.accounts.transact(vec![app.accounts.ticket_used(&ticket)]).await.map(|()| user),
            None => app.newcomer(&ticket, &proven, &origin).await?,
        };
        match found {
            Ok(user) => return app.after_first_factor(&user, proven.tenant_id, &[EXTERNAL], &origin).await,
            // Another request used the code.
            Err(WriteError::Stale) => return Err(void()),
            // Another request has made an account with the address, or linked the provider's.
            Err(WriteError::Taken | WriteError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::unavailable("other requests of the same person came between"))
}

impl App {
    /// The user to whom an account of a provider is linked.
    async fn linked_user(&self, identity: &ProvenIdentity) -> Result<Option<User>, Problem> {
        let hash = identity.hash();
        let Some(owner) = self.accounts.identity_owner(&hash).await? else { return Ok(None) };
        let Some(user) = self.accounts.user(&owner).await? else {
            let detail = "the account that it was linked to was deleted just now: try again in an hour";
            return Err(Problem::new(ProblemType::Conflict, detail).retry_after(3600));
        };
        // Asked after the user was read: who is unlinked after that has another record, and is not signed in.
        let is_linked = self.accounts.identity_of(&owner, &hash).await?.is_some();
        Ok(is_linked.then_some(user))
    }

    /// A new account for somebody whom nobody knows yet. The inner error is a race, to be looked at again.
    async fn newcomer(
        &self,
        ticket: &TicketHash,
        proven: &Proven,
        origin: &Origin,
    ) -> Result<Result<User, WriteError>, Problem> {
        let email = proven.identity.email.as_ref().ok_or_else(no_address)?;
        let known = self.accounts.user_by_email(email).await?;
        if known.as_ref().is_some_and(User::is_verified) {
            // The account may have been made just now, by another log-in of the same person.
            let is_linked = self.accounts.identity_owner(&proven.identity.hash()).await?.is_some();
            return if is_linked { Ok(Err(WriteError::Taken)) } else { Err(account_exists()) };
        }
        let joined = match &proven.tenant_id {
            Some(id) => Some(self.admitting(id, email).await?),
            None => None,
        };
        if let Some(user) = known
            && let Err(race) = self.give_way(&user).await
        {
            return Ok(Err(race));
        }
        Ok(self.new_account(ticket, &proven.identity, email, joined, origin).await)
    }

    /// The tenant, if `email` may sign up to it.
    async fn admitting(&self, id: &TenantId, email: &EmailAddress) -> Result<Tenant, Problem> {
        let tenant = self.accounts.tenant(id).await?;
        tenant.filter(|tenant| tenant.settings.admit(email)).ok_or_else(|| {
            Problem::new(
                ProblemType::Forbidden,
                "there is no account in the tenant, and this address cannot sign up to it",
            )
        })
    }

    async fn new_account(
        &self,
        ticket: &TicketHash,
        identity: &ProvenIdentity,
        email: &EmailAddress,
        joined: Option<Tenant>,
        origin: &Origin,
    ) -> Result<User, WriteError> {
        let now = self.clock.now();
        let own =
            joined.is_none().then(|| Tenant::of_own(TenantId::new(now, &self.random), identity.name.as_ref(), now));
        let Some(tenant) = joined.as_ref().or(own.as_ref()) else { return Err(WriteError::Conflict) };
        let user = User {
            id: UserId::new(now, &self.random),
            email: email.clone(),
            email_verified_at: Some(now),
            name: identity.name.clone(),
            password: None,
            second_factors: SecondFactors::default(),
            home_tenant_id: tenant.id,
            first_tenant: None,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let linked = linked(IdentityId::new(now, &self.random), &user.id, identity, email, now);
        let record = |action| origin.record(user.home_tenant_id, action, user.id, now, &self.random);
        let mut along = vec![
            self.accounts.ticket_used(ticket),
            self.accounts.audit_write(&record(Action::SignedUp))?,
            self.accounts.audit_write(&record(Action::IdentityLinked).on(linked.id).with(&linked.provider))?,
        ];
        along.extend(self.accounts.identity_added(&linked)?);
        let role = if own.is_some() { Role::Owner } else { Role::Member };
        let event = Event::new(user.home_tenant_id, user.id, created(&user), now, &self.random);
        let account = NewAccount {
            user: &user,
            tenant: own.as_ref(),
            membership: &Membership::at_home(&user, role, now),
            outbox: Some(event.outbox().map_err(|error| DynamoError::Refused(error.into()))?),
        };
        self.accounts.create_account(account, along).await?;
        Ok(user)
    }
}

/// The link between a user and an account of a provider.
pub(super) fn linked(
    id: IdentityId,
    user: &UserId,
    proven: &ProvenIdentity,
    email: &EmailAddress,
    now: Timestamp,
) -> LinkedIdentity {
    LinkedIdentity {
        id,
        user_id: *user,
        provider: proven.provider.clone(),
        issuer: proven.issuer.clone(),
        subject: proven.subject.clone(),
        email: email.clone(),
        created_at: now,
    }
}

/// The answer to who is proved by a provider that has verified no address of theirs.
pub(super) fn no_address() -> Problem {
    let detail =
        "the provider has verified no e-mail address that can be used here: verify one there, and sign in again";
    Problem::new(ProblemType::EmailNotVerified, detail)
}

fn account_exists() -> Problem {
    let detail = "sign in to it as before, and send the same code and binding to /v1/auth/identities";
    Problem::new(ProblemType::AccountExists, detail)
}
