//! Sealing: what is stored and must be read again, and not by whoever reads the table alone.
//!
//! AES-256-GCM under a key that HKDF-SHA-256 (RFC 5869) derives from the text of a secret in Secrets Manager, one for each
//! purpose. What a sealed text belongs to is its associated data, so that whoever exchanges two of them in the table makes
//! both unreadable. [`crate::key_ring::vault`] reads the secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Okm, Salt};
use serde::{Deserialize, Serialize};
use shared::config::Secret;
use shared::random::Random;
use zeroize::Zeroizing;

/// What is sealed, as it is stored: nonce, ciphertext and tag, in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// It cannot be sealed or opened: it was sealed under another secret, for another purpose or owner, or it was altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be sealed or opened with this secret")]
pub struct SealError;

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// Seals and opens for one purpose.
#[derive(Debug)]
pub struct Sealer(LessSafeKey);

impl Sealer {
    /// A sealer whose key is derived from `secret` for `purpose`. Another way to seal has another purpose, too.
    pub fn new(secret: &Secret, purpose: &str) -> Result<Self, SealError> {
        let derived = Salt::new(HKDF_SHA256, &[]).extract(secret.expose().as_bytes());
        let purpose = [purpose.as_bytes()];
        let key: Okm<'_, _> = derived.expand(&purpose, &AES_256_GCM)?;
        Ok(Self(LessSafeKey::new(UnboundKey::from(key))))
    }

    /// Seals `plain`, which belongs to `owner`.
    pub fn seal(&self, owner: &str, plain: &[u8], random: &Random) -> Result<Sealed, SealError> {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let mut text = plain.to_vec();
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner.as_bytes()), &mut text)?;
        Ok(Sealed(URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat())))
    }

    /// What was sealed for `owner`.
    pub fn open(&self, owner: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let bytes = URL_SAFE_NO_PAD.decode(&sealed.0).map_err(|_| SealError)?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let length = self.0.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut text)?.len();
        text.truncate(length);
        Ok(text)
    }
}

impl Sealed {
    /// The text, for conditions of writes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sealer(secret: &str, purpose: &str) -> Sealer {
        Sealer::new(&Secret::new(secret), purpose).unwrap()
    }

    #[test]
    fn it_is_opened_under_its_secret_for_its_purpose_and_owner_alone() {
        let sealer_of_one = sealer("one", "tests");
        let sealed = sealer_of_one.seal("ann", b"plain", &Random::seeded(1)).unwrap();
        assert_eq!(**sealer("one", "tests").open("ann", &sealed).unwrap(), *b"plain");
        assert_eq!(sealer_of_one.open("ben", &sealed).unwrap_err(), SealError);
        assert_eq!(sealer("two", "tests").open("ann", &sealed).unwrap_err(), SealError);
        assert_eq!(sealer("one", "others").open("ann", &sealed).unwrap_err(), SealError);
    }

    #[test]
    fn what_was_altered_cut_or_never_sealed_does_not_open() {
        let sealer = sealer("one", "tests");
        let text = sealer.seal("ann", b"plain", &Random::seeded(1)).unwrap().0;
        let whole = URL_SAFE_NO_PAD.decode(text).unwrap();
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            for bytes in [&altered[..], &whole[..at]] {
                let other = Sealed(URL_SAFE_NO_PAD.encode(bytes));
                assert_eq!(sealer.open("ann", &other).unwrap_err(), SealError);
            }
        }
        for text in ["", "plain", "ä"] {
            assert_eq!(sealer.open("ann", &Sealed(text.to_owned())).unwrap_err(), SealError, "{text}");
        }
    }

    #[test]
    fn the_same_is_never_sealed_to_the_same_text_and_no_key_is_printed() {
        let (sealer, random) = (sealer("one", "tests"), Random::seeded(1));
        let seal = || sealer.seal("ann", b"plain", &random).unwrap();
        assert_ne!(seal(), seal());
        assert!(!seal().as_str().contains(&URL_SAFE_NO_PAD.encode("plain")));
        assert!(!format!("{sealer:?}").contains("one"));
    }
}
