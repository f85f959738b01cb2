//! An OAuth client: a program that a tenant's administrators have registered. It gets tokens of its own
//! (`client_credentials`), or acts for members of the tenant who let it in (`authorization_code`), and for nobody else:
//! whoever may sign up could otherwise register a program with a trusted name, and ask everybody.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::config::Secret;
use shared::digest::sha256_base64url;
use shared::id::{Id, Kind, TenantId};
use shared::identity::Scopes;
use shared::random::Random;
use shared::refusal::Refusal;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::keys::PublicKeys;
use super::redirect_uri::RedirectUri;
use crate::user::Name;

/// The kind of a client's id.
#[derive(Debug)]
pub enum ClientKind {}
impl Kind for ClientKind {
    const PREFIX: &'static str = "client";
}
/// The id of a client: its `client_id`.
pub type ClientId = Id<ClientKind>;

/// The beginning of every client secret, by which secret scanners know it.
const PREFIX: &str = "tf_cs_";
/// The most secrets that are good at once: the newest, and the one that it replaces.
const MOST_SECRETS: usize = 2;

/// What is stored of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// The id.
    pub id: ClientId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What people call it.
    pub name: Name,
    /// What its tokens may do at most.
    pub scopes: Scopes,
    /// How it proves itself.
    pub proof: Proof,
    /// By what it gets tokens.
    #[serde(default = "own_tokens")]
    pub grant_types: Vec<GrantType>,
    /// Where the browser is sent with its codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<RedirectUri>,
    /// When these were last changed: what users agreed to before was to send codes elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uris_changed_at: Option<Timestamp>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

#[cfg(test)]
impl Client {
    /// A public client of no tenant that is there, for tests of rules.
    pub(crate) fn of_tests(scopes: &str, grant_types: &[GrantType]) -> Self {
        let (now, random) = (Timestamp::UNIX_EPOCH, Random::seeded(1));
        Self {
            id: ClientId::new(now, &random),
            tenant_id: TenantId::new(now, &random),
            name: Name::unnamed(),
            scopes: Scopes::parse(scopes),
            proof: Proof::Public {},
            grant_types: grant_types.to_vec(),
            redirect_uris: Vec::new(),
            redirect_uris_changed_at: None,
            created_by: "user_1".to_owned(),
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }
}

/// By what a client gets tokens (RFC 7591, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OAuthGrantType)]
pub enum GrantType {
    /// Its own credentials: it acts for itself.
    ClientCredentials,
    /// A user who lets it in: it acts for the user.
    AuthorizationCode,
    /// What it got by a code, renewed.
    RefreshToken,
}

/// What every client did before there were others.
fn own_tokens() -> Vec<GrantType> {
    vec![GrantType::ClientCredentials]
}

impl GrantType {
    /// Its name in OAuth.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// Those of a new client: what it asks for, each once, or what its redirect URIs say.
    pub fn of_new(asked: Option<&[Self]>, redirects: bool, public: bool) -> Result<Vec<Self>, Refusal> {
        let refused = |detail: &'static str| Err(Refusal::new("invalid_grant_types", detail));
        let all = [Self::ClientCredentials, Self::AuthorizationCode, Self::RefreshToken];
        let chosen: Vec<_> = match asked {
            Some(asked) => all.into_iter().filter(|one| asked.contains(one)).collect(),
            None if redirects => vec![Self::AuthorizationCode, Self::RefreshToken],
            None => own_tokens(),
        };
        let by_code = chosen.contains(&Self::AuthorizationCode);
        if chosen.is_empty() {
            return refused("must have an entry");
        }
        if by_code != redirects {
            return refused("has authorization_code if, and only if, there are redirect_uris");
        }
        if chosen.contains(&Self::RefreshToken) && !by_code {
            return refused("has refresh_token with authorization_code alone");
        }
        if chosen.contains(&Self::ClientCredentials) && public {
            return refused("has client_credentials only when the client has credentials");
        }
        Ok(chosen)
    }
}

/// How a client proves itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Proof {
    /// By a secret: `client_secret_basic` or `client_secret_post` (RFC 6749, section 2.3.1).
    Secret {
        /// The newest first.
        secrets: Vec<StoredSecret>,
    },
    /// By assertions that it signs: `private_key_jwt` (OpenID Connect Core 1.0, section 9; RFC 7523).
    PrivateKeyJwt {
        /// Its public keys.
        #[serde(rename = "jwks", with = "super::keys::as_text")]
        keys: PublicKeys,
    },
    /// Not at all (`none`): a program on users' machines or in their browsers can keep no secret (RFC 6749, section 2.1).
    /// What it has instead is PKCE and its redirect URIs.
    Public {},
}

