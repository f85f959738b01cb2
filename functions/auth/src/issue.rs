//! Issuing tokens: from somebody who was proved to the answer that signs them in.

use serde::Serialize;
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::identity::revocation;
use shared::identity::token::{ACCESS_TOKEN_LIFETIME, Claims};
use shared::random::Random;
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::{Action, Origin};
use crate::first_tenant::Place;
use crate::membership::Membership;
use crate::oauth::grant;
use crate::session::{NewSession, RefreshToken, Session};
use crate::store::{MOST_SESSIONS, Write, WriteError};
use crate::tenant::Tenant;
use crate::throttle::KnownDevice;
use crate::user::{User, UserId};
use crate::view::UserView;

/// The `client_id` of tokens that the service's own log-in issues (RFC 9068, section 2.2).
pub const FIRST_PARTY: &str = "tenfold";
/// The `acr` of one factor, and of two (NIST SP 800-63B, authenticator assurance levels 1 and 2).
pub const ONE_FACTOR: &str = "urn:tenfold:aal1";
/// See [`ONE_FACTOR`].
pub const TWO_FACTORS: &str = "urn:tenfold:aal2";

/// The most sessions that one log-in ends: three writes each, and a transaction holds 100.
const MOST_CROWDED_OUT: usize = 20;

/// The answer to a log-in or a refresh (RFC 6749, section 5.1, with Tenfold's members).
#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    /// `signed_in`.
    #[schema(example = "signed_in")]
    pub status: &'static str,
    /// The access token: a JWT (RFC 9068). Send it as `Authorization: Bearer`.
    #[schema(
        example = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiJ9.eyJpc3MiOiJ0ZW5mb2xkIn0.c2lnbmF0dXJl"
    )]
    pub access_token: String,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds that the access token is good for.
    #[schema(example = 600)]
    pub expires_in: i64,
    /// The refresh token: good for one use, which answers the next one.
    #[schema(example = "tf_rt_…")]
    pub refresh_token: String,
    /// The session.
    #[schema(example = "session_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub session_id: String,
    /// When the session ends unless it is refreshed before.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub session_expires_at: Timestamp,
    /// The tenant that the access token names.
    #[schema(value_type = String, example = "tenant_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub tenant_id: TenantId,
    /// Whether the tenant requires a second factor that was not proved in this session: until one is set up in it, or
    /// proved at `/v1/auth/step-up`, its tokens give access to the user's own account alone.
    pub second_factor_required: bool,
    /// Send it with later log-ins from the same device: its wrong tries are counted apart from strangers'. Absent in the
    /// answer to a refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "tf_dv_…")]
    pub device_token: Option<String>,
    /// The user.
    pub user: UserView,
}

/// A new access token for a session that goes on.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiJ9.eyJpc3MiOiJ0ZW5mb2xkIn0.c2lnbmF0dXJl",
    "token_type": "Bearer", "expires_in": 600,
}))]
pub struct AccessToken {
    /// The access token: a JWT (RFC 9068).
    pub access_token: String,
    /// `Bearer`.
    pub token_type: &'static str,
    /// Seconds that the access token is good for.
    pub expires_in: i64,
}

/// Somebody who was proved, and how.
#[derive(Debug)]
pub struct Proved<'a> {
    /// Who.
    pub user: &'a User,
    /// The tenant asked for.
    pub tenant_id: Option<TenantId>,
    /// By which methods (RFC 8176).
    pub methods: Vec<String>,
    /// The device that has signed in before, if it is one.
    pub device: Option<KnownDevice>,
    /// Where from.
    pub origin: &'a Origin,
}

