//! `/v1/auth/password/…`: a forgotten password, and a new one.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use shared::dynamo::AttributeValue;
use shared::http::{ClientNetwork, Document, Json, NoContent, Problem, ProblemType};
use shared::id::TenantId;
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use super::email::{Address, invalid};
use super::factors::raced;
use super::logout::session_of;
use super::signup::CheckYourMail;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::mail::task::Occasion;
use crate::mail::templates::Message;
use crate::one_time::{PasswordSeal, Purpose, Ticket};
use crate::password::{Password, PasswordHash};
use crate::session::SessionId;
use crate::store::{Write, WriteError};
use crate::throttle::MailKind;
use crate::user::{Name, User};

/// A new password by mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// The token of the mail's link.
    #[schema(example = "tf_ot_…")]
    token: String,
    /// The new password.
    new_password: Password,
}

/// A new password by the present one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The present password.
    current_password: Password,
    /// The new one.
    new_password: Password,
}

/// Ask for a new password.
///
/// The answer is the same for every address; a mail goes to one that has an account.
#[utoipa::path(
    post, path = "/v1/auth/password/forgot", operation_id = "forgot_password", tag = "auth",
    request_body(content = Address, example = json!({"email": "ann@example.com"})),
    responses(
        (status = 202, description = "If there is an account, a mail is on its way", body = CheckYourMail),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn forgot(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(Address { email }): Json<Address>,
) -> Result<Response, Problem> {
    app.throttle.admit_mail(MailKind::ResetPassword, &email.hash(), network).await?;
    app.ask_for_mail(Occasion::ResetPassword { email: email.clone() }).await?;
    let accounts = app.accounts.clone();
    let found = async move { accounts.user_by_email(&email).await };
    app.audit_whom_later(found, Action::PasswordResetRequested, None, origin).await;
    Ok(CheckYourMail::answer())
}

/// Set a new password by mail.
///
/// Ends all sessions of the user. The token is good once, and used up only if the new password may be chosen. It is void
/// once the password was set or changed otherwise.
#[utoipa::path(
    post, path = "/v1/auth/password/reset", operation_id = "reset_password", tag = "auth",
    request_body(content = Reset, example = json!({"token": "tf_ot_Vx2…", "new_password": "another-harbour-seventeen"})),
    responses(
        (status = 204, description = "The password is set: sign in with it"),
        (status = 400, description = "invalid-one-time-token", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: another request changed the account meanwhile: try again", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation: the password may not be chosen", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn reset(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<Reset>,
) -> Result<NoContent, Problem> {
    app.throttle.admit_network(network).await?;
    let ticket = given.token.parse::<Ticket>().map_err(|_| invalid())?.hash();
    let one_time = app.accounts.ticket(&ticket, app.clock.now()).await?.ok_or_else(invalid)?;
    let Purpose::ResetPassword { user_id, email, before } = one_time.purpose else { return Err(invalid()) };
    let user = app.accounts.user(&user_id).await?.ok_or_else(invalid)?;
    // The account may have another address or password by now.
    if user.email != email || PasswordSeal::of(user.password.as_ref()) != before {
        return Err(invalid());
    }
    // Whoever reads the mail has the address: it is proved. Whoever signed up with it may be another.
    let is_new = !user.is_verified();
    let user = if is_new { user.without_choices() } else { user };
    let (user, proof) = app.with_proof(user, &origin).await?;
    let told = if is_new { Some(user.home_tenant_id) } else { app.seat(&user).await? };
    let along = proof.writes.into_iter().chain([app.accounts.ticket_used(&ticket)]).collect();
    let new = NewPassword { user, password: given.new_password, kept: None, action: Action::PasswordReset, told };
    match app.set_password(new, proof.outbox, along, &origin).await? {
        Some(done) => Ok(done),
        // The token may be the loser's, and good.
        None if app.accounts.ticket(&ticket, app.clock.now()).await?.is_some() => Err(raced()),
        None => Err(invalid()),
    }
}

/// Change the password.
///
/// Ends all other sessions of the user.
#[utoipa::path(
    post, path = "/v1/auth/password/change", operation_id = "change_password", tag = "account",
    request_body(content = Change, example = json!({"current_password": "walnut-harbour-sixteen", "new_password": "another-harbour-seventeen"})),
    responses(
        (status = 204, description = "The password is changed"),
        (status = 401, description = "invalid-credentials: the present password is another", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: another request changed the account meanwhile: try again", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation: the password may not be chosen", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<Change>,
) -> Result<NoContent, Problem> {
    let (user, session) = (app.me(&person(&caller)?).await?, session_of(&caller)?);
    let admitted = app.throttle.admit(&format!("change#{}", user.id), network).await?;
    let hash = user.password.clone().unwrap_or_else(PasswordHash::decoy);
    if !given.current_password.matches(hash).await.map_err(Problem::internal)? {
        let record = origin.by(&caller, Action::SignInFailed, app.clock.now(), &app.random);
        app.audit_later(record.on(user.id).with("password change")).await;
        return Err(Problem::new(ProblemType::InvalidCredentials, "the present password is another"));
    }
    app.throttle.succeeded(admitted).await?;
    let (kept, action) = (Some(session), Action::PasswordChanged);
    let told = app.seat(&user).await?;
    let new = NewPassword { user, password: given.new_password, kept, action, told };
    app.set_password(new, None, Vec::new(), &origin).await?.ok_or_else(raced)
}

/// A password that is to be set.
struct NewPassword {
    user: User,
    password: Password,
    /// The session that goes on.
    kept: Option<SessionId>,
    action: Action,
    /// In whose audit trail it is told.
    told: Option<TenantId>,
}

impl App {
    /// Sets a user's password, ends all sessions but the kept one, and tells the user: all or nothing. None when another
    /// request was between: it used a ticket up that goes along, or changed the account.
    async fn set_password(
        &self,
        new: NewPassword,
        outbox: Option<AttributeValue>,
        along: Vec<Write>,
        origin: &Origin,
    ) -> Result<Option<NoContent>, Problem> {
        let NewPassword { user, password, kept, action, told } = new;
        let name = user.name.as_ref().map_or("", Name::as_str);
        let checked = password.check_choice(&[user.email.as_str(), name, &self.product_name]);
        checked.map_err(|refusal| refusal.at("/new_password"))?;
        let hash = password.hashed(&self.random).await.map_err(Problem::internal)?;
        let now = self.clock.now();
        let user = User { password: Some(hash), ..user }.changed(now);
        let letter = Message::PasswordChanged { occurrence: origin.occurrence(now) };
        let (mail, mail_write) =
            self.mail(Occasion::Notice { user_id: user.id, email: None, letter: Box::new(letter) })?;
        let (ended, count) = self.accounts.sessions_ended(&user.id, kept.as_ref(), now).await?;
        let mut writes = along;
        writes.push(mail_write);
        if let Some(tenant) = told {
            let record = origin.record(tenant, action, user.id, now, &self.random);
            writes.push(self.accounts.audit_write(&record.with(format!("{count} sessions ended")))?);
        }
        writes.extend(ended);
        match self.accounts.update_user(&user, outbox, writes).await {
            Ok(()) => {}
            Err(WriteError::Stale) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        self.hurry(&mail).await;
        // A log-in by the old password may have been faster than the write, and was not there when the sessions were
        // read. After the write there is none.
        if let Err(error) = self.accounts.end_sessions(&user.id, kept.as_ref(), now).await {
            tracing::error!(error = shared::telemetry::chain(&error), "sessions may have outlived their password");
        }
        Ok(Some(NoContent))
    }
}
