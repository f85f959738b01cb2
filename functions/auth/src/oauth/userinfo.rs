//! `GET /oauth/userinfo`, `POST /oauth/userinfo`: who let an application in (OpenID Connect Core 1.0, section 5.3).
//!
//! The access token goes in the `Authorization` header alone: a form with `access_token` (RFC 6750, section 2.2) is not
//! read. The answer is what the account has at this moment. What ends the token (a session that is over, a member who is
//! suspended or removed, a deleted account) ends it at once.
//!
//! # Calls
//! Five reads that ask whether the token was revoked, and one of the user.

use axum::extract::State;
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use serde::Serialize;
use shared::http::{Document, Json, Problem, ProblemType};
use shared::identity::{OpenIdCaller, Scopes};
use utoipa::ToSchema;

use super::grant::{self, EMAIL, PROFILE};
use crate::app::{App, person};
use crate::user::User;

/// Who let the application in. A claim that the account has no value for, or that the token has no scope for, is not there.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "sub": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "email": "ann@example.com", "email_verified": true, "name": "Ann",
    "updated_at": 1_778_146_200,
}))]
pub struct UserInfo {
    /// The user: the `sub` of the id token.
    sub: String,
    /// The address, with `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// Whether the address was proved, with `email`.
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    /// What the user is called, with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// When the account was last changed, in seconds since the Unix epoch, with `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<i64>,
}

impl UserInfo {
    /// What a token with these scopes is told of `user` (section 5.4).
    fn of(user: &User, scopes: &Scopes) -> Self {
        let (email, profile) = (grant::has(scopes, EMAIL), grant::has(scopes, PROFILE));
        Self {
            sub: user.id.to_string(),
            email: email.then(|| user.email.to_string()),
            email_verified: email.then(|| user.is_verified()),
            name: user.name.as_ref().filter(|_| profile).map(ToString::to_string),
            updated_at: profile.then(|| user.updated_at.as_second()),
        }
    }
}

/// Who the user is.
///
/// For an application that acts for a user, with the scope `openid`; more with `email` and `profile`.
#[utoipa::path(
    get, path = "/oauth/userinfo", operation_id = "oauth_userinfo", tag = "oauth",
    responses(
        (status = 200, description = "The claims", body = UserInfo),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn userinfo(State(app): State<App>, caller: OpenIdCaller) -> Result<Json<UserInfo>, Problem> {
    app.user_info(&caller).await
}

/// Who the user is, by POST.
///
/// The same for clients that post. The access token is in the `Authorization` header here, too; a body is not read.
#[utoipa::path(
    post, path = "/oauth/userinfo", operation_id = "oauth_userinfo_by_post", tag = "oauth",
    responses(
        (status = 200, description = "The claims", body = UserInfo),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn userinfo_by_post(State(app): State<App>, caller: OpenIdCaller) -> Result<Json<UserInfo>, Problem> {
    app.user_info(&caller).await
}

impl App {
    async fn user_info(&self, caller: &OpenIdCaller) -> Result<Json<UserInfo>, Problem> {
        let user = self.accounts.user(&person(caller)?).await?.ok_or_else(gone)?;
        Ok(Json(UserInfo::of(&user, &caller.scopes)))
    }
}

/// The token outlived the account: RFC 6750, section 3.1.
fn gone() -> Problem {
    let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
    Problem::new(ProblemType::Unauthenticated, "the access token is not valid").header(WWW_AUTHENTICATE, challenge)
}
