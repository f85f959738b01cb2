//! What an application is told of who let it in, when it asked with `openid` (OpenID Connect Core 1.0, section 2).

use serde::Serialize;
use shared::identity::token::ACCESS_TOKEN_LIFETIME;
use shared::time::Timestamp;

use super::authorization::AuthorizationCode;
use crate::issue::assurance;
use crate::session::Session;

/// The claims of an id token.
#[derive(Debug, Serialize)]
pub struct IdToken {
    iss: String,
    /// The user: the same for every client.
    sub: String,
    /// The client.
    aud: String,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    acr: &'static str,
    amr: Vec<String>,
}

impl IdToken {
    /// That of a session that a code opened.
    pub fn new(issuer: &str, code: &AuthorizationCode, session: &Session, now: Timestamp) -> Self {
        let from = now.as_second();
        Self {
            iss: issuer.to_owned(),
            sub: session.user_id.to_string(),
            aud: code.client_id.to_string(),
            exp: from + ACCESS_TOKEN_LIFETIME.as_secs(),
            iat: from,
            auth_time: session.authenticated_at.as_second(),
            nonce: code.nonce.clone(),
            acr: assurance(&session.methods),
            amr: session.methods.clone(),
        }
    }
}
