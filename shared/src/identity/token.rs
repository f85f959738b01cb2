//! Access tokens: JWTs by RFC 9068 (`typ: at+jwt`), signed with Ed25519 (RFC 8037), verified against the key set
//! (RFC 7517) in the identity table.
//!
//! They are verified here and not by `jsonwebtoken`: there is one algorithm, whose signature takes most of the time, and each
//! part is read once.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::principal::{Principal, PrincipalKind, Role};
use super::{Scopes, ring_provider};
use crate::id::TenantId;
use crate::time::{SignedDuration, Timestamp};

/// A longer token is refused unread.
pub const LONGEST: usize = 8 * 1024;

/// How long an access token of ours lives.
pub const ACCESS_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// A token that lives longer is refused, whoever signed it.
const LONGEST_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// How far the issuer's clock may be ahead of ours.
const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// The longest id in a claim, in bytes.
const LONGEST_ID: usize = 128;

/// What the ids of registered clients begin with. A token by client credentials has the client itself as the subject.
pub(super) const CLIENT_PREFIX: &str = "client_";

/// The claims of an access token (RFC 9068, section 2.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The installation that issued it.
    pub iss: String,
    /// The API that it is for.
    pub aud: String,
    /// The user; or the client itself (`client_…`), in a token by client credentials.
    pub sub: String,
    /// The OAuth client that it was issued to.
    pub client_id: String,
    /// The tenant.
    pub tid: TenantId,
    /// The session. A machine client has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// When the user last proved who they are, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How strong that proof was: the authentication context class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// By which methods (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// The user's built-in roles in the tenant.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Names of permissions, separated by spaces, that the user's custom roles grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Issued at, in seconds since the Unix epoch.
    pub iat: i64,
    /// As of when it holds what it says, in milliseconds since the Unix epoch: what was changed and revoked before is in
    /// it ([`super::revocation::as_of`]).
    pub as_of: i64,
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
    /// The signature is wrong.
    #[error("the token does not verify")]
    Signature,
    /// It is another issuer's, or for somebody else.
    #[error("the token is not from or for whom it must be")]
    Party,
    /// It has expired, or is from the future.
    #[error("the token is not valid at this time")]
    Time,
    /// A claim is missing or has a bad value.
    #[error("the token's claims are not acceptable")]
    Claims,
}

/// What is looked at of a header (RFC 7515, section 4.1).
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow)]
    typ: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    jku: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
}

impl Header<'_> {
    /// `EdDSA`, `at+jwt`, and no key of its own. Of extensions that must be understood (section 4.1.11) we know none.
    fn is_acceptable(&self) -> bool {
        let Self { jku, jwk, x5u, x5c, crit, .. } = self;
        let typed = ["at+jwt", "application/at+jwt"].iter().any(|typ| self.typ.eq_ignore_ascii_case(typ));
        let plain = [jku, jwk, x5u, x5c, crit].into_iter().all(Option::is_none);
        self.alg == "EdDSA" && typed && plain
    }
}

/// Verifies access tokens.
#[derive(Clone, Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
}

impl Verifier {
    /// Accepts what `issuer` issued for `audience`.
    pub const fn new(issuer: String, audience: String) -> Self {
        Self { issuer, audience }
    }

