//! Refresh tokens: who and which session, a part that a family has in common, and a secret of each one's own.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;
use shared::random::Random;

use super::SessionId;
use crate::user::UserId;

/// The beginning of every refresh token, by which secret scanners know it.
const PREFIX: &str = "tf_rt_";
/// Bytes of what the tokens of a family have in common.
const FAMILY: usize = 16;
/// Bytes of a token's own secret.
const SECRET: usize = 32;

/// A refresh token, secret included. It does not print.
#[derive(Clone)]
pub struct RefreshToken {
    user_id: UserId,
    session_id: SessionId,
    family: [u8; FAMILY],
    secret: [u8; SECRET],
}

/// The SHA-256 of a part of a refresh token, base64url. Both parts are random, so a slow hash would add nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(String);

/// A text is not a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not have the form of a refresh token")]
pub struct InvalidRefreshToken;

impl RefreshToken {
    /// Whose session it belongs to.
    pub const fn user_id(&self) -> UserId {
        self.user_id
    }

    /// The session.
    pub const fn session_id(&self) -> SessionId {
        self.session_id
    }

    /// The text, for the client alone.
    pub fn expose(&self) -> String {
        let user = self.user_id.to_string();
        let session = self.session_id.to_string();
        let digits = |id: &str| id.rsplit_once('_').map_or_else(String::new, |(_, digits)| digits.to_owned());
        let secrets = [self.family.as_slice(), &self.secret].concat();
        format!("{PREFIX}{}{}{}", digits(&user), digits(&session), URL_SAFE_NO_PAD.encode(secrets))
    }

    /// The first token of a session.
    pub(super) fn first(user_id: UserId, session_id: SessionId, random: &Random) -> Self {
        Self { user_id, session_id, family: random.bytes(), secret: random.bytes() }
    }

    /// What all of its family have in common.
    pub(super) fn family(&self) -> TokenHash {
        TokenHash::of(&self.family)
    }

    /// What it is stored by.
    pub(super) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.secret)
    }

    /// What a successor is made with, base64url.
    pub(super) fn salt(random: &Random) -> String {
        URL_SAFE_NO_PAD.encode(random.bytes::<SECRET>())
    }

    /// The token after it: the same for the same salt.
    pub(super) fn successor(&self, salt: &str) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes()), &self.secret);
        let mut secret = [0; SECRET];
        secret.copy_from_slice(tag.as_ref());
        Self { secret, ..*self }
    }
}

impl FromStr for RefreshToken {
    type Err = InvalidRefreshToken;

    fn from_str(text: &str) -> Result<Self, InvalidRefreshToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(InvalidRefreshToken)?;
        let (user, rest) = rest.split_at_checked(26).ok_or(InvalidRefreshToken)?;
        let (session, secrets) = rest.split_at_checked(26).ok_or(InvalidRefreshToken)?;
        let secrets = URL_SAFE_NO_PAD.decode(secrets).map_err(|_| InvalidRefreshToken)?;
        let (family, secret) = secrets.split_first_chunk().ok_or(InvalidRefreshToken)?;
        Ok(Self {
            user_id: format!("user_{user}").parse().map_err(|_| InvalidRefreshToken)?,
            session_id: format!("session_{session}").parse().map_err(|_| InvalidRefreshToken)?,
            family: *family,
            secret: secret.try_into().map_err(|_| InvalidRefreshToken)?,
        })
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RefreshToken({})", self.session_id)
    }
}

impl TokenHash {
    fn of(secret: &[u8]) -> Self {
        Self(sha256_base64url(secret))
    }

    /// In constant time.
    pub(super) fn matches(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), other.0.as_bytes()).into()
    }
}
