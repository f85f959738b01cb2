//! The key pairs of Ed25519 (RFC 8032).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, Signature, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::key::{InvalidKey, bytes, parsed, text};
use crate::config::Secret;
use crate::random::Random;

const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";

/// An Ed25519 private key (`whsk_…`). It prints only its public half.
#[derive(Clone)]
pub struct SigningKey {
    text: Secret,
    pair: Arc<Ed25519KeyPair>,
    public: PublicKey,
}

impl SigningKey {
    /// A new key.
    pub fn generate(random: &Random) -> Self {
        Self::of_seed(&random.bytes())
    }

    #[allow(clippy::expect_used)] // only another length is refused
    fn of_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a private key");
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        let text = Secret::new(text(PRIVATE_PREFIX, &[*seed, public].concat()));
        Self { text, pair: Arc::new(pair), public: PublicKey(public) }
    }

    /// The public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The key's text, to be shown once: the 32 bytes of the private key, then those of the public one.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    pub(super) fn sign(&self, content: &[u8]) -> Signature {
        self.pair.sign(content)
    }

    /// Writes the key's text for a store: `#[serde(serialize_with = "SigningKey::store")]`. There is no `Serialize`, so
    /// that no answer has a private key by accident.
    pub fn store<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

/// Takes the 32 bytes of the private key alone too.
impl FromStr for SigningKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = bytes(PRIVATE_PREFIX, text)?;
        let (seed, public) = bytes.split_first_chunk().ok_or(InvalidKey::Length(bytes.len()))?;
        let key = Self::of_seed(seed);
        match public.len() {
            0 => Ok(key),
            32 if public == key.public.0 => Ok(key),
            32 => Err(InvalidKey::Mismatch),
            _ => Err(InvalidKey::Length(bytes.len())),
        }
    }
}

impl<'de> Deserialize<'de> for SigningKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.public)
    }
}

/// The public half of a [`SigningKey`] (`whpk_…`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Whether one of the signatures is that of this key's private half.
    pub(super) fn has_signed(&self, content: &[u8], signatures: &[Vec<u8>]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        signatures.iter().any(|signature| key.verify(content, signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = bytes(PUBLIC_PREFIX, text)?;
        bytes.as_slice().try_into().map(Self).map_err(|_| InvalidKey::Length(bytes.len()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&text(PUBLIC_PREFIX, &self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}
