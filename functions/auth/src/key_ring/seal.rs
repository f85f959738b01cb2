//! The private halves of signing keys: made, sealed for the table by [`crate::seal`], each for its own id, and opened again.

use std::fmt;

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use shared::config::Secret;
use shared::digest::sha256_base64url;
use shared::identity::token::PublicKey;
use shared::random::Random;

use super::KeyPair;
use crate::seal::{SealError, Sealed, Sealer};

/// What the sealing key is derived for.
const PURPOSE: &str = "tenfold signing keys 1";

/// What stands before the 32 bytes of an Ed25519 private key in PKCS#8 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// An Ed25519 private key. It does not print.
#[derive(Clone)]
pub struct PrivateKey(Vec<u8>);

impl PrivateKey {
    /// The key that these 32 bytes are.
    fn of_seed(seed: &[u8; 32]) -> Self {
        Self([&PKCS8_PREFIX[..], seed].concat())
    }

    /// The key in PKCS#8.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0
    }

    /// The public half. Its id is its thumbprint (RFC 7638), so that no id ever names two keys.
    fn public(&self) -> Result<PublicKey, SealError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.0).map_err(|_| SealError)?;
        let unnamed = PublicKey::ed25519("", pair.public_key().as_ref());
        Ok(PublicKey { kid: thumbprint(&unnamed), ..unnamed })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PrivateKey(…)")
    }
}

/// The SHA-256 of the members that make the key (RFC 7638, section 3; RFC 8037, section 2).
fn thumbprint(key: &PublicKey) -> String {
    sha256_base64url(format!(r#"{{"crv":"{}","kty":"{}","x":"{}"}}"#, key.crv, key.kty, key.x))
}

/// Seals and opens private keys.
#[derive(Debug)]
pub struct KeySealer(Sealer);

impl KeySealer {
    /// A sealer whose key is derived from `secret`.
    pub fn new(secret: &Secret) -> Result<Self, SealError> {
        Sealer::new(secret, PURPOSE).map(Self)
    }

    /// Makes a key pair.
    pub fn generate(&self, random: &Random) -> Result<KeyPair, SealError> {
        let private = PrivateKey::of_seed(&random.bytes());
        let public = private.public()?;
        let sealed = self.seal(&public.kid, &private, random)?;
        Ok(KeyPair { public, sealed })
    }

    fn seal(&self, kid: &str, private: &PrivateKey, random: &Random) -> Result<Sealed, SealError> {
        self.0.seal(kid, &private.0, random)
    }

    /// The private half of `key`.
    pub fn open(&self, key: &KeyPair) -> Result<PrivateKey, SealError> {
        Ok(PrivateKey(self.0.open(&key.public.kid, &key.sealed)?.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn sealer(secret: &str) -> KeySealer {
        KeySealer::new(&Secret::new(secret)).unwrap()
    }

    #[test]
    fn a_key_is_opened_under_its_secret_and_its_id_alone() {
        let random = Random::seeded(1);
        let sealer_of_one = sealer("one");
        let (first, second) = (sealer_of_one.generate(&random).unwrap(), sealer_of_one.generate(&random).unwrap());
        assert_eq!(sealer("one").open(&first).unwrap().public().unwrap(), first.public);
        assert_eq!(sealer("two").open(&first).unwrap_err(), SealError);
        let exchanged = KeyPair { sealed: second.sealed.clone(), ..first };
        assert_eq!(sealer_of_one.open(&exchanged).unwrap_err(), SealError);
    }

    #[test]
    fn nothing_private_is_printed_or_stored_in_the_clear() {
        let random = Random::seeded(2);
        let sealer = sealer("one");
        let key = sealer.generate(&random).unwrap();
        let private = sealer.open(&key).unwrap();
        let shown = format!("{private:?} {sealer:?} {key:?} {}", serde_json::to_string(&key).unwrap());
        for text in [URL_SAFE_NO_PAD.encode(private.pkcs8()), format!("{:?}", private.pkcs8())] {
            assert!(!shown.contains(&text[..40]), "{shown}");
        }
        // The same key is never sealed to the same text.
        let again = sealer.seal(&key.public.kid, &private, &random).unwrap();
        assert_ne!(again, key.sealed);
    }

    /// RFC 8037, appendices A.1 to A.3.
    #[test]
    fn a_public_key_and_its_id_are_those_of_the_standard() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let public = PrivateKey::of_seed(&seed.try_into().unwrap()).public().unwrap();
        assert_eq!(public.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(public.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
