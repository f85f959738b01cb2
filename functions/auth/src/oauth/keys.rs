//! The public keys of a client that proves itself by `private_key_jwt` (RFC 7517).

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, JwkSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::refusal::Refusal;

use crate::foreign_token::{ALGORITHMS, verifies};

/// The most keys of a client.
const MOST_KEYS: usize = 10;
/// The longest `kid`, in bytes.
const LONGEST_ID: usize = 128;
/// What private and symmetric keys have (RFC 7518, section 6).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// 1 to 10 public keys, each of which verifies signatures. What else their set said is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct PublicKeys(JwkSet);

impl PublicKeys {
    /// The set.
    pub const fn set(&self) -> &JwkSet {
        &self.0
    }
}

impl TryFrom<Value> for PublicKeys {
    type Error = Refusal;

    fn try_from(set: Value) -> Result<Self, Refusal> {
        let refused = |detail: &'static str| Refusal::new("invalid_keys", detail);
        let keys = set.get("keys").and_then(Value::as_array).ok_or_else(|| refused("must be an object with `keys`"))?;
        if !(1..=MOST_KEYS).contains(&keys.len()) {
            return Err(refused("must have 1 to 10 keys"));
        }
        if keys.iter().any(|key| SECRET_MEMBERS.iter().any(|member| key.get(member).is_some())) {
            return Err(refused(
                "has a private or symmetric key, which is to stay where it is: only public keys are taken",
            ));
        }
        let keys: Result<Vec<Jwk>, _> = keys.iter().map(Jwk::deserialize).collect();
        let keys = keys.ok().filter(|keys| keys.iter().all(is_usable)).ok_or_else(|| {
            refused("has a key that is not RSA (2048 to 8192 bits), EC (P-256 or P-384) or Ed25519, for signatures")
        })?;
        let ids: Vec<_> = keys.iter().filter_map(|key| key.common.key_id.as_deref()).collect();
        let distinct: HashSet<_> = ids.iter().collect();
        if distinct.len() < ids.len() || ids.iter().any(|id| !(1..=LONGEST_ID).contains(&id.len())) {
            return Err(refused("has a kid twice, or one that is not 1 to 128 bytes long"));
        }
        Ok(Self(JwkSet { keys: keys.into_iter().map(bare).collect() }))
    }
}

/// Whether it has the size of a key, and there is an algorithm for it.
fn is_usable(key: &Jwk) -> bool {
    // What cannot be decoded has no size that is right.
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let well_formed = match &key.algorithm {
        AlgorithmParameters::RSA(key) => {
            let (modulus, exponent) = (bytes(&key.n), bytes(&key.e));
            (256..=1024).contains(&modulus.len()) && modulus.first() != Some(&0) && (1..=5).contains(&exponent.len())
        }
        AlgorithmParameters::EllipticCurve(key) => {
            let size = if key.curve == EllipticCurve::P384 { 48 } else { 32 };
            bytes(&key.x).len() == size && bytes(&key.y).len() == size
        }
        AlgorithmParameters::OctetKeyPair(key) => bytes(&key.x).len() == 32,
        _ => false,
    };
    well_formed && ALGORITHMS.iter().any(|algorithm| verifies(key, *algorithm))
}

/// The key, and of what is said about it what decides when it is used.
fn bare(key: Jwk) -> Jwk {
    let said = key.common;
    let common = CommonParameters {
        key_id: said.key_id,
        key_algorithm: said.key_algorithm,
        public_key_use: said.public_key_use,
        ..CommonParameters::default()
    };
    Jwk { common, algorithm: key.algorithm }
}

/// Keys as they are stored: their JSON. What was taken once is read back, whatever is taken later.
pub mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};

    use super::PublicKeys;

    /// Writes them.
    pub fn serialize<S: Serializer>(keys: &PublicKeys, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(keys).map_err(ser::Error::custom)?)
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKeys, D::Error> {
        let text = String::deserialize(deserializer)?;
        serde_json::from_str(&text).map(PublicKeys).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn ed25519() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    fn taken(keys: &Value) -> Result<PublicKeys, Refusal> {
        json!({"keys": keys}).try_into()
    }

    #[test]
    fn public_keys_for_signatures_are_taken_and_kept_bare() {
        let sized = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        let ec = |curve: &str, size| json!({"kty": "EC", "crv": curve, "x": sized(size), "y": sized(size)});
        let rsa = |size| json!({"kty": "RSA", "n": sized(size), "e": "AQAB"});
        for good in [ed25519(), ec("P-256", 32), ec("P-384", 48), rsa(256), rsa(1024)] {
            assert_eq!(serde_json::to_value(taken(&json!([good])).unwrap()).unwrap(), json!({"keys": [good]}));
        }
        for bad in [ec("P-256", 31), ec("P-384", 32), ec("P-521", 66), ec("Ed25519", 32), rsa(255), rsa(1025)] {
            assert!(taken(&json!([bad])).is_err(), "{bad}");
        }
        let named = with(with(ed25519(), "kid", json!("a")), "alg", json!("EdDSA"));
        let more = with(with(named.clone(), "x5c", json!(["x".repeat(100_000)])), "note", json!("mine"));
        let other = with(ed25519(), "use", json!("sig"));
        let kept = serde_json::to_value(taken(&json!([more, other])).unwrap()).unwrap();
        assert_eq!(kept, json!({"keys": [named, other]}));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [json!(null), json!([]), json!({"keys": 1}), json!("text")] {
            assert!(PublicKeys::try_from(bad.clone()).is_err(), "{bad}");
        }
        for bad in [
            json!([]),
            json!(vec![ed25519(); 11]),
            json!([null]),
            json!(["text"]),
            json!([{}]),
            json!([{"kty": "oct"}]),
            json!([{"kty": "oct", "k": "c2VjcmV0"}]),
            json!([with(ed25519(), "d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))]),
            json!([with(ed25519(), "x", json!("11qYAYKxCrfVS_7TyWQHOg"))]),
            json!([with(ed25519(), "x", json!("not base64!"))]),
            json!([with(ed25519(), "crv", json!("Ed448"))]),
            json!([with(ed25519(), "use", json!("enc"))]),
            json!([with(ed25519(), "alg", json!("ES256"))]),
            json!([with(ed25519(), "alg", json!("Ed25519"))]),
            json!([with(ed25519(), "key_ops", json!(["encrypt"]))]),
            json!([with(ed25519(), "kid", json!(""))]),
            json!([with(ed25519(), "kid", json!("x".repeat(129)))]),
            json!([with(ed25519(), "kid", json!("a")), with(ed25519(), "kid", json!("a"))]),
            json!([ed25519(), {"kty": "EC"}]),
        ] {
            assert_eq!(taken(&bad).unwrap_err().code, "invalid_keys", "{bad}");
        }
    }

    #[test]
    fn they_are_stored_as_text() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Stored(#[serde(with = "as_text")] PublicKeys);
        let stored = Stored(taken(&json!([ed25519()])).unwrap());
        let text = serde_json::to_value(&stored).unwrap();
        assert!(text.is_string());
        assert_eq!(serde_json::from_value::<Stored>(text).unwrap(), stored);
    }
}
