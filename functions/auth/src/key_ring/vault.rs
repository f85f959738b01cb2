//! The secret in Secrets Manager, and what is sealed under it: the stored ring's keys, and the secrets that users share
//! with their authenticator apps.
//!
//! Whoever needs a key first makes the ring: each write names the revision that it replaces, so that of several one wins
//! and the others find its ring. A ring that cannot be opened any more, because the secret was replaced, is replaced too;
//! what it signed stays valid, unless somebody says that it is compromised. An app's secret cannot be made anew without its
//! user: it is lost with the secret.
//!
//! # Calls
//! One consistent read for the ring. One call of Secrets Manager for each instance, and one more when something does not
//! open: the secret may have been replaced since. A transaction of two items when the ring changes.

use std::sync::Arc;
use std::time::Duration;

use shared::aws::{SecretError, Secrets};
use shared::cache::Cache;
use shared::config::{ConfigError, Secret};
use shared::dynamo::{Dynamo, DynamoError};
use shared::http::Problem;
use shared::identity::store::IdentityStore;
use shared::lambda::Runtime;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};

use super::seal::{KeySealer, PrivateKey};
use super::{KeyRing, Reason, TooEarly};
use crate::factor::totp::TotpSecret;
use crate::seal::{SealError, Sealed, Sealer};
use crate::store::{Accounts, WriteError};
use crate::user::UserId;

/// What the key is derived for that seals the secrets of authenticator apps.
const TOTP_PURPOSE: &str = "tenfold totp secrets 1";

/// How often a write that another one forestalls is tried.
const ATTEMPTS: u32 = 6;
/// The base of the pauses between them.
const PAUSE: Duration = Duration::from_millis(10);

/// The ring and its secret. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vault {
    store: Accounts,
    secrets: Secrets,
    secret_id: String,
    sealers: Cache<(), Arc<Sealers>>,
    clock: Clock,
    random: Random,
}

