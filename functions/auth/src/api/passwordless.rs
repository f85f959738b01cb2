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
use crate::audit::Origin;
use crate::email::EmailAddress;
use crate::issue::Proved;
use crate::mail::task::Occasion;
use crate::one_time::{Code, OneTime, Purpose, Ticket, TicketHash};
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
    app.throttle.admit_mail(&email.hash(), network).await?;
    let ticket = Ticket::draw(&app.random);
    // Kept for every address; the worker adds whose it is, and the code.
    let purpose = Purpose::PasswordlessSignIn { user_id: None, address: email.hash(), tenant_id };
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
/// With the ticket and the code, or with the token of the link alone. After five wrong codes the ticket is void, and after
/// some for one address each further one waits longer; the link works all the same. It proves the address, too: a password
/// that was chosen before that is forgotten, as somebody else may have chosen it.
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
    let Purpose::PasswordlessSignIn { address, .. } = &one_time.purpose else { return Err(invalid()) };
    let one_time = match &given.code {
        Some(code) => {
            // A ticket with five tries is had for the asking: what slows guessing down is counted for the address.
            let admitted = app.throttle.admit_subject(&format!("sign-in-code#{address}")).await?;
            let one_time = app.check_code(&ticket, &Code::typed(code)).await?;
            app.throttle.succeeded(admitted).await?;
            one_time
        }
        // A ticket that goes with a code is not good without it.
        None if one_time.code.is_some() => return Err(invalid()),
        None => one_time,
    };
    // Without a user it waits for its code, or there is no account.
    let Purpose::PasswordlessSignIn { user_id: Some(user_id), address, tenant_id } = one_time.purpose else {
        return Err(invalid());
    };
    let user = app.accounts.user(&user_id).await?;
    // The mail went to an address that is not the user's any more.
    let user = user.filter(|user| user.email.hash() == address).ok_or_else(invalid)?;
    app.sign_in_by_mail(user, tenant_id, &ticket, &origin).await
}

impl App {
    /// Signs a user in whose mail was read just now. An address that was not proved before is now, and the password goes:
    /// whoever signed up with it may be another than who reads the mail.
    async fn sign_in_by_mail(
        &self,
        user: User,
        tenant_id: Option<TenantId>,
        ticket: &TicketHash,
        origin: &Origin,
    ) -> Result<LogInAnswer, Problem> {
        let mut along = vec![self.accounts.ticket_used(ticket)];
        let (user, user_write) = if user.is_verified() {
            let unchanged = self.accounts.user_unchanged(&user);
            (user, unchanged)
        } else {
            let (user, proof) = self.with_proof(user, origin)?;
            along.extend(proof.record);
            let user = User { password: None, ..user }.changed(self.clock.now());
            let write = self.accounts.user_write(&user, proof.outbox)?;
            (user, write)
        };
        let proved = Proved { user: &user, tenant_id, methods: vec!["otp".to_owned()], origin };
        self.proved_first_factor(proved, user_write, along).await
    }
}
