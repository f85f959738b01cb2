//! Signs access tokens with the ring's current key.
//!
//! # Calls
//! Those of [`crate::key_ring::vault`] at the first token of an instance, and one read each [`KEY_KEPT`]; none for the
//! tokens between.

use std::sync::Arc;

use shared::BoxError;
use shared::cache::Cache;
use shared::config::ConfigError;
use shared::http::Problem;
use shared::identity::token::{self, ACCESS_TOKEN_LIFETIME, Claims};
use shared::lambda::Runtime;
use shared::time::{Clock, SignedDuration};

use crate::key_ring::vault::{SigningKey, Vault, VaultError};
use crate::oauth::id_token::IdToken;

/// How long an instance signs with a key before it asks which one is current. A key that retires meanwhile stays
/// public for much longer; what is signed with one that was dropped as compromised is refused.
pub const KEY_KEPT: SignedDuration = SignedDuration::from_mins(5);

/// Signs access tokens. Cheap to clone; clones share the opened key.
#[derive(Clone, Debug)]
pub struct Signer {
    vault: Vault,
    keys: Cache<(), Arc<SigningKey>>,
    clock: Clock,
    issuer: Arc<str>,
    audience: Arc<str>,
}

/// Why a token was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no key to sign with at this moment.
    #[error("there is no key to sign with")]
    Key(#[source] Arc<VaultError>),
    /// The token would outlive the key that verifies it: a fault in the code.
    #[error("an access token lives for {} seconds at most", ACCESS_TOKEN_LIFETIME.as_secs())]
    TooLong,
    /// The claims cannot be signed: a fault in the code.
    #[error("the claims cannot be signed")]
    Claims(#[source] BoxError),
}

impl From<SignError> for Problem {
    fn from(error: SignError) -> Self {
        match &error {
            SignError::Key(cause) if cause.passes() => Self::unavailable(error),
            _ => Self::internal(error),
        }
    }
}

impl Signer {
    /// Reads `TOKEN_ISSUER`, `TOKEN_AUDIENCE` and what [`Vault::new`] reads. Nothing is called yet.
    pub fn new(runtime: &Runtime) -> Result<Self, ConfigError> {
        let mut reader = runtime.environment.reader();
        let issuer: String = reader.required("TOKEN_ISSUER");
        let audience: String = reader.required("TOKEN_AUDIENCE");
        reader.finish()?;
        Ok(Self {
            vault: Vault::new(runtime)?,
            keys: Cache::new(1, KEY_KEPT, runtime.clock.clone()),
            clock: runtime.clock.clone(),
            issuer: issuer.into(),
            audience: audience.into(),
        })
    }

    /// What opens the keys.
    pub(crate) const fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The `iss` of every token.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `aud` of every token.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The signed token with these claims, which end within [`ACCESS_TOKEN_LIFETIME`] from now.
    pub async fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        if claims.exp - self.clock.now().as_second() > ACCESS_TOKEN_LIFETIME.as_secs() {
            return Err(SignError::TooLong);
        }
        let key = self.key().await?;
        token::sign(claims, &key.kid, key.private.pkcs8()).map_err(|error| SignError::Claims(error.into()))
    }

    /// The signed id token with these claims (OpenID Connect Core 1.0, section 2).
    pub async fn sign_id_token(&self, claims: &IdToken) -> Result<String, SignError> {
        let key = self.key().await?;
        let signed = token::sign_as("JWT", claims, &key.kid, key.private.pkcs8());
        signed.map_err(|error| SignError::Claims(error.into()))
    }

    async fn key(&self) -> Result<Arc<SigningKey>, SignError> {
        let load = async { self.vault.current().await.map(Arc::new) };
        self.keys.get_or_load((), load).await.map_err(SignError::Key)
    }
}
