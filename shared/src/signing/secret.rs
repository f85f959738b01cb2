//! The secrets of HMAC-SHA256.

use std::fmt;
use std::str::FromStr;

use ring::hmac;
use serde::{Deserialize, Deserializer, Serializer};
use subtle::ConstantTimeEq as _;

use super::key::{InvalidKey, bytes, parsed, text};
use crate::config::Secret;
use crate::random::Random;

const PREFIX: &str = "whsec_";

/// A secret of 24 to 64 bytes that sender and receiver share (`whsec_…`). It does not print.
#[derive(Clone)]
pub struct SigningSecret {
    text: Secret,
    key: hmac::Key,
}

impl SigningSecret {
    /// A new secret of 32 bytes.
    pub fn generate(random: &Random) -> Self {
        Self::of_bytes(&random.bytes::<32>())
    }

    fn of_bytes(bytes: &[u8]) -> Self {
        Self { text: Secret::new(text(PREFIX, bytes)), key: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }

    /// The secret's text, to be shown once.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    pub(super) fn sign(&self, content: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, content)
    }

    /// Whether one of the signatures is this secret's, found without telling how much of one was right.
    pub(super) fn has_signed(&self, content: &[u8], signatures: &[Vec<u8>]) -> bool {
        let right = self.sign(content);
        signatures.iter().any(|signature| right.as_ref().ct_eq(signature).into())
    }

    /// Writes the secret's text for a store: `#[serde(serialize_with = "SigningSecret::store")]`. There is no
    /// `Serialize`, so that no answer has a secret by accident.
    pub fn store<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl FromStr for SigningSecret {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = bytes(PREFIX, text)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self::of_bytes(&bytes)) } else { Err(InvalidKey::Length(bytes.len())) }
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningSecret(…)")
    }
}

impl<'de> Deserialize<'de> for SigningSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}