impl App {
    /// Begins a session for somebody who was proved, together with the writes `along`, which may use a ticket up.
    /// Fails when the user's record was changed since it was read: a password that was just replaced begins no session.
    pub(crate) async fn sign_in(&self, proved: Proved<'_>, along: Vec<Write>) -> Result<SignedIn, Problem> {
        let now = self.clock.now();
        let place = Box::pin(self.place_of_sign_in(&proved));
        let (place, crowded_out) = tokio::try_join!(place, self.crowded_out(&proved.user.id, now))?;
        let Place { membership, tenant, moved } = place;
        let user = moved.as_ref().unwrap_or(proved.user);
        let new = NewSession {
            user_id: proved.user.id,
            tenant_id: tenant.id,
            device: proved.origin.device.clone(),
            methods: proved.methods,
        };
        let (session, refresh) = Session::begin(new, &tenant.settings, now, &self.random);
        let record = proved
            .origin
            .record(tenant.id, Action::SignedIn, proved.user.id, now, &self.random)
            .on(session.id)
            .with(session.methods.join(" "));
        let mut writes = along;
        writes.push(self.accounts.user_unchanged(user));
        writes.push(self.accounts.session_begun(&session)?);
        writes.push(self.accounts.audit_write(&record)?);
        writes.extend(crowded_out);
        self.accounts.transact(writes).await.map_err(used_already)?;
        let has_both_factors = assurance(&session.methods) == TWO_FACTORS;
        let device = KnownDevice::issue(self.device_key().await?, user, has_both_factors, &self.random);
        let mut answer = self.tokens(&session, &refresh, user, &membership, &tenant).await?;
        answer.device_token = Some(device.expose().to_owned());
        Ok(answer)
    }

    /// The writes that make room for one more session: those that were unused the longest end. Log-ins at once may pass
    /// the bound; the next one comes back to it.
    async fn crowded_out(&self, user: &UserId, now: Timestamp) -> Result<Vec<Write>, Problem> {
        let mut sessions = self.accounts.sessions(user, now).await?;
        sessions.sort_by_key(|session| session.last_used_at);
        let too_many = (sessions.len() + 1).saturating_sub(MOST_SESSIONS).min(MOST_CROWDED_OUT);
        let ended = sessions.iter().take(too_many);
        Ok(ended.flat_map(|session| self.accounts.session_ended(user, &session.id, now)).collect())
    }

    /// The membership and tenant that a user's tokens shall name: those of `tenant`.
    pub(crate) async fn place(&self, user: &UserId, tenant: &TenantId) -> Result<(Membership, Tenant), Problem> {
        let (membership, tenant) = self.accounts.member_of(tenant, user).await?;
        let membership = membership.filter(Membership::is_active).ok_or_else(no_membership)?;
        Ok((membership, tenant.ok_or_else(without_tenant)?))
    }

    /// The same for a sign-in: those of the tenant asked for, else of the home tenant, else of any; and a new tenant for
    /// who was removed from the last one.
    async fn place_of_sign_in(&self, proved: &Proved<'_>) -> Result<Place, Problem> {
        let user = proved.user;
        let unmoved = |(membership, tenant)| Place { membership, tenant, moved: None };
        if let Some(asked) = proved.tenant_id {
            return self.place(&user.id, &asked).await.map(unmoved);
        }
        let (membership, tenant) = self.accounts.member_of(&user.home_tenant_id, &user.id).await?;
        if let Some(membership) = membership.filter(Membership::is_active) {
            return Ok(unmoved((membership, tenant.ok_or_else(without_tenant)?)));
        }
        let memberships = self.accounts.memberships(&user.id).await?;
        if memberships.is_empty() {
            return self.placed_anew(user, proved.origin).await;
        }
        let membership = memberships.into_iter().find(Membership::is_active).ok_or_else(no_membership)?;
        let tenant = self.accounts.tenant(&membership.tenant_id).await?;
        Ok(unmoved((membership, tenant.ok_or_else(without_tenant)?)))
    }

    /// The answer with a session's tokens.
    pub(crate) async fn tokens(
        &self,
        session: &Session,
        refresh: &RefreshToken,
        user: &User,
        membership: &Membership,
        tenant: &Tenant,
    ) -> Result<SignedIn, Problem> {
        let access = self.access_token(session, membership, tenant).await?;
        Ok(SignedIn {
            status: "signed_in",
            access_token: access.access_token,
            token_type: access.token_type,
            expires_in: access.expires_in,
            refresh_token: refresh.expose(),
            session_id: session.id.to_string(),
            session_expires_at: session.idle_expires_at,
            tenant_id: tenant.id,
            second_factor_required: lacks_second_factor(session, tenant),
            device_token: None,
            user: UserView::of(user),
        })
    }