/// Why the ring could not be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The ring could not be read or written.
    #[error("the key ring cannot be read or written")]
    Store(#[from] WriteError),
    /// The secret could not be read.
    #[error("the secret of the key ring cannot be read")]
    Secret(#[source] Arc<SecretError>),
    /// A key, or an app's secret, could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A rotation was asked for too early.
    #[error(transparent)]
    TooEarly(#[from] TooEarly),
    /// Others changed the ring at each attempt.
    #[error("others change the key ring at this moment")]
    Contended,
}

impl VaultError {
    /// Whether it may succeed a moment later.
    pub fn passes(&self) -> bool {
        match self {
            Self::Store(WriteError::Dynamo(error)) => {
                matches!(error, DynamoError::Unavailable(_) | DynamoError::Conflict(_))
            }
            Self::Secret(error) => matches!(**error, SecretError::Unavailable(_)),
            Self::Store(WriteError::Stale | WriteError::Conflict) | Self::Contended => true,
            Self::Store(_) | Self::Seal(_) | Self::TooEarly(_) => false,
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        if error.passes() { Self::unavailable(error) } else { Self::internal(error) }
    }
}

/// The key that signs, opened.
#[derive(Debug)]
pub struct SigningKey {
    /// Its id.
    pub kid: String,
    /// The key.
    pub private: PrivateKey,
}

/// What seals under the secret.
#[derive(Debug)]
struct Sealers {
    keys: KeySealer,
    totp: Sealer,
}

impl Sealers {
    fn new(secret: &Secret) -> Result<Self, SealError> {
        Ok(Self { keys: KeySealer::new(secret)?, totp: Sealer::new(secret, TOTP_PURPOSE)? })
    }
}

/// A ring that opens, and what opens it.
struct Held {
    ring: KeyRing,
    revision: u64,
    sealers: Arc<Sealers>,
}

impl Vault {
    /// Reads `ACCOUNTS_TABLE`, `IDENTITY_TABLE` and `SIGNING_SECRET_ID`. Nothing is called yet.
    pub fn new(runtime: &Runtime) -> Result<Self, ConfigError> {
        let mut reader = runtime.environment.reader();
        let accounts_table = reader.required("ACCOUNTS_TABLE");
        let identity_table = reader.required("IDENTITY_TABLE");
        let secret_id = reader.required("SIGNING_SECRET_ID");
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let identity = IdentityStore::new(dynamo.clone(), identity_table, runtime.random.clone());
        Ok(Self {
            store: Accounts::new(dynamo, accounts_table, identity),
            secrets: runtime.aws.secrets.clone(),
            secret_id,
            sealers: Cache::new(1, SignedDuration::MAX, runtime.clock.clone()),
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        })
    }

    /// The key that signs now.
    pub async fn current(&self) -> Result<SigningKey, VaultError> {
        let held = self.held().await?;
        let key = &held.ring.current.key;
        Ok(SigningKey { kid: key.public.kid.clone(), private: held.sealers.keys.open(key)? })
    }

    /// The ring as it is stored; none before the first key was needed.
    pub async fn ring(&self) -> Result<Option<KeyRing>, VaultError> {
        Ok(self.store.key_ring().await?.map(|stored| stored.keys))
    }

    /// Does what is due and what `reason` demands, and answers the ring after it. When another rotation that does as much
    /// takes place at the same time, that one is enough.
    pub async fn rotate(&self, reason: Reason) -> Result<KeyRing, VaultError> {
        if reason == Reason::Compromised {
            // The secret may be what was lost: nothing is sealed under one that was replaced since this instance read it.
            self.sealers_anew().await?;
        }
        let mut meant = None;
        for attempt in 1..=ATTEMPTS {
            let Held { ring, revision, sealers } = self.held().await?;
            if ring.is_after(reason, meant.get_or_insert_with(|| ring.current.key.public.kid.clone())) {
                return Ok(ring);
            }
            let new = [sealers.keys.generate(&self.random)?, sealers.keys.generate(&self.random)?];
            let Some(rotated) = ring.rotate(self.clock.now(), new, reason)? else { return Ok(ring) };
            if self.put(&rotated, Some(revision), attempt).await? {
                tracing::info!(?reason, current = rotated.current.key.public.kid, "the key ring was changed");
                return Ok(rotated);
            }
        }
        Err(VaultError::Contended)
    }

    /// A ring that opens: the stored one if it does, else a new one.
    async fn held(&self) -> Result<Held, VaultError> {
        for attempt in 1..=ATTEMPTS {
            let stored = self.store.key_ring().await?;
            let sealers = match &stored {
                Some(stored) => self.sealers_of(&stored.keys).await?,
                None => self.sealers().await?,
            };
            let pair = || sealers.keys.generate(&self.random);
            let (ring, before) = match stored {
                Some(stored) if opens(&sealers, &stored.keys) => {
                    return Ok(Held { ring: stored.keys, revision: stored.revision, sealers });
                }
                Some(stored) => {
                    tracing::error!("the signing keys do not open with the present secret: new ones take over");
                    (stored.keys.replaced(self.clock.now(), pair()?, pair()?), Some(stored.revision))
                }
                None => (KeyRing::new(self.clock.now(), pair()?, pair()?), None),
            };
            if self.put(&ring, before, attempt).await? {
                return Ok(Held { ring, revision: before.unwrap_or(0) + 1, sealers });
            }
        }
        Err(VaultError::Contended)
    }

    /// Stores a ring. `false`, after a pause, when another was faster.
    async fn put(&self, ring: &KeyRing, before: Option<u64>, attempt: u32) -> Result<bool, VaultError> {
        match self.store.put_key_ring(ring, before).await {
            Ok(()) => Ok(true),
            Err(WriteError::Stale | WriteError::Conflict) => {
                tokio::time::sleep(self.random.pause(PAUSE, attempt)).await;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Seals the secret of a user's authenticator app.
    pub async fn seal_totp(&self, user: &UserId, secret: &TotpSecret) -> Result<Sealed, VaultError> {
        Ok(self.sealers().await?.totp.seal(&user.to_string(), secret.bytes(), &self.random)?)
    }

    /// Opens the secret of a user's authenticator app.
    pub async fn open_totp(&self, user: &UserId, sealed: &Sealed) -> Result<TotpSecret, VaultError> {
        let owner = user.to_string();
        let opened = self.sealers().await?.totp.open(&owner, sealed);
        let opened = match opened {
            Ok(opened) => opened,
            Err(SealError) => self.sealers_anew().await?.totp.open(&owner, sealed)?,
        };
        Ok(TotpSecret::try_from(opened.as_slice()).map_err(|_| SealError)?)
    }

    /// The sealers of the secret as this instance knows it; as it is now, when they do not open `ring`.
    async fn sealers_of(&self, ring: &KeyRing) -> Result<Arc<Sealers>, VaultError> {
        let sealers = self.sealers().await?;
        if opens(&sealers, ring) { Ok(sealers) } else { self.sealers_anew().await }
    }

    async fn sealers_anew(&self) -> Result<Arc<Sealers>, VaultError> {
        self.sealers.remove(&()).await;
        self.sealers().await
    }

    async fn sealers(&self) -> Result<Arc<Sealers>, VaultError> {
        let read = async {
            let secret = self.secrets.read(&self.secret_id).await?;
            Sealers::new(&secret).map(Arc::new).map_err(|error| SecretError::Refused(error.into()))
        };
        self.sealers.get_or_load((), read).await.map_err(VaultError::Secret)
    }
}

/// Whether both private halves of `ring` open.
fn opens(sealers: &Sealers, ring: &KeyRing) -> bool {
    [&ring.current.key, &ring.next.key].into_iter().all(|key| sealers.keys.open(key).is_ok())
}
