//! `POST /v1/auth/step-up`: prove oneself again within a session, for what asks for a recent sign-in.

use axum::extract::State;
use serde::Deserialize;
use shared::http::{ClientNetwork, Document, Json, Problem, ProblemType};
use shared::identity::{Caller, Principal, permission};
use utoipa::ToSchema;

use super::factors::raced;
use super::logout::session_of;
use super::offered_factor::{Claimant, OfferedFactor, ProvedFactor, missing};
use super::passkey_ceremony::{PasskeyOptions, PasskeyProof};
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::factor::passkey::Ceremony;
use crate::issue::AccessToken;
use crate::password::{Password, PasswordHash};
use crate::store::WriteError;
use crate::user::User;

/// What a client sends: as much as a log-in of the account needs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepUp {
    /// The password, when the account has one.
    #[serde(default)]
    password: Option<Password>,
    /// With a second factor set up: a code of the authenticator app.
    #[serde(default)]
    #[schema(example = "287082")]
    totp: Option<String>,
    /// Or a recovery code.
    #[serde(default)]
    #[schema(example = "k7vq2-mz4hs")]
    recovery_code: Option<String>,
    /// Or a passkey, by the options of `/v1/auth/step-up/passkey`. It needs no password beside it.
    #[serde(default)]
    passkey: Option<PasskeyProof>,
}

