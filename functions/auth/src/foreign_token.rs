//! Tokens that somebody else signed: the id tokens of OpenID providers, and the assertions of OAuth clients. They are
//! verified against the signer's own key set (RFC 7517), with asymmetric algorithms alone, by the rules of RFC 8725.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use shared::identity::install_crypto_provider;
use shared::identity::token::LONGEST;
use shared::time::{SignedDuration, Timestamp};

/// How far the signer's clock may be from ours.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// The algorithms that are accepted (RFC 7518, section 3; RFC 8037).
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// What is asked of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The only issuer.
    pub issuer: &'a str,
    /// Who it must be for: one or several of these, and nobody else.
    pub audiences: &'a [&'a str],
    /// Now.
    pub now: Timestamp,
}

/// Why a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidForeignToken {
    /// It is too long, not a JWS, another kind of token, or its algorithm is none of [`ALGORITHMS`].
    #[error("the token's form is not acceptable")]
    Form,
    /// No key of the set fits: the set may be older than the key.
    #[error("no key of the set is the token's")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token does not verify")]
    Signature(#[source] jsonwebtoken::errors::Error),
    /// A claim is missing or cannot be read.
    #[error("the token's claims are not acceptable")]
    Claims(#[source] serde_json::Error),
    /// It is another issuer's, or for somebody else, if only among others.
    #[error("the token is not from or for whom it must be")]
    Party,
    /// It has expired, or is from the future.
    #[error("the token is not valid at this time")]
    Time,
}

/// A time in a claim: seconds since the Unix epoch, which may have a fraction (RFC 7519, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
pub struct NumericDate(pub Timestamp);

impl TryFrom<f64> for NumericDate {
    type Error = jiff::Error;

    fn try_from(seconds: f64) -> Result<Self, jiff::Error> {
        Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds)?).map(Self)
    }
}

/// The claims that are checked here (RFC 7519, section 4.1).
#[derive(Deserialize)]
struct Registered {
    iss: String,
    aud: Audience,
    exp: NumericDate,
    iat: Option<NumericDate>,
    nbf: Option<NumericDate>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Verifies `token` and reads its claims. `exp`, `iss` and `aud` are required.
pub fn verify<C: DeserializeOwned>(
    token: &str,
    keys: &JwkSet,
    expected: Expected<'_>,
) -> Result<C, InvalidForeignToken> {
    let claims = signed(token, keys)?;
    let registered: Registered = serde_json::from_str(claims.get()).map_err(InvalidForeignToken::Claims)?;
    registered.check(expected)?;
    serde_json::from_str(claims.get()).map_err(InvalidForeignToken::Claims)
}

/// The claims of a `token` that a key of the set signed, whoever it is for and whenever it was good.
pub fn claims_of<C: DeserializeOwned>(token: &str, keys: &JwkSet) -> Result<C, InvalidForeignToken> {
    serde_json::from_str(signed(token, keys)?.get()).map_err(InvalidForeignToken::Claims)
}

/// Whether `key` may verify signatures by `algorithm`: by its type and curve, and by what it says of itself (RFC 7517,
/// sections 4.2 to 4.4).
pub fn verifies(key: &Jwk, algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let by_type = match &key.algorithm {
        AlgorithmParameters::RSA(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
        AlgorithmParameters::EllipticCurve(key) => {
            matches!((&key.curve, algorithm), (EllipticCurve::P256, ES256) | (EllipticCurve::P384, ES384))
        }
        AlgorithmParameters::OctetKeyPair(key) => (&key.curve, algorithm) == (&EllipticCurve::Ed25519, EdDSA),
        _ => false,
    };
    let said = &key.common;
    by_type
        && matches!(said.public_key_use, None | Some(PublicKeyUse::Signature))
        && said.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify))
        && said.key_algorithm.is_none_or(|named| named == algorithm.into())
}

/// The claims of a token that a key of the set signed.
fn signed(token: &str, keys: &JwkSet) -> Result<Box<RawValue>, InvalidForeignToken> {
    install_crypto_provider();
    if token.len() > LONGEST {
        return Err(InvalidForeignToken::Form);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidForeignToken::Form)?;
    if !acceptable(&header) {
        return Err(InvalidForeignToken::Form);
    }
    // The claims are checked by `Registered`: by the injected clock, and more strictly.
    let mut rules = Validation::new(header.alg);
    (rules.validate_exp, rules.validate_aud) = (false, false);
    rules.required_spec_claims.clear();
    let mut refused = InvalidForeignToken::UnknownKey;
    for key in keys.keys.iter().filter(|key| fits(key, &header)) {
        let verified = DecodingKey::from_jwk(key).and_then(|key| jsonwebtoken::decode(token, &key, &rules));
        match verified {
            Ok(verified) => return Ok(verified.claims),
            Err(error) => refused = InvalidForeignToken::Signature(error),
        }
    }
    Err(refused)
}

/// Whether the header is that of an id token or an assertion. No extension is known that must be understood (RFC 7515,
/// section 4.1.11), and what is said to be another kind of token is none of these (RFC 8725, section 3.11).
fn acceptable(header: &Header) -> bool {
    let typ = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
    let other_kind = typ.ends_with("+jwt") && typ != "client-authentication+jwt";
    ALGORITHMS.contains(&header.alg) && header.crit.is_none() && !other_kind
}

/// Whether a key may have signed a token with this header. A set may hold keys without a `kid`.
fn fits(key: &Jwk, header: &Header) -> bool {
    let named = match (&header.kid, &key.common.key_id) {
        (Some(wanted), Some(name)) => wanted == name,
        _ => true,
    };
    named && verifies(key, header.alg)
}

impl Registered {
    fn check(&self, expected: Expected<'_>) -> Result<(), InvalidForeignToken> {
        let audiences = match &self.aud {
            Audience::One(audience) => std::slice::from_ref(audience),
            Audience::Several(audiences) => audiences,
        };
        let ours = |audience: &String| expected.audiences.contains(&audience.as_str());
        if self.iss != expected.issuer || audiences.is_empty() || !audiences.iter().all(ours) {
            return Err(InvalidForeignToken::Party);
        }
        let now = expected.now;
        let ended = now.duration_since(self.exp.0) >= LEEWAY;
        let early = [self.iat, self.nbf].into_iter().flatten().any(|at| at.0.duration_since(now) > LEEWAY);
        if ended || early { Err(InvalidForeignToken::Time) } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "foreign_token_tests.rs"]
mod tests;
