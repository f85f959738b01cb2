//! What the kinds of keys have in common: a text, base64 behind a prefix that says which kind it is.

use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

use super::key_pair::{PublicKey, SigningKey};
use super::secret::SigningSecret;

/// Standard base64. Some libraries leave the padding out.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// HMAC-SHA256, as it is named before a signature.
pub(super) const HMAC_SHA256: &str = "v1";

/// Ed25519, likewise.
pub(super) const ED25519: &str = "v1a";

/// What signs: a secret or a private key. It does not print.
#[derive(Clone, Debug)]
pub enum Key {
    /// For HMAC-SHA256.
    Secret(SigningSecret),
    /// For Ed25519.
    Private(SigningKey),
}

impl Key {
    /// The key's text, to be shown once.
    pub fn expose(&self) -> &str {
        match self {
            Self::Secret(secret) => secret.expose(),
            Self::Private(key) => key.expose(),
        }
    }

    /// What may be told of it to anybody: nothing of a secret.
    pub const fn public(&self) -> Option<PublicKey> {
        match self {
            Self::Secret(_) => None,
            Self::Private(key) => Some(key.public()),
        }
    }

    /// Writes the key's text for a store: `#[serde(serialize_with = "Key::store")]`. There is no `Serialize`, so that no
    /// answer has a secret by accident.
    pub fn store<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }

    /// A signature as the header has it.
    pub(super) fn sign(&self, content: &[u8]) -> String {
        match self {
            Self::Secret(secret) => format!("{HMAC_SHA256},{}", BASE64.encode(secret.sign(content))),
            Self::Private(key) => format!("{ED25519},{}", BASE64.encode(key.sign(content))),
        }
    }
}

/// Parses the text of either kind.
impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text.parse() {
            Err(InvalidKey::Prefix) => text.parse().map(Self::Private),
            secret => secret.map(Self::Secret),
        }
    }
}

impl From<SigningSecret> for Key {
    fn from(secret: SigningSecret) -> Self {
        Self::Secret(secret)
    }
}

impl From<SigningKey> for Key {
    fn from(key: SigningKey) -> Self {
        Self::Private(key)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// What verifies: a secret or a public key. A secret does not print.
#[derive(Clone, Debug)]
pub enum VerifyingKey {
    /// For HMAC-SHA256.
    Secret(SigningSecret),
    /// For Ed25519.
    Public(PublicKey),
}

/// Parses the text of either kind.
impl FromStr for VerifyingKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        match text.parse() {
            Err(InvalidKey::Prefix) => text.parse().map(Self::Public),
            secret => secret.map(Self::Secret),
        }
    }
}

impl From<SigningSecret> for VerifyingKey {
    fn from(secret: SigningSecret) -> Self {
        Self::Secret(secret)
    }
}

impl From<PublicKey> for VerifyingKey {
    fn from(key: PublicKey) -> Self {
        Self::Public(key)
    }
}

/// A text is not a key of the kind that it should be. The message does not tell the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It begins otherwise.
    #[error("the key does not have the prefix of its kind")]
    Prefix,
    /// What follows the prefix is not base64.
    #[error("the key is not base64 after its prefix")]
    Base64,
    /// This number of bytes is not a length of its kind.
    #[error("the key has a wrong length of {0} bytes")]
    Length(usize),
    /// The second half of a private key is not its public key.
    #[error("the key's public half does not belong to its private half")]
    Mismatch,
}

pub(super) fn text(prefix: &str, bytes: &[u8]) -> String {
    format!("{prefix}{}", BASE64.encode(bytes))
}

pub(super) fn bytes(prefix: &str, text: &str) -> Result<Vec<u8>, InvalidKey> {
    let base64 = text.strip_prefix(prefix).ok_or(InvalidKey::Prefix)?;
    BASE64.decode(base64).map_err(|_| InvalidKey::Base64)
}

pub(super) fn parsed<'de, K, D>(deserializer: D) -> Result<K, D::Error>
where
    K: FromStr<Err = InvalidKey>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