impl Client {
    /// Whether it gets tokens by `grant_type`.
    pub fn uses(&self, grant_type: GrantType) -> bool {
        self.grant_types.contains(&grant_type)
    }

    /// Whether the browser may be sent to `uri` with its codes.
    pub fn redirects_to(&self, uri: &str) -> bool {
        self.uses(GrantType::AuthorizationCode) && self.redirect_uris.iter().any(|registered| registered.matches(uri))
    }

    /// Whether it cannot prove itself.
    pub const fn is_public(&self) -> bool {
        matches!(self.proof, Proof::Public {})
    }
}

/// What is stored of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSecret {
    hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; the newest does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The SHA-256 of a secret, base64url. A secret has 256 random bits, so a slow hash would add nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct SecretHash(String);

impl SecretHash {
    fn of(secret: &str) -> Self {
        Self(sha256_base64url(secret))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}

/// A new secret, to be shown once, and what is stored of it.
pub fn draw_secret(now: Timestamp, random: &Random) -> (Secret, StoredSecret) {
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random.bytes::<32>()));
    let stored = StoredSecret { hash: SecretHash::of(&secret), created_at: now, expires_at: None };
    (Secret::new(secret), stored)
}

impl Proof {
    /// Whether `secret` is one of the client's at `now`, in constant time.
    pub fn accepts_secret(&self, secret: &str, now: Timestamp) -> bool {
        let Self::Secret { secrets } = self else { return false };
        let offered = SecretHash::of(secret);
        let matching = |stored: &&StoredSecret| {
            bool::from(subtle::ConstantTimeEq::ct_eq(stored.hash.0.as_bytes(), offered.0.as_bytes()))
        };
        secrets.iter().filter(matching).any(|stored| stored.expires_at.is_none_or(|end| now < end))
    }

    /// The proof with a new secret; the one before stays good until `overlap_ends`, earlier ones end now.
    pub fn rotated(&self, new: StoredSecret, overlap_ends: Timestamp) -> Self {
        let before = match self {
            Self::Secret { secrets } => secrets.first().cloned(),
            Self::PrivateKeyJwt { .. } | Self::Public {} => None,
        };
        let before = before.map(|secret| StoredSecret { expires_at: Some(overlap_ends), ..secret });
        Self::Secret { secrets: std::iter::once(new).chain(before).take(MOST_SECRETS).collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_grant_types_fit_the_client() {
        use GrantType::{AuthorizationCode, ClientCredentials, RefreshToken};
        let of_new = |asked: Option<&[GrantType]>, redirects, public| GrantType::of_new(asked, redirects, public).ok();
        assert_eq!(of_new(None, false, false), Some(vec![ClientCredentials]));
        assert_eq!(of_new(None, true, true), Some(vec![AuthorizationCode, RefreshToken]));
        assert_eq!(of_new(Some(&[AuthorizationCode, AuthorizationCode]), true, false), Some(vec![AuthorizationCode]));
        let both = [RefreshToken, AuthorizationCode, ClientCredentials];
        assert_eq!(of_new(Some(&both), true, false), Some(vec![ClientCredentials, AuthorizationCode, RefreshToken]));
        for (asked, redirects, public) in [
            (Some(&[][..]), false, false),
            (Some(&[AuthorizationCode]), false, false),
            (Some(&[ClientCredentials]), true, false),
            (Some(&[RefreshToken]), false, false),
            (Some(&[ClientCredentials, RefreshToken]), false, false),
            (Some(&both), true, true),
            (None, false, true),
        ] {
            assert_eq!(of_new(asked, redirects, public), None, "{asked:?} {redirects} {public}");
        }
    }

    #[test]
    fn both_secrets_are_good_while_they_overlap() {
        let random = Random::seeded(1);
        let (first, stored) = draw_secret(at(0), &random);
        let proof = Proof::Secret { secrets: vec![stored] };
        assert!(proof.accepts_secret(first.expose(), at(1)) && !proof.accepts_secret("tf_cs_x", at(1)));
        let (second, stored) = draw_secret(at(10), &random);
        let proof = proof.rotated(stored, at(100));
        assert!(proof.accepts_secret(first.expose(), at(99)) && proof.accepts_secret(second.expose(), at(99)));
        assert!(!proof.accepts_secret(first.expose(), at(100)) && proof.accepts_secret(second.expose(), at(1_000_000)));
        let (_, third) = draw_secret(at(20), &random);
        let proof = proof.rotated(third, at(200));
        assert!(!proof.accepts_secret(first.expose(), at(21)) && proof.accepts_secret(second.expose(), at(21)));
        assert!(!format!("{proof:?}").contains(&SecretHash::of(second.expose()).0));
    }
}
