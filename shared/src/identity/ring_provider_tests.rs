//! Wycheproof's vectors for the signatures of tokens: ring decides, and what is tried is that it is asked rightly, by the
//! algorithms that the tokens name, with keys as sets of keys have them.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    key: Jwk,
    /// Id, message, signature, result.
    tests: Vec<(u32, String, String, String)>,
}

fn check(vectors: &str, algorithm: Algorithm, expected: usize) {
    install();
    let vectors: Vectors = serde_json::from_str(vectors).unwrap();
    let mut seen = 0;
    for Group { key, tests } in &vectors.groups {
        let key = DecodingKey::from_jwk(key).unwrap();
        for (id, message, signature, result) in tests {
            seen += 1;
            let verified = verify(signature, &URL_SAFE_NO_PAD.decode(message).unwrap(), &key, algorithm).unwrap();
            // Either is right for what is `acceptable`.
            if result != "acceptable" {
                assert_eq!(verified, result == "valid", "{algorithm:?} {id}");
            }
        }
    }
    assert_eq!(seen, expected, "{algorithm:?}");
}

#[test]
fn wycheproofs_vectors_of_ed25519_hold() {
    check(include_str!("../../../tests/vectors/wycheproof/ed25519.json"), Algorithm::EdDSA, 151);
}

#[test]
fn wycheproofs_vectors_of_ecdsa_hold() {
    check(include_str!("../../../tests/vectors/wycheproof/es256.json"), Algorithm::ES256, 262);
}

#[test]
fn wycheproofs_vectors_of_rsa_hold() {
    check(include_str!("../../../tests/vectors/wycheproof/rs256.json"), Algorithm::RS256, 259);
    check(include_str!("../../../tests/vectors/wycheproof/ps256.json"), Algorithm::PS256, 108);
}
