//! `/v1/auth/passwordless/…`: signing in by mail.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::http::{ClientNetwork, Document, Json, Problem};
use shared::id::TenantId;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::email::invalid;
use super::login::LogInAnswer;
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::email::EmailAddress;
use crate::issue::{Proved, used_already};
use crate::mail::task::Occasion;
use crate::one_time::{Code, OneTime, Purpose, Ticket};
use crate::throttle::MailKind;
use crate::user::User;

/// Who wants to sign in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PasswordlessStart)]
pub struct Start {
    /// The account's address.
    email: EmailAddress,
    /// The tenant that the tokens shall name, of those that the user is a member of.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// The answer, whether the address has an account or not.
#[derive(Serialize, ToSchema)]
pub struct Started {
    /// `check_your_mail`.
    #[schema(example = "check_your_mail")]
    status: &'static str,
    /// Send it with the code of the mail.
    #[schema(example = "tf_ot_…")]
    ticket: String,
    /// Until when both are good.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    expires_at: Timestamp,
}

/// The ticket with the code of the mail; or the token of its link, which needs no code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// The ticket of the start, or the token of the mail's link.
    #[schema(example = "tf_ot_…")]
    ticket: String,
    /// The code of the mail.
    #[serde(default)]
    code: Option<String>,
}

/// Begin to sign in by mail.
///
/// The mail has a link, and a code for the program that asked. The answer is the same for every address.
#[utoipa::path(
    post, path = "/v1/auth/passwordless/start", operation_id = "start_passwordless", tag = "auth",
    request_body(content = Start, example = json!({"email": "ann@example.com"})),
    responses(
        (status = 202, description = "If there is an account, a mail is on its way", body = Started),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn start(
    State(app): State<App>,
    network: ClientNetwork,
    Json(Start { email, tenant_id }): Json<Start>,
) -> Result<Response, Problem> {
    app.throttle.admit_mail(MailKind::SignIn, &email.hash(), network).await?;
    let ticket = Ticket::draw(&app.random);
    // Kept for every address; the worker adds whose it is, and the code.
    let purpose = Purpose::PasswordlessSignIn { user_id: None, asked_by: None, address: email.hash(), tenant_id };
    let one_time = OneTime::new(purpose, app.clock.now());
    let occasion = Occasion::SignIn { email, ticket: ticket.hash(), tenant_id };
    let (mail, mail_write) = app.mail(occasion)?;
    app.accounts.transact(vec![app.accounts.ticket_write(&ticket.hash(), &one_time)?, mail_write]).await?;
    app.hurry(&mail).await;
    let answer = Started { status: "check_your_mail", ticket: ticket.expose(), expires_at: one_time.expires_at };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// Sign in by mail.
///
/// With the ticket and the code, or with the token of the link alone: a mail signs in once. After five wrong codes the
/// ticket is void, and after some for one address each further one waits longer; the link works all the same. It proves the
/// address, too: password, name and tenant that were chosen before that are forgotten, as somebody else may have chosen
/// them.
#[utoipa::path(
    post, path = "/v1/auth/passwordless/verify", operation_id = "finish_passwordless", tag = "auth",
    request_body(content = Finish, example = json!({"ticket": "tf_ot_Vx2…", "code": "194 822"})),
    responses(
        (status = 200, description = "The tokens, or the ticket for the second factor", body = LogInAnswer),
        (status = 400, description = "invalid-one-time-token", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "forbidden: no active membership in the tenant", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn verify(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<Finish>,
) -> Result<LogInAnswer, Problem> {
    app.throttle.admit_network(network).await?;
    let ticket = given.ticket.parse::<Ticket>().map_err(|_| invalid())?.hash();
    let one_time = app.accounts.ticket(&ticket, app.clock.now()).await?.ok_or_else(invalid)?;
    let Purpose::PasswordlessSignIn { address, user_id, .. } = &one_time.purpose else { return Err(invalid()) };
    let one_time = match &given.code {
        Some(code) => {
            // A ticket with five tries is had for the asking: what slows guessing down is counted for the address.
            let admitted = app.throttle.admit_subject(&format!("sign-in-code#{address}")).await?;
            match app.check_code(&ticket, &Code::typed(code)).await {
                Ok(one_time) => {
                    app.throttle.succeeded(admitted).await?;
                    one_time
                }
                Err(problem) => {
                    let (accounts, user_id) = (app.accounts.clone(), *user_id);
                    let found = async move {
                        match user_id {
                            Some(user_id) => accounts.user(&user_id).await,
                            None => Ok(None),
                        }
                    };
                    app.audit_whom_later(found, Action::SignInFailed, Some("wrong code of a mail"), origin).await;
                    return Err(problem);
                }
            }
        }
        // A ticket that goes with a code is not good without it.
        None if one_time.code.is_some() => return Err(invalid()),
        None => one_time,
    };
    // Without a user it waits for its code, or there is no account.
    let Purpose::PasswordlessSignIn { user_id: Some(user_id), asked_by, address, tenant_id } = one_time.purpose else {
        return Err(invalid());
    };
    let user = app.accounts.user(&user_id).await?;
    // The mail went to an address that is not the user's any more.
    let user = user.filter(|user| user.email.hash() == address).ok_or_else(invalid)?;
    let user = if user.is_verified() { user } else { app.proved_by_mail(user, &origin).await? };
    let used_up = [Some(&ticket), asked_by.as_ref()].into_iter().flatten();
    let along = used_up.map(|ticket| app.accounts.ticket_used(ticket)).collect();
    let proved = Proved { user: &user, tenant_id, methods: vec!["otp".to_owned()], device: None, origin: &origin };
    app.proved_first_factor(proved, along).await
}

impl App {
    /// A user whose mail was read just now, and whose address was not proved before. Before the sign-in, which needs the
    /// tenant; when that fails the address stays proved, as it is.
    async fn proved_by_mail(&self, user: User, origin: &Origin) -> Result<User, Problem> {
        let (user, proof) = self.with_proof(user.without_choices(), origin).await?;
        let user = user.changed(self.clock.now());
        self.accounts.update_user(&user, proof.outbox, proof.writes).await.map_err(used_already)?;
        Ok(user)
    }
}
