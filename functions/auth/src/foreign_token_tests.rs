//! The examples of the standards, and the attacks that RFC 8725 and Wycheproof's JOSE vectors name.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm::{self, ES256, ES384, EdDSA, HS256, PS256, PS384, RS256, RS384, RS512};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_000_000;
const RFC7515_CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

/// A signer of others' tokens.
enum Pair {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key of RFC 7515, appendix A.2.
fn rfc7515_a2() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/rfc7515_a2.json")).unwrap()
}

impl Pair {
    /// A new pair for an algorithm; that of the RFC for RSA, which takes long to make.
    fn new(algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let curve = |signing| {
            let document = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
            Self::Ec(EcdsaKeyPair::from_pkcs8(signing, document.as_ref(), &random).unwrap())
        };
        match algorithm {
            EdDSA => {
                Self::Ed(Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap())
            }
            ES256 => curve(&ECDSA_P256_SHA256_FIXED_SIGNING),
            ES384 => curve(&ECDSA_P384_SHA384_FIXED_SIGNING),
            _ => {
                let key = rfc7515_a2();
                let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
                let components = rsa::KeyPairComponents {
                    public_key: rsa::PublicKeyComponents { n: part("n"), e: part("e") },
                    d: part("d"),
                    p: part("p"),
                    q: part("q"),
                    dP: part("dp"),
                    dQ: part("dq"),
                    qInv: part("qi"),
                };
                Self::Rsa(Box::new(RsaKeyPair::from_components(&components).unwrap()))
            }
        }
    }

    /// The public half, called `k1`.
    fn public(&self) -> Value {
        match self {
            Self::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key()), "kid": "k1"}),
            Self::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y), "kid": "k1"})
            }
            Self::Rsa(_) => json!({"kty": "RSA", "n": rfc7515_a2()["n"], "e": "AQAB", "kid": "k1"}),
        }
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let padding: &dyn RsaEncoding = match algorithm {
                    RS256 => &RSA_PKCS1_SHA256,
                    RS384 => &RSA_PKCS1_SHA384,
                    RS512 => &RSA_PKCS1_SHA512,
                    PS256 => &RSA_PSS_SHA256,
                    PS384 => &RSA_PSS_SHA384,
                    _ => &RSA_PSS_SHA512,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with this header, signed by `algorithm`.
    fn token(&self, algorithm: Algorithm, header: &Value, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims));
        let signature = self.sign(algorithm, message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }
}

fn claims() -> Value {
    json!({"iss": "signer", "aud": "us", "exp": NOW + 300, "sub": "somebody"})
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    object[member] = value;
    object
}

fn without(mut object: Value, member: &str) -> Value {
    object.as_object_mut().unwrap().remove(member);
    object
}

fn set(keys: &[Value]) -> JwkSet {
    serde_json::from_value(json!({"keys": keys})).unwrap()
}

fn read(token: &str, keys: &[Value]) -> Result<Value, InvalidForeignToken> {
    let now = Timestamp::from_second(NOW).unwrap();
    verify(token, &set(keys), Expected { issuer: "signer", audiences: &["us", "us too"], now })
}

/// Why a token with such a header or such claims is refused, signed by a key that is known.
fn refused(header: &Value, claims: &str) -> &'static str {
    let pair = Pair::new(EdDSA);
    outcome(&read(&pair.token(EdDSA, header, claims), &[pair.public()]))
}

fn outcome(result: &Result<Value, InvalidForeignToken>) -> &'static str {
    match result {
        Ok(_) => "accepted",
        Err(InvalidForeignToken::Form) => "form",
        Err(InvalidForeignToken::UnknownKey) => "unknown key",
        Err(InvalidForeignToken::Signature(_)) => "signature",
        Err(InvalidForeignToken::Claims(_)) => "claims",
        Err(InvalidForeignToken::Party) => "party",
        Err(InvalidForeignToken::Time) => "time",
    }
}

