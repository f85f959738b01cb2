//! Access tokens: JWTs by RFC 9068 (`typ: at+jwt`), signed with Ed25519 (RFC 8037), verified against the key set
//! (RFC 7517) in the identity table.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::principal::{Principal, PrincipalKind, Role};
use super::{Scopes, ring_provider};
use crate::id::TenantId;
use crate::time::{SignedDuration, Timestamp};

/// A longer token is refused unread.
pub const LONGEST: usize = 8 * 1024;

/// How far the issuer's clock may be ahead of ours.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The installation that issued it.
    pub iss: String,
    /// The API that it is for.
    pub aud: String,
    /// The user.
    pub sub: String,
    /// The tenant.
    pub tid: TenantId,
    /// The session.
    pub sid: String,
    /// The user's roles in the tenant.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Issued at, in seconds since the Unix epoch.
    pub iat: i64,
    /// Expires at, likewise.
    pub exp: i64,
    /// The token's own id.
    pub jti: String,
}

/// A public key of the set (RFC 7517, RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The key, base64url.
    pub x: String,
    /// The key's id.
    pub kid: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// `EdDSA`.
    pub alg: String,
}

/// A set of public keys: the body of `/.well-known/jwks.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// The keys.
    pub keys: Vec<PublicKey>,
}

/// Why a token was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum InvalidToken {
    /// It is longer than [`LONGEST`].
    #[error("the token is too long")]
    TooLong,
    /// It is not an access token of ours by its header.
    #[error("the token's header is not acceptable")]
    Header,
    /// No key of the set has its `kid`.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature, issuer or audience is wrong, or a claim is missing.
    #[error("the token does not verify")]
    Signature(#[source] jsonwebtoken::errors::Error),
    /// It has expired, or is from the future.
    #[error("the token is not valid at this time")]
    Time,
    /// A claim has a bad value.
    #[error("the token's claims are not acceptable")]
    Claims,
}

/// Verifies access tokens.
#[derive(Clone, Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
}

impl Verifier {
    /// Accepts what `issuer` issued for `audience`.
    pub fn new(issuer: String, audience: String) -> Self {
        ring_provider::install();
        Self { issuer, audience }
    }