    /// An access token of a session.
    pub(crate) async fn access_token(
        &self,
        session: &Session,
        membership: &Membership,
        tenant: &Tenant,
    ) -> Result<AccessToken, Problem> {
        let scope = match &session.application {
            Some(_) if lacks_second_factor(session, tenant) => return Err(second_factor_first()),
            Some(application) => grant::text(&application.scopes),
            None if lacks_second_factor(session, tenant) => "account:read account:write".to_owned(),
            None => "*".to_owned(),
        };
        let (permissions, narrowed) = self.custom_permissions(membership).await?;
        let ended = tenant.tokens_ended_at.into_iter().chain(narrowed);
        let changed = ended.fold(membership.access_as_of(), Timestamp::max);
        let changed = session.application.iter().fold(changed, |at, application| at.max(application.client_changed_at));
        let claims = self.claims(session, membership, scope, permissions, revocation::as_of(session.as_of(), changed));
        Ok(AccessToken {
            access_token: self.signer.sign(&claims).await?,
            token_type: "Bearer",
            expires_in: claims.exp - self.clock.now().as_second(),
        })
    }

    fn claims(
        &self,
        session: &Session,
        membership: &Membership,
        scope: String,
        permissions: Option<String>,
        as_of: Timestamp,
    ) -> Claims {
        let client = session.application.as_ref().map(|application| application.client_id.to_string());
        let issued = session.as_of().as_second();
        Claims {
            iss: self.signer.issuer().to_owned(),
            aud: self.signer.audience().to_owned(),
            sub: session.user_id.to_string(),
            client_id: client.unwrap_or_else(|| FIRST_PARTY.to_owned()),
            tid: session.tenant_id,
            sid: Some(session.id.to_string()),
            roles: membership.roles.iter().map(ToString::to_string).collect(),
            permissions,
            scope,
            auth_time: Some(session.authenticated_at.as_second()),
            acr: Some(assurance(&session.methods).to_owned()),
            amr: session.methods.clone(),
            iat: issued,
            as_of: as_of.as_millisecond(),
            exp: issued + ACCESS_TOKEN_LIFETIME.as_secs(),
            jti: token_id(&self.random),
        }
    }

    /// What a member's custom roles grant together, none without custom roles; and when one of them was last narrowed.
    pub(crate) async fn custom_permissions(
        &self,
        membership: &Membership,
    ) -> Result<(Option<String>, Option<Timestamp>), Problem> {
        let (mut granted, mut narrowed): (Vec<String>, Option<Timestamp>) = (Vec::new(), None);
        for name in membership.roles.iter().filter(|name| name.built_in().is_none()) {
            // A role that was deleted since grants nothing.
            if let Some(role) = self.accounts.role(&membership.tenant_id, name).await? {
                granted.extend(role.permissions.iter().map(str::to_owned));
                narrowed = narrowed.max(role.narrowed_at);
            }
        }
        granted.sort_unstable();
        granted.dedup();
        Ok(((!granted.is_empty()).then(|| granted.join(" ")), narrowed))
    }
}

/// What it means that a sign-in was not written: its session and tickets are new, so that what it was proved with was
/// used by a faster request.
pub(crate) fn used_already(error: WriteError) -> Problem {
    match error {
        WriteError::Stale => Problem::new(ProblemType::InvalidOneTimeToken, "it was used already: sign in again"),
        error => error.into(),
    }
}

fn no_membership() -> Problem {
    Problem::new(ProblemType::Forbidden, "the account has no active membership in the tenant")
}

fn without_tenant() -> Problem {
    Problem::internal("a membership has no tenant")
}

/// Why there is no token for an application: nobody gives what they do not have.
pub(crate) fn second_factor_first() -> Problem {
    let detail = "the tenant requires a second factor: set one up, or prove yours at /v1/auth/step-up, first";
    Problem::new(ProblemType::Forbidden, detail)
}

/// Whether the tenant requires a second factor that was not proved in the session: the user may have none, or may have set
/// it up in another session.
pub(crate) fn lacks_second_factor(session: &Session, tenant: &Tenant) -> bool {
    tenant.settings.second_factor_required && assurance(&session.methods) != TWO_FACTORS
}

/// The `acr` of a session that was proved by these methods.
pub fn assurance(methods: &[String]) -> &'static str {
    if methods.iter().any(|method| method == "mfa") { TWO_FACTORS } else { ONE_FACTOR }
}

/// A token's own id.
pub fn token_id(random: &Random) -> String {
    random.text(b"0123456789abcdefghijklmnopqrstuvwxyz", 24)
}