    /// The caller that a token names.
    pub fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<Principal, InvalidToken> {
        if token.len() > LONGEST {
            return Err(InvalidToken::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(InvalidToken::Header)?;
        let (header, claims) = message.split_once('.').ok_or(InvalidToken::Header)?;
        let header = decoded(header).ok_or(InvalidToken::Header)?;
        let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| InvalidToken::Header)?;
        if !header.is_acceptable() {
            return Err(InvalidToken::Header);
        }
        let is_named = |key: &&PublicKey| key.kid == header.kid && key.crv == "Ed25519";
        let key = keys.keys.iter().find(is_named).ok_or(InvalidToken::UnknownKey)?;
        let (key, signature) = decoded(&key.x).zip(decoded(signature)).ok_or(InvalidToken::Signature)?;
        let verified = UnparsedPublicKey::new(&ED25519, key).verify(message.as_bytes(), &signature);
        verified.map_err(|_| InvalidToken::Signature)?;

        let claims = decoded(claims).ok_or(InvalidToken::Claims)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| InvalidToken::Claims)?;
        if claims.iss != self.issuer || claims.aud != self.audience {
            return Err(InvalidToken::Party);
        }
        let (issued, expires) = (time(claims.iat)?, time(claims.exp)?);
        if now >= expires || issued.duration_since(now) > LEEWAY {
            return Err(InvalidToken::Time);
        }
        principal(claims, issued, expires)
    }
}

fn decoded(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

fn time(second: i64) -> Result<Timestamp, InvalidToken> {
    Timestamp::from_second(second).map_err(|_| InvalidToken::Time)
}

fn principal(claims: Claims, issued: Timestamp, expires: Timestamp) -> Result<Principal, InvalidToken> {
    let is_id = |text: &str| (1..=LONGEST_ID).contains(&text.len());
    let ids = [Some(&claims.sub), Some(&claims.client_id), claims.sid.as_ref()];
    let is_client = claims.sub.starts_with(CLIENT_PREFIX);
    if !ids.into_iter().flatten().all(|id| is_id(id))
        || expires.duration_since(issued) > LONGEST_LIFETIME
        || (is_client && claims.client_id != claims.sub)
    {
        return Err(InvalidToken::Claims);
    }
    let as_of = Timestamp::from_millisecond(claims.as_of).map_err(|_| InvalidToken::Time)?;
    // A role that this version does not know grants nothing.
    let roles: Vec<Role> = claims.roles.iter().filter_map(|role| role.parse().ok()).collect();
    Ok(Principal {
        tenant: claims.tid,
        subject: claims.sub,
        kind: if is_client { PrincipalKind::Client } else { PrincipalKind::User },
        roles,
        granted: claims.permissions.as_deref().map(Scopes::parse).unwrap_or_default(),
        scopes: Scopes::parse(&claims.scope),
        session: claims.sid,
        authenticated_at: claims.auth_time.map(time).transpose()?,
        client: Some(claims.client_id),
        token_id: Some(claims.jti),
        issued_at: Some(issued),
        as_of: Some(as_of),
        expires_at: Some(expires),
        pinned: None,
    })
}

/// Signs `claims` with a private key in PKCS#8.
pub fn sign(claims: &Claims, kid: &str, pkcs8: &[u8]) -> Result<String, jsonwebtoken::errors::Error> {
    sign_as("at+jwt", claims, kid, pkcs8)
}

/// Signs a token of another type, which no route takes for an access token.
pub fn sign_as(
    typ: &str,
    claims: &impl Serialize,
    kid: &str,
    pkcs8: &[u8],
) -> Result<String, jsonwebtoken::errors::Error> {
    ring_provider::install();
    let header = jsonwebtoken::Header {
        typ: Some(typ.to_owned()),
        kid: Some(kid.to_owned()),
        ..jsonwebtoken::Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(pkcs8))
}

impl PublicKey {
    /// The 32 bytes of an Ed25519 public key, as a key of a set.
    pub fn ed25519(kid: &str, public: &[u8]) -> Self {
        let text = |text: &str| text.to_owned();
        Self {
            kty: text("OKP"),
            crv: text("Ed25519"),
            x: URL_SAFE_NO_PAD.encode(public),
            kid: text(kid),
            usage: text("sig"),
            alg: text("EdDSA"),
        }
    }
}

impl KeySet {
    /// The set of one key pair's public half.
    pub fn of_pair(kid: &str, public: &[u8]) -> Self {
        Self { keys: vec![PublicKey::ed25519(kid, public)] }
    }
}

#[cfg(test)]
mod tests;
