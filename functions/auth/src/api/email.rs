//! `/v1/auth/email/…`: proving an address, and changing it.

mod proof;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shared::http::{ClientNetwork, Document, FieldError, Json, Problem, ProblemType};
use utoipa::ToSchema;

use super::credential_owner::CredentialOwner;
use super::logout::session_of;
use super::signup::CheckYourMail;
use crate::app::App;
use crate::audit::Origin;
use crate::email::EmailAddress;
use crate::mail::task::Occasion;
use crate::mail::worker::VERIFY;
use crate::one_time::{AddressChange, Code, Purpose, Ticket, TicketHash};
use crate::throttle::MailKind;

/// What proves an address: the token of the mail's link, or its code with the address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// The token of the link.
    #[serde(default)]
    #[schema(example = "tf_ot_…")]
    token: Option<String>,
    /// The address, with `code`.
    #[serde(default)]
    email: Option<EmailAddress>,
    /// The code, with `email`. After five wrong tries the link alone is good.
    #[serde(default)]
    code: Option<String>,
}

/// The address was proved.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verified {
    /// `verified`.
    #[schema(example = "verified")]
    status: &'static str,
    /// The address.
    #[schema(example = "ann@example.com")]
    email: String,
}

/// An address.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The address.
    pub(super) email: EmailAddress,
}

/// Prove an address.
///
/// By the token of the mail's link, or by its code together with the address. It is good once.
#[utoipa::path(
    post, path = "/v1/auth/email/verify", operation_id = "verify_email", tag = "auth",
    request_body(content = Verification, example = json!({"token": "tf_ot_Vx2…"})),
    responses(
        (status = 200, description = "The address is proved", body = Verified),
        (status = 400, description = "invalid-one-time-token", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn verify(
    State(app): State<App>,
    network: ClientNetwork,
    origin: Origin,
    Json(given): Json<Verification>,
) -> Result<Json<Verified>, Problem> {
    let (ticket, one_time) = match (given.token, given.email, given.code) {
        (Some(token), None, None) => {
            app.throttle.admit_network(network).await?;
            let ticket = token.parse::<Ticket>().map_err(|_| invalid())?.hash();
            let one_time = app.accounts.ticket(&ticket, app.clock.now()).await?.ok_or_else(invalid)?;
            (ticket, one_time)
        }
        (None, Some(email), Some(code)) => {
            let ticket = TicketHash::of_address(VERIFY, &email);
            // Each new mail has a new code with tries of its own, so that tries for the address are slowed down too.
            let admitted = app.throttle.admit(&format!("verify#{}", email.hash()), network).await?;
            let one_time = app.check_code(&ticket, &Code::typed(&code)).await?;
            app.throttle.succeeded(admitted).await?;
            (ticket, one_time)
        }
        _ => {
            let fault = FieldError::new("", "one_of", "send token alone, or email and code");
            return Err(Problem::validation(vec![fault]));
        }
    };
    let Purpose::VerifyEmail { user_id, email, change } = one_time.purpose else { return Err(invalid()) };
    let user = app.accounts.user(&user_id).await?.ok_or_else(invalid)?;
    match change {
        None => app.address_proved(&user, &email, &ticket, &origin).await?,
        Some(change) => app.address_changed(&user, &email, &change, &ticket, &origin).await?,
    }
    Ok(Json(Verified { status: "verified", email: email.to_string() }))
}

/// Send the mail again.
///
/// The answer is the same for every address; a mail goes to one whose account is not verified yet.
#[utoipa::path(
    post, path = "/v1/auth/email/verify/resend", operation_id = "resend_verification", tag = "auth",
    request_body(content = Address, example = json!({"email": "ann@example.com"})),
    responses(
        (status = 202, description = "If there is something to prove, a mail is on its way", body = CheckYourMail),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn resend(
    State(app): State<App>,
    network: ClientNetwork,
    Json(Address { email }): Json<Address>,
) -> Result<Response, Problem> {
    app.throttle.admit_mail(MailKind::VerifyEmail, &email.hash(), network).await?;
    app.ask_for_mail(Occasion::VerifyEmail { email }).await?;
    Ok(CheckYourMail::answer())
}

/// Change the address.
///
/// A mail goes to the new one; it is the account's when it is proved within 48 hours, and while the session that asked
/// lasts. Until then the present one stays. It needs a sign-in within the last 15 minutes, with a second factor where one
/// is set up.
#[utoipa::path(
    post, path = "/v1/auth/email/change", operation_id = "change_email", tag = "account",
    request_body(content = Address, example = json!({"email": "ann@example.org"})),
    responses(
        (status = 202, description = "A mail is on its way to the new address", body = CheckYourMail),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn change(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    network: ClientNetwork,
    Json(Address { email }): Json<Address>,
) -> Result<Response, Problem> {
    let session_id = session_of(&caller)?;
    if email == user.email {
        let fault = FieldError::new("/email", "unchanged", "is the address of the account");
        return Err(Problem::validation(vec![fault]));
    }
    app.throttle.admit_mail(MailKind::ChangeEmail, &email.hash(), network).await?;
    let change = AddressChange { session_id, from: user.email };
    app.ask_for_mail(Occasion::ChangeEmail { user_id: user.id, email, change }).await?;
    Ok(CheckYourMail::answer())
}

/// The one answer to a token or code that is not good (any more).
pub fn invalid() -> Problem {
    Problem::new(ProblemType::InvalidOneTimeToken, "it is wrong, was used, or its time is over: ask for a new one")
}
