//! API keys: `tf_live_` or `tf_test_`, the key's id, a secret and a checksum.
//!
//! ```text
//! tf_live_01k9z4n2y6e0qv3m8t5w7x9abcQ2w…(32 letters and digits)…x1A9bC
//!         └ id: 26 characters      └ secret: 190 bits          └ CRC-32 of all before, 6 characters of base 62
//! ```
//! The checksum lets a secret scanner and a client tell a typo from a key without asking us (as GitHub's tokens do:
//! <https://github.blog/engineering/behind-githubs-new-authentication-token-formats/>). Only a SHA-256 of the whole is
//! stored: the secret has too much entropy to be guessed, so a slow hash would add nothing.

use std::fmt;
use std::str::FromStr;

use crate::id::{Id, Kind};
use crate::random::Random;
use crate::time::Timestamp;

/// The kind of an API key's id.
#[derive(Debug)]
pub enum ApiKeyKind {}
impl Kind for ApiKeyKind {
    const PREFIX: &'static str = "key";
}
/// The id of an API key: public, and part of the key itself.
pub type ApiKeyId = Id<ApiKeyKind>;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const ID_LENGTH: usize = 26;
const SECRET_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 6;

/// Whether a key is for production data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyMode {
    /// `tf_live_…`
    Live,
    /// `tf_test_…`
    Test,
}

impl KeyMode {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "tf_live_",
            Self::Test => "tf_test_",
        }
    }
}

/// A whole API key, secret included. It shows only its id.
#[derive(Clone)]
pub struct ApiKey {
    id: ApiKeyId,
    mode: KeyMode,
    text: String,
}

/// What is stored of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyHash([u8; 32]);

impl ApiKey {
    /// A new key.
    pub fn generate(mode: KeyMode, now: Timestamp, random: &Random) -> Self {
        let id = ApiKeyId::new(now, random);
        let digits = id.to_string();
        let digits = digits.strip_prefix("key_").unwrap_or_default();
        let mut text = format!("{}{digits}{}", mode.prefix(), random.text(BASE62, SECRET_LENGTH));
        text.push_str(&checksum(&text));
        Self { id, mode, text }
    }

    /// The id.
    pub const fn id(&self) -> ApiKeyId {
        self.id
    }

    /// The mode.
    pub const fn mode(&self) -> KeyMode {
        self.mode
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The hash to store.
    pub fn hash(&self) -> KeyHash {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.text.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        KeyHash(bytes)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ApiKey({})", self.id)
    }
}

/// A text is not an API key, or has a typo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidApiKey {
    /// It has another form.
    #[error("it does not have the form of an API key")]
    Form,
    /// The form is right and the checksum is not.
    #[error("its checksum is wrong: it was cut or mistyped")]
    Checksum,
}

impl FromStr for ApiKey {
    type Err = InvalidApiKey;

    fn from_str(text: &str) -> Result<Self, InvalidApiKey> {
        let mode = [KeyMode::Live, KeyMode::Test]
            .into_iter()
            .find(|mode| text.starts_with(mode.prefix()))
            .ok_or(InvalidApiKey::Form)?;
        let rest = text.strip_prefix(mode.prefix()).unwrap_or_default();
        let alphanumeric = rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if rest.len() != ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH || !alphanumeric {
            return Err(InvalidApiKey::Form);
        }
        let (body, sum) = text.split_at(text.len() - CHECKSUM_LENGTH);
        if checksum(body) != sum {
            return Err(InvalidApiKey::Checksum);
        }
        let digits = rest.get(..ID_LENGTH).unwrap_or_default();
        let id = format!("key_{digits}").parse().map_err(|_| InvalidApiKey::Form)?;
        Ok(Self { id, mode, text: text.to_owned() })
    }
}

/// When the key with this id was made, to the second: the id says it.
pub(super) fn made_at(id: ApiKeyId) -> Timestamp {
    let second = id.uuid().get_timestamp().and_then(|at| i64::try_from(at.to_unix().0).ok());
    second.and_then(|second| Timestamp::from_second(second).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// CRC-32 (ISO-HDLC) in six digits of base 62.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = usize::try_from(rest % 62).ok().and_then(|index| BASE62.get(index)).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

impl KeyHash {
    /// The bytes, to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A stored hash; none when it does not have 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Whether both are of the same key, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_read_back_and_does_not_print() {
        let key = ApiKey::generate(KeyMode::Test, Timestamp::UNIX_EPOCH, &Random::seeded(3));
        assert_eq!(key.expose().len(), 72);
        let read: ApiKey = key.expose().parse().unwrap();
        assert_eq!((read.id(), read.mode()), (key.id(), KeyMode::Test));
        assert!(read.hash().matches(&key.hash()));
        assert!(!format!("{key:?}").contains(key.expose()));
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_always_caught(seed: u64, position in 0..72_usize, replacement in "[0-9A-Za-z_]") {
            let key = ApiKey::generate(KeyMode::Live, Timestamp::UNIX_EPOCH, &Random::seeded(seed));
            let mut wrong = key.expose().to_owned();
            wrong.replace_range(position..=position, &replacement);
            prop_assert_eq!(wrong.parse::<ApiKey>().is_ok(), wrong == key.expose());
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,100}") {
            prop_assert!(text.parse::<ApiKey>().is_err());
        }
    }
}
