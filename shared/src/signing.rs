//! Signatures of requests by [Standard Webhooks]: of those that this backend sends, and of those that it receives.
//!
//! A request says in three headers its id, when it is sent, and one signature for each key of its sender. A [`Signer`]
//! makes them and a [`Verifier`] checks them. There are two schemes: `v1`, HMAC-SHA256 with a [`SigningSecret`] that both
//! sides know, and `v1a`, Ed25519 with a [`SigningKey`] whose [`PublicKey`] is all that the receiver needs. While a key is
//! exchanged, the sender signs with the new one and the old one, and each receiver finds the one that it knows.
//!
//! A signature does not say that a request is the first of its kind: the receiver remembers the ids of verified requests
//! for as long as it tolerates their time.
//!
//! ```
//! use shared::random::Random;
//! use shared::signing::{Signer, SigningKey, Verifier};
//! use shared::time::Timestamp;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (key, now, body) = (SigningKey::generate(&Random::seeded(1)), Timestamp::UNIX_EPOCH, br#"{"done":true}"#);
//! let headers = Signer::new([key.clone()])?.sign("msg_1", now, body)?;
//! let verified = Verifier::new([key.public()])?.verify(&headers, body, now)?;
//! assert_eq!(verified.id, "msg_1");
//! # Ok(())
//! # }
//! ```
//!
//! [Standard Webhooks]: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

mod key;
mod key_pair;
mod secret;
mod verify;

use http::header::{HeaderMap, HeaderValue, InvalidHeaderValue};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub use key::{InvalidKey, Key, VerifyingKey};
pub use key_pair::{PublicKey, SigningKey};
pub use secret::SigningSecret;
pub use verify::{TOLERANCE, Verified, Verifier, VerifyError};

use crate::time::Timestamp;

/// The header with the request's id: the same in each attempt to deliver it.
pub const ID_HEADER: &str = "webhook-id";

/// The header with the time of the attempt, in whole seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";

/// The header with the signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The longest id in bytes.
pub const LONGEST_ID: usize = 256;

/// The most keys of a [`Signer`] or [`Verifier`].
pub const MOST_KEYS: usize = 8;

/// The most signatures of a request that are looked at. One with more is refused.
pub const MOST_SIGNATURES: usize = 16;

/// Signs requests with 1 to [`MOST_KEYS`] keys, the newest first.
#[derive(Clone, Debug)]
pub struct Signer(Vec<Key>);

impl Signer {
    /// A signer with these keys, the newest first.
    pub fn new(keys: impl IntoIterator<Item = impl Into<Key>>) -> Result<Self, InvalidKeyCount> {
        counted(keys).map(Self)
    }

    /// The keys, the newest first.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The headers of a request that is sent at `at`, with a signature of each key in the keys' order. `body` is what is
    /// sent, to the byte. The id is 1 to [`LONGEST_ID`] visible ASCII characters without a full stop.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> Result<HeaderMap, SignError> {
        if !is_id(id) {
            return Err(SignError::InvalidId);
        }
        let seconds = at.as_second();
        let content = content(id, &seconds.to_string(), body);
        let signatures: Vec<_> = self.0.iter().map(|key| key.sign(&content)).collect();
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(ID_HEADER, HeaderValue::from_str(id)?);
        headers.insert(TIMESTAMP_HEADER, HeaderValue::from(seconds));
        headers.insert(SIGNATURE_HEADER, HeaderValue::try_from(signatures.join(" "))?);
        Ok(headers)
    }

    /// Writes the keys' texts for a store, secrets included: `#[serde(serialize_with = "Signer::store")]`.
    pub fn store<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Key::expose))
    }
}

impl<'de> Deserialize<'de> for Signer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::<Key>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The id is empty, too long, or has other characters.
    #[error("the id must be 1 to {LONGEST_ID} visible ASCII characters without a full stop")]
    InvalidId,
    /// A value is not one of a header. No valid id and no signature is such a value.
    #[error(transparent)]
    InvalidHeader(#[from] InvalidHeaderValue),
}

/// There are too few or too many keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there must be 1 to {MOST_KEYS} keys")]
pub struct InvalidKeyCount;

fn counted<K>(keys: impl IntoIterator<Item = impl Into<K>>) -> Result<Vec<K>, InvalidKeyCount> {
    let keys: Vec<K> = keys.into_iter().map(Into::into).collect();
    if (1..=MOST_KEYS).contains(&keys.len()) { Ok(keys) } else { Err(InvalidKeyCount) }
}

/// With a full stop in its id, a signed request could be read as another one, whose id ends earlier.
fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// What is signed.
fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat()
}

#[cfg(test)]
mod tests;