#[test]
fn the_examples_of_the_standards_verify() {
    let rsa = json!({"kty": "RSA", "n": rfc7515_a2()["n"], "e": "AQAB"});
    let ec = json!({
        "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    // RFC 7515, appendices A.2 and A.3.
    let rsa_token = format!(
        "eyJhbGciOiJSUzI1NiJ9.{RFC7515_CLAIMS}.{}",
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU\
         Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d\
         O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig\
         cN_IoypGlUPQGe77Rw"
    );
    let ec_token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{RFC7515_CLAIMS}.{}",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    for token in [&rsa_token, &ec_token] {
        let claims = signed(token, &set(&[ec.clone(), rsa.clone()])).unwrap();
        let claims: Value = serde_json::from_str(claims.get()).unwrap();
        assert_eq!((&claims["iss"], &claims["http://example.com/is_root"]), (&json!("joe"), &json!(true)));
        // It has no audience.
        assert!(matches!(read(token, &[ec.clone(), rsa.clone()]), Err(InvalidForeignToken::Claims(_))));
    }
    // RFC 8037, appendix A.4, whose payload is no JSON.
    let key = DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(jsonwebtoken::crypto::verify(signature, message, &key, EdDSA).unwrap());
    assert!(!jsonwebtoken::crypto::verify(signature, &message[1..], &key, EdDSA).unwrap());
}

#[test]
fn each_algorithm_verifies_its_own_signatures_unaltered() {
    for algorithm in ALGORITHMS {
        let pair = Pair::new(algorithm);
        let header = json!({"alg": algorithm, "kid": "k1"});
        let token = pair.token(algorithm, &header, &claims().to_string());
        let keys = [with(pair.public(), "alg", json!(algorithm))];
        assert_eq!(read(&token, &keys).unwrap(), claims(), "{algorithm:?}");

        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let (mut flipped, mut doubled) = (signature.clone(), signature.clone());
        flipped[signature.len() / 2] ^= 1;
        doubled.extend(&signature);
        let zeros = vec![0; signature.len()];
        let leading = [&[0], signature.as_slice()].concat();
        let trailing = [signature.as_slice(), &[0]].concat();
        for bad in [
            &[][..],
            &signature[1..],
            &signature[..signature.len() - 1],
            &flipped,
            &doubled,
            &zeros,
            &leading,
            &trailing,
        ] {
            let token = format!("{message}.{}", encoded(bad));
            assert_eq!(outcome(&read(&token, &keys)), "signature", "{algorithm:?} {}", bad.len());
        }
        let (_, payload) = message.split_once('.').unwrap();
        let other = payload.replacen('e', "f", 1);
        let altered = token.replacen(payload, &other, 1);
        assert_eq!(outcome(&read(&altered, &keys)), "signature", "{algorithm:?}");
        // Padded, or in the other alphabet of base64.
        assert_eq!(outcome(&read(&format!("{token}="), &keys)), "signature", "{algorithm:?}");
    }
}

#[test]
fn a_token_without_a_signature_or_with_a_symmetric_one_is_refused() {
    for none in ["none", "None", "NONE", "nOnE", "", "HS1", "RS1", "ES256K", "ES512", "Ed25519"] {
        let message =
            format!("{}.{}", encoded(json!({"alg": none, "kid": "k1"}).to_string()), encoded(claims().to_string()));
        for signature in ["", "AA"] {
            let public = Pair::new(EdDSA).public();
            assert_eq!(outcome(&read(&format!("{message}.{signature}"), &[public])), "form", "{none}");
        }
    }
    for algorithm in [EdDSA, ES256, RS256] {
        let public = Pair::new(algorithm).public();
        let part = |name: &str| URL_SAFE_NO_PAD.decode(public[name].as_str().unwrap_or_default()).unwrap();
        let point = [&[4], part("x").as_slice(), part("y").as_slice()].concat();
        let oct = json!({"kty": "oct", "k": encoded("secret"), "kid": "k1"});
        for secret in [part("n"), part("x"), point, public.to_string().into_bytes(), b"secret".to_vec(), Vec::new()] {
            let header = json!({"alg": HS256, "kid": "k1"});
            let message = format!("{}.{}", encoded(header.to_string()), encoded(claims().to_string()));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
            let token = format!("{message}.{}", encoded(tag));
            assert_eq!(outcome(&read(&token, &[public.clone(), oct.clone()])), "form", "{algorithm:?}");
        }
    }
}

#[test]
fn a_key_verifies_by_the_algorithms_of_its_kind_alone() {
    let all = [EdDSA, ES256, ES384, RS256, PS256];
    for signer in all {
        let pair = Pair::new(signer);
        for named in all {
            let token = pair.token(signer, &json!({"alg": named}), &claims().to_string());
            let expected = match (signer, named) {
                (signer, named) if signer == named => "accepted",
                // The same key, and another padding.
                (RS256, PS256) | (PS256, RS256) => "signature",
                _ => "unknown key",
            };
            assert_eq!(outcome(&read(&token, &[pair.public()])), expected, "{signer:?} {named:?}");
        }
    }
}

#[test]
fn a_key_is_used_for_what_it_says_it_is_for() {
    let pair = Pair::new(RS256);
    let token = pair.token(RS256, &json!({"alg": RS256, "kid": "k1"}), &claims().to_string());
    for (member, value, expected) in [
        ("kid", json!("k2"), "unknown key"),
        ("alg", json!(RS256), "accepted"),
        ("alg", json!(RS512), "unknown key"),
        ("alg", json!(PS256), "unknown key"),
        ("alg", json!("RSA-OAEP"), "unknown key"),
        ("alg", json!("a new one"), "unknown key"),
        ("use", json!("sig"), "accepted"),
        ("use", json!("enc"), "unknown key"),
        ("use", json!("a new one"), "unknown key"),
        ("key_ops", json!(["verify"]), "accepted"),
        ("key_ops", json!(["encrypt", "wrapKey"]), "unknown key"),
        ("n", json!("not base64!"), "signature"),
        ("n", json!(encoded([0x81; 128])), "signature"),
    ] {
        let key = with(pair.public(), member, value);
        assert_eq!(outcome(&read(&token, std::slice::from_ref(&key))), expected, "{key}");
        // Another key of the set does not suffer from it.
        assert_eq!(outcome(&read(&token, &[key, pair.public()])), "accepted");
    }
    assert_eq!(outcome(&read(&token, &[])), "unknown key");
}

#[test]
fn a_kid_is_compared_where_both_have_one() {
    let (pair, other) = (Pair::new(EdDSA), Pair::new(EdDSA));
    let named = pair.token(EdDSA, &json!({"alg": EdDSA, "kid": "k1"}), &claims().to_string());
    let nameless = pair.token(EdDSA, &json!({"alg": EdDSA}), &claims().to_string());
    let (without_kid, other) = (without(pair.public(), "kid"), other.public());
    assert_eq!(outcome(&read(&named, std::slice::from_ref(&without_kid))), "accepted");
    assert_eq!(outcome(&read(&named, &[with(other.clone(), "kid", json!("k2")), without_kid.clone()])), "accepted");
    for keys in [[other.clone(), pair.public()], [other.clone(), without_kid]] {
        assert_eq!(outcome(&read(&nameless, &keys)), "accepted");
        assert_eq!(outcome(&read(&named, &keys)), "accepted");
    }
    assert_eq!(outcome(&read(&nameless, &[other])), "signature");
}

#[test]
fn a_header_brings_no_key_and_no_extension_along() {
    let (known, attacker) = (Pair::new(EdDSA), Pair::new(EdDSA));
    for header in [
        json!({"alg": EdDSA, "jwk": attacker.public()}),
        json!({"alg": EdDSA, "jku": "https://attacker.example/jwks.json"}),
        json!({"alg": EdDSA, "x5u": "https://attacker.example/chain.pem", "kid": "k1"}),
        json!({"alg": EdDSA, "kid": "../../../dev/null"}),
    ] {
        let token = attacker.token(EdDSA, &header, &claims().to_string());
        let outcome = outcome(&read(&token, &[known.public()]));
        assert!(matches!(outcome, "signature" | "unknown key"), "{header}: {outcome}");
    }
    for extended in [json!([]), json!(["exp"]), json!(["b64"]), json!("exp")] {
        assert_eq!(refused(&json!({"alg": EdDSA, "crit": extended}), &claims().to_string()), "form");
    }
    for (typ, expected) in [
        ("JWT", "accepted"),
        ("jwt", "accepted"),
        ("client-authentication+jwt", "accepted"),
        ("at+jwt", "form"),
        ("application/AT+JWT", "form"),
        ("logout+jwt", "form"),
        ("dpop+jwt", "form"),
    ] {
        assert_eq!(refused(&json!({"alg": EdDSA, "typ": typ}), &claims().to_string()), expected, "{typ}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let pair = Pair::new(EdDSA);
    let token = pair.token(EdDSA, &json!({"alg": EdDSA}), &claims().to_string());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = encoded(json!({"alg": EdDSA}).to_string());
    for odd in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        message.to_owned(),
        format!("{token}.{signature}"),
        format!(" {token}"),
        format!(".{message}.{signature}"),
        token.replace('.', ""),
        json!({"protected": header, "payload": "", "signature": signature}).to_string(),
        encoded("\u{0}") + ".e30." + signature,
        "\u{202e}é".to_owned(),
    ] {
        assert_eq!(outcome(&read(&odd, &[pair.public()])), "form", "{odd}");
    }
    let long = with(claims(), "name", json!("x".repeat(LONGEST)));
    assert_eq!(refused(&json!({"alg": EdDSA}), &long.to_string()), "form");
    for no_claims in ["", "Example of Ed25519 signing", "null", "[]", "{", "\"text\"", "{}"] {
        let outcome = refused(&json!({"alg": EdDSA}), no_claims);
        assert!(matches!(outcome, "signature" | "claims"), "{no_claims}: {outcome}");
    }
}

#[test]
fn it_is_from_the_issuer_and_for_nobody_else() {
    for (member, value, expected) in [
        ("iss", json!("another"), "party"),
        ("iss", json!("Signer"), "party"),
        ("iss", json!(["signer"]), "claims"),
        ("iss", Value::Null, "claims"),
        ("aud", json!("us too"), "accepted"),
        ("aud", json!(["us"]), "accepted"),
        ("aud", json!(["us too", "us"]), "accepted"),
        ("aud", json!(["us", "another"]), "party"),
        ("aud", json!(["another"]), "party"),
        ("aud", json!("another"), "party"),
        ("aud", json!("us/"), "party"),
        ("aud", json!([]), "party"),
        ("aud", json!([["us"]]), "claims"),
        ("aud", json!({"us": true}), "claims"),
        ("aud", Value::Null, "claims"),
    ] {
        let claims = with(claims(), member, value);
        assert_eq!(refused(&json!({"alg": EdDSA}), &claims.to_string()), expected, "{claims}");
    }
    for member in ["iss", "aud", "exp"] {
        assert_eq!(refused(&json!({"alg": EdDSA}), &without(claims(), member).to_string()), "claims", "{member}");
        let twice = format!("{{\"{member}\": {}, {}", claims()[member], &claims().to_string()[1..]);
        let outcome = refused(&json!({"alg": EdDSA}), &twice);
        assert!(matches!(outcome, "signature" | "claims"), "{twice}: {outcome}");
    }
}

#[test]
fn it_is_good_from_its_beginning_to_its_end_give_or_take_a_minute() {
    let leeway = LEEWAY.as_secs();
    for (member, value, expected) in [
        ("exp", json!(NOW - leeway + 1), "accepted"),
        ("exp", json!(NOW - leeway), "time"),
        ("exp", json!(0), "time"),
        ("exp", json!(-1), "time"),
        ("exp", json!(1_000_300.75), "accepted"),
        ("exp", json!(1e300), "claims"),
        ("exp", json!(i64::MAX), "claims"),
        ("exp", json!(i64::MIN), "claims"),
        ("exp", json!("1000300"), "claims"),
        ("exp", json!(true), "claims"),
        ("nbf", json!(NOW + leeway), "accepted"),
        ("nbf", json!(NOW + leeway + 1), "time"),
        ("nbf", json!("soon"), "claims"),
        ("iat", json!(NOW + leeway), "accepted"),
        ("iat", json!(NOW + leeway + 1), "time"),
        ("iat", json!(NOW - 1_000_000), "accepted"),
        ("iat", json!({}), "claims"),
        ("iat", Value::Null, "accepted"),
    ] {
        let claims = with(claims(), member, value);
        assert_eq!(refused(&json!({"alg": EdDSA}), &claims.to_string()), expected, "{claims}");
    }
}