    /// The `kid` of a token whose header is acceptable: `EdDSA`, `at+jwt`, and no key of its own.
    pub fn key_id(token: &str) -> Result<String, InvalidToken> {
        if token.len() > LONGEST {
            return Err(InvalidToken::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken::Header)?;
        let typed = header
            .typ
            .as_deref()
            .is_some_and(|typ| typ.eq_ignore_ascii_case("at+jwt") || typ.eq_ignore_ascii_case("application/at+jwt"));
        let carries_key = header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() || header.x5c.is_some();
        // An extension that must be understood (RFC 7515, section 4.1.11): we know none.
        if header.alg != Algorithm::EdDSA || !typed || carries_key || header.crit.is_some() {
            return Err(InvalidToken::Header);
        }
        header.kid.ok_or(InvalidToken::Header)
    }

    /// The caller that a token names.
    pub fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<Principal, InvalidToken> {
        let kid = Self::key_id(token)?;
        let key =
            keys.keys.iter().find(|key| key.kid == kid && key.crv == "Ed25519").ok_or(InvalidToken::UnknownKey)?;
        let key = DecodingKey::from_ed_components(&key.x).map_err(InvalidToken::Signature)?;

        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        // The times are checked below, by the injected clock.
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(InvalidToken::Signature)?.claims;

        let at = |second| Timestamp::from_second(second).map_err(|_| InvalidToken::Time);
        let (issued, expires) = (at(claims.iat)?, at(claims.exp)?);
        if now >= expires || issued.duration_since(now) > LEEWAY {
            return Err(InvalidToken::Time);
        }
        principal(claims)
    }
}

fn principal(claims: Claims) -> Result<Principal, InvalidToken> {
    // A role that this version does not know grants nothing.
    let roles: Vec<Role> = claims.roles.iter().filter_map(|role| role.parse().ok()).collect();
    if claims.sub.is_empty() || claims.sub.len() > 128 {
        return Err(InvalidToken::Claims);
    }
    Ok(Principal {
        tenant: claims.tid,
        subject: claims.sub,
        kind: PrincipalKind::User,
        roles,
        scopes: Scopes::parse(&claims.scope),
        session: Some(claims.sid),
    })
}

/// Signs `claims` with a private key in PKCS#8.
pub fn sign(claims: &Claims, kid: &str, pkcs8: &[u8]) -> Result<String, jsonwebtoken::errors::Error> {
    ring_provider::install();
    let header = Header { typ: Some("at+jwt".to_owned()), kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(pkcs8))
}

impl KeySet {
    /// The set of one key pair's public half.
    pub fn of_pair(kid: &str, public: &[u8]) -> Self {
        use base64::Engine as _;
        let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(public);
        let text = |text: &str| text.to_owned();
        Self {
            keys: vec![PublicKey {
                kty: text("OKP"),
                crv: text("Ed25519"),
                x,
                kid: text(kid),
                usage: text("sig"),
                alg: text("EdDSA"),
            }],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::Random;
    use ring::rand::SystemRandom;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    fn claims() -> Claims {
        Claims {
            iss: "tenfold".to_owned(),
            aud: "tenfold-api".to_owned(),
            sub: "user_1".to_owned(),
            tid: TenantId::new(Timestamp::UNIX_EPOCH, &Random::seeded(1)),
            sid: "session_1".to_owned(),
            roles: vec!["admin".to_owned(), "a-role-to-come".to_owned()],
            scope: "links:read".to_owned(),
            iat: 1000,
            exp: 1900,
            jti: "token_1".to_owned(),
        }
    }

    #[test]
    fn a_token_is_accepted_within_its_time_by_its_key_alone() {
        let pair = || {
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
            let public = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap().public_key().as_ref().to_vec();
            (document, public)
        };
        let ((private, public), (_, other_public)) = (pair(), pair());
        let keys = KeySet::of_pair("k1", &public);
        let verifier = Verifier::new("tenfold".to_owned(), "tenfold-api".to_owned());
        let at = |second| Timestamp::from_second(second).unwrap();
        let signed = |claims: &Claims| sign(claims, "k1", private.as_ref()).unwrap();
        let verify = |claims: &Claims, second| verifier.verify(&signed(claims), &keys, at(second));

        let principal = verify(&claims(), 1000).unwrap();
        assert_eq!((principal.tenant, principal.roles), (claims().tid, vec![Role::Admin]));
        assert!(verify(&claims(), 970).is_ok() && verify(&claims(), 1899).is_ok());
        for second in [969, 1900] {
            assert!(matches!(verify(&claims(), second), Err(InvalidToken::Time)), "{second}");
        }
        for wrong in [Claims { aud: "other".to_owned(), ..claims() }, Claims { iss: "other".to_owned(), ..claims() }] {
            assert!(matches!(verify(&wrong, 1000), Err(InvalidToken::Signature(_))));
        }

        let token = signed(&claims());
        let with = |keys: &KeySet| verifier.verify(&token, keys, at(1000));
        assert!(matches!(with(&KeySet::of_pair("k2", &public)), Err(InvalidToken::UnknownKey)));
        assert!(matches!(with(&KeySet::of_pair("k1", &other_public)), Err(InvalidToken::Signature(_))));
        let cut = token.rsplit_once('.').unwrap().0;
        assert!(verifier.verify(&format!("{cut}."), &keys, at(1000)).is_err());
        // {"alg":"none","typ":"at+jwt","kid":"k1"}
        let rest = token.split_once('.').unwrap().1;
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoiazEifQ.{rest}");
        assert!(matches!(verifier.verify(&unsigned, &keys, at(1000)), Err(InvalidToken::Header)));
    }
}
