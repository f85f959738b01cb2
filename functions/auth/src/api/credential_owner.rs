//! The extractor of the endpoints that change what signs a user in, or end the account. A change of the password is none of
//! them: it is proved by the present one.

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use shared::http::{Problem, ProblemType};
use shared::identity::{Sensitive, permission};

use super::logout::session_of;
use crate::app::{App, person};
use crate::issue::{TWO_FACTORS, assurance};
use crate::user::User;

/// A user who may change their own credentials: one who has signed in within the time of [`Sensitive`], with a second factor
/// when one is set up. Whoever has no more than the password cannot change the factors that stand beside it, nor end the account.
#[derive(Debug)]
pub struct CredentialOwner {
    /// Who calls.
    pub(crate) caller: Sensitive<permission::WriteAccount>,
    /// The caller's own record.
    pub(crate) user: User,
}

impl FromRequestParts<App> for CredentialOwner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let caller = Sensitive::<permission::WriteAccount>::from_request_parts(parts, app).await?;
        let user = app.me(&person(&caller)?).await?;
        if user.second_factors.any() {
            let session = app.accounts.session(&user.id, &session_of(&caller)?, app.clock.now()).await?;
            if session.is_none_or(|session| assurance(&session.methods) != TWO_FACTORS) {
                return Err(second_factor_required());
            }
        }
        Ok(Self { caller, user })
    }
}

/// RFC 9470, section 3.
fn second_factor_required() -> Problem {
    let problem = Problem::new(ProblemType::StepUpRequired, "prove a second factor at /v1/auth/step-up");
    match HeaderValue::try_from(format!(
        r#"Bearer error="insufficient_user_authentication", acr_values="{TWO_FACTORS}""#
    )) {
        Ok(challenge) => problem.header(WWW_AUTHENTICATE, challenge),
        Err(error) => Problem::internal(error),
    }
}
