//! What an application is told of who let it in, when it asked with `openid` (OpenID Connect Core 1.0, section 2).
//!
//! It says who, and how and when they signed in. The address and the name are at [`super::userinfo`] alone (section 5.4 has
//! them there whenever there is an access token), so that they are as of when they are asked for, and in no token that is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use ring::digest;
use serde::{Deserialize, Serialize};
use shared::identity::token::{ACCESS_TOKEN_LIFETIME, KeySet};
use shared::time::Timestamp;

use super::authorization::{AuthorizationCode, Denied};
use super::client::ClientId;
use crate::foreign_token::claims_of;
use crate::issue::assurance;
use crate::session::Session;
use crate::user::UserId;

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
    /// When the user signed in: what `max_age` is about.
    auth_time: i64,
    /// Which access token came with it.
    at_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    acr: &'static str,
    amr: Vec<String>,
}

impl IdToken {
    /// That of a session that a code opened, beside its access token.
    pub fn new(issuer: &str, code: &AuthorizationCode, session: &Session, access_token: &str, now: Timestamp) -> Self {
        let from = now.as_second();
        Self {
            iss: issuer.to_owned(),
            sub: session.user_id.to_string(),
            aud: code.client_id.to_string(),
            exp: from + ACCESS_TOKEN_LIFETIME.as_secs(),
            iat: from,
            auth_time: session.authenticated_at.as_second(),
            at_hash: at_hash(access_token),
            nonce: code.nonce.clone(),
            acr: assurance(&session.methods),
            amr: session.methods.clone(),
        }
    }
}

/// What is looked at of an id token that comes back.
#[derive(Deserialize)]
struct Hint {
    iss: String,
    aud: String,
    sub: UserId,
}

/// The user of an id token that `client` had of us and sends as `id_token_hint` (section 3.1.2.1). It says who is meant and
/// proves nothing, so that it may have expired; its key must be there still.
pub fn user_of(hint: &str, keys: &KeySet, issuer: &str, client: &ClientId) -> Result<UserId, Denied> {
    let keys = serde_json::to_value(keys).and_then(serde_json::from_value::<JwkSet>);
    let hint = keys.ok().and_then(|keys| claims_of::<Hint>(hint, &keys).ok());
    let hint = hint.filter(|hint| hint.iss == issuer && hint.aud == client.to_string());
    let detail = "id_token_hint is no id token of the client's, or an old one whose key is gone";
    hint.map(|hint| hint.sub).ok_or_else(|| Denied::new("invalid_request", detail))
}

/// The left half of the access token's hash (section 3.1.3.6). The hash is that of the id token's signature: Ed25519 has
/// SHA-512.
fn at_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA512, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_ref().split_at(digest::SHA512_OUTPUT_LEN / 2).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf %s jHkWEdUXMU1BwAsC4vtUsZwnvFvkt8Uf | openssl dgst -sha512 -binary | head -c 32 | basenc --base64url`.
    #[test]
    fn the_hash_of_an_access_token_is_the_left_half_of_its_sha_512() {
        assert_eq!(at_hash("jHkWEdUXMU1BwAsC4vtUsZwnvFvkt8Uf"), "MKs3ahNP9s7Ak_8AiVbzzL71zRdtBShk0cqgm8PAzxQ");
    }
}
