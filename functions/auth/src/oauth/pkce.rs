//! Proof Key for Code Exchange (RFC 7636): whoever sends a code proves to have begun the request that it answers. Every
//! client does, with `S256`: `plain` would show the verifier to whoever reads the request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;

/// A `code_challenge` by `S256`: the SHA-256 of the verifier, base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Challenge(String);

impl Challenge {
    /// The challenge of a request; none when it has no such form.
    pub fn parse(text: &str) -> Option<Self> {
        let decoded = URL_SAFE_NO_PAD.decode(text).ok()?;
        (decoded.len() == digest::SHA256_OUTPUT_LEN).then(|| Self(text.to_owned()))
    }

    /// Whether it was made of `verifier` (section 4.6), in constant time. A verifier has 43 to 128 unreserved characters
    /// (section 4.1).
    pub fn is_of(&self, verifier: &str) -> bool {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        let is_verifier = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
        let made = sha256_base64url(verifier);
        is_verifier && bool::from(subtle::ConstantTimeEq::ct_eq(made.as_bytes(), self.0.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_is_right_and_others_are_wrong() {
        let challenge = Challenge::parse(CHALLENGE).unwrap();
        assert!(challenge.is_of(VERIFIER));
        for wrong in ["", CHALLENGE, &VERIFIER[1..], &VERIFIER.to_lowercase(), &format!("{VERIFIER}=")] {
            assert!(!challenge.is_of(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_verifier_has_43_to_128_unreserved_characters() {
        let accepted = |verifier: &str| Challenge::parse(&sha256_base64url(verifier)).unwrap().is_of(verifier);
        assert!(accepted(&"a".repeat(43)) && accepted(&"~".repeat(128)));
        assert!(!accepted(&"a".repeat(42)) && !accepted(&"a".repeat(129)) && !accepted(&"+".repeat(43)));
    }

    #[test]
    fn a_challenge_is_a_sha_256() {
        for bad in ["", "plain", VERIFIER.split_at(42).0, &format!("{CHALLENGE}="), &CHALLENGE.replace('-', "+")] {
            assert!(Challenge::parse(bad).is_none(), "{bad}");
        }
    }
}