/// Prove yourself again.
///
/// What asks for a recent sign-in (`step-up-required`) is allowed for 15 minutes with the access token of the answer. The
/// session and its refresh token stay. After some wrong tries each further one waits longer.
#[utoipa::path(
    post, path = "/v1/auth/step-up", operation_id = "step_up", tag = "auth",
    request_body(content = StepUp, example = json!({"password": "walnut-harbour-sixteen", "totp": "287082"})),
    responses(
        (status = 200, description = "An access token that says so", body = AccessToken),
        (status = 401, description = "invalid-credentials: the password or the second factor is wrong", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: the account has neither password nor second factor: sign in again", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation: the password or the second factor is missing", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn step_up(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<StepUp>,
) -> Result<Json<AccessToken>, Problem> {
    let (user, session_id) = (app.me(&person(&caller)?).await?, session_of(&caller)?);
    let offered = OfferedFactor::one_of(given.totp, given.recovery_code, given.passkey)?;
    check_complete(&user, given.password.is_some(), offered.as_ref())?;
    // Counted by session: whoever got hold of one slows down neither the user's others nor their log-ins.
    let admitted = app.throttle.admit(&format!("step-up#{session_id}"), network).await?;
    let proved = app.prove_again(&caller, &user, given.password, offered, &origin).await?;

    let now = app.clock.now();
    let session = app.accounts.session(&user.id, &session_id, now).await?;
    let session =
        session.ok_or_else(|| Problem::new(ProblemType::Unauthenticated, "the session is over: sign in again"))?;
    let session = session.proved_again(&proved.methods, now);
    let (membership, tenant) = app.place(&user.id, &session.tenant_id).await?;
    let record = origin.by(&caller, Action::SteppedUp, now, &app.random).on(session.id).with(proved.methods.join(" "));
    let mut writes = proved.writes;
    writes.push(app.accounts.session_changed(&session)?);
    writes.push(app.accounts.audit_write(&record)?);
    app.accounts.transact(writes).await.map_err(|error| match error {
        // The session was refreshed, or the code used.
        WriteError::Stale => raced(),
        error => error.into(),
    })?;
    app.throttle.succeeded(admitted).await?;
    if let Some(mail) = proved.notice {
        app.hurry(&mail).await;
    }
    app.access_token(&session, &membership, &tenant).await.map(Json)
}

/// Begin to prove yourself again with a passkey.
///
/// Give `options` to `navigator.credentials.get` as `publicKey` (`PublicKeyCredential.parseRequestOptionsFromJSON`), and
/// send what it makes with this answer's ticket to `/v1/auth/step-up`, as `passkey`.
#[utoipa::path(
    post, path = "/v1/auth/step-up/passkey", operation_id = "begin_step_up_passkey", tag = "auth",
    responses(
        (status = 200, description = "The options", body = PasskeyOptions),
        (status = 404, description = "not-found: there are no passkeys in this installation", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: the user has no passkey", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn begin_passkey(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
) -> Result<Json<PasskeyOptions>, Problem> {
    app.begin_known_passkey(&person(&caller)?, Ceremony::StepUp).await.map(Json)
}

/// Refuses what is less than a log-in of `user` asks for. A passkey is enough: it is both factors.
fn check_complete(user: &User, has_password: bool, offered: Option<&OfferedFactor>) -> Result<(), Problem> {
    if matches!(offered, Some(OfferedFactor::Passkey(_))) {
        return Ok(());
    }
    if user.password.is_none() && !user.second_factors.any() {
        let detail = "the account has neither password nor second factor: sign in again as you did";
        return Err(Problem::new(ProblemType::Conflict, detail));
    }
    if user.password.is_some() && !has_password {
        return Err(missing("/password", "is required"));
    }
    if user.second_factors.any() && offered.is_none() {
        return Err(missing("/totp", "is required, or recovery_code or passkey"));
    }
    Ok(())
}

impl App {
    /// Checks all that was sent; what is wrong is recorded, and answered 401.
    async fn prove_again(
        &self,
        caller: &Principal,
        user: &User,
        password: Option<Password>,
        offered: Option<OfferedFactor>,
        origin: &Origin,
    ) -> Result<ProvedFactor, Problem> {
        let mut proved = ProvedFactor { methods: Vec::new(), writes: Vec::new(), notice: None };
        if let Some(password) = password {
            let hash = user.password.clone().unwrap_or_else(PasswordHash::decoy);
            if !password.matches(hash).await.map_err(Problem::internal)? {
                let record = origin.by(caller, Action::SignInFailed, self.clock.now(), &self.random);
                self.audit_later(record.on(user.id).with("step-up")).await;
                return Err(Problem::new(ProblemType::InvalidCredentials, "the password is not right"));
            }
            proved.methods.push("pwd");
        }
        if let Some(offered) = offered {
            let who = Claimant { user, told: Some(caller.tenant), ceremony: Ceremony::StepUp };
            let factor = self.prove_factor(&who, offered, origin).await?;
            proved.methods.extend(factor.methods);
            proved.writes = factor.writes;
            proved.notice = factor.notice;
        }
        Ok(proved)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shared::id::TenantId;
    use shared::random::Random;
    use shared::time::Timestamp;

    use super::*;
    use crate::user::{SecondFactors, UserId};

    fn user(has_password: bool, has_totp: bool) -> User {
        let (now, random) = (Timestamp::UNIX_EPOCH, Random::seeded(1));
        User {
            id: UserId::new(now, &random),
            email: "ann@example.com".to_owned().try_into().unwrap(),
            email_verified_at: Some(now),
            name: None,
            password: has_password.then(PasswordHash::decoy),
            second_factors: SecondFactors { totp: has_totp, passkeys: 0 },
            home_tenant_id: TenantId::new(now, &random),
            first_tenant: None,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }

    #[test]
    fn as_much_is_asked_for_as_by_a_log_in() {
        let code = || Some(OfferedFactor::Totp("287082".to_owned()));
        // The user's password and app; whether a password and a code are sent; whether that is enough.
        for (set_up, sent, enough) in [
            ((true, false), (true, false), true),
            ((true, false), (false, false), false),
            ((true, true), (true, true), true),
            ((true, true), (true, false), false),
            ((true, true), (false, true), false),
            ((false, true), (false, true), true),
            ((false, true), (false, false), false),
            ((false, false), (true, true), false),
        ] {
            let offered = if sent.1 { code() } else { None };
            let checked = check_complete(&user(set_up.0, set_up.1), sent.0, offered.as_ref());
            assert_eq!(checked.is_ok(), enough, "{set_up:?} {sent:?}");
        }
    }
}
