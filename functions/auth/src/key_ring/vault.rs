//! The stored ring, with the secret that opens its keys.
//!
//! Whoever needs a key first makes the ring: each write names the revision that it replaces, so that of several one wins
//! and the others find its ring. A ring that cannot be opened any more, because the secret was replaced, is replaced too;
//! what it signed stays valid.
//!
//! # Calls
//! One consistent read for the ring. One call of Secrets Manager for each instance, and one more when a ring does not
//! open: the secret may have been replaced since. A transaction of two items when the ring changes.

use std::sync::Arc;
use std::time::Duration;

use shared::aws::{SecretError, Secrets};
use shared::cache::Cache;
use shared::config::ConfigError;
use shared::dynamo::{Dynamo, DynamoError};
use shared::identity::store::IdentityStore;
use shared::lambda::Runtime;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};

use super::seal::{PrivateKey, SealError, Sealer};
use super::{KeyRing, Reason, TooEarly};
use crate::store::{AccountStore, WriteError};

/// How often a write that another one forestalls is tried.
const ATTEMPTS: u32 = 6;
/// The base of the pauses between them.
const PAUSE: Duration = Duration::from_millis(10);

/// The ring and its secret. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vault {
    store: AccountStore,
    secrets: Secrets,
    secret_id: String,
    sealers: Cache<(), Arc<Sealer>>,
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
    /// A key could not be made or opened.
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

/// The key that signs, opened.
#[derive(Debug)]
pub struct SigningKey {
    /// Its id.
    pub kid: String,
    /// The key.
    pub private: PrivateKey,
}

/// A ring that opens, and what opens it.
struct Held {
    ring: KeyRing,
    revision: u64,
    sealer: Arc<Sealer>,
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
            store: AccountStore::new(dynamo, accounts_table, identity),
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
        Ok(SigningKey { kid: key.public.kid.clone(), private: held.sealer.open(key)? })
    }

    /// The ring as it is stored; none before the first key was needed.
    pub async fn ring(&self) -> Result<Option<KeyRing>, VaultError> {
        Ok(self.store.key_ring().await?.map(|stored| stored.keys))
    }

    /// Does what is due and what `reason` demands, and answers the ring after it. When another rotation takes place at
    /// the same time, that one is enough.
    pub async fn rotate(&self, reason: Reason) -> Result<KeyRing, VaultError> {
        let mut meant = None;
        for attempt in 1..=ATTEMPTS {
            let Held { ring, revision, sealer } = self.held().await?;
            let kid = &ring.current.key.public.kid;
            if meant.get_or_insert_with(|| kid.clone()) != kid {
                return Ok(ring);
            }
            let new = sealer.generate(&self.random)?;
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
            let sealer = match &stored {
                Some(stored) => self.sealer_of(&stored.keys).await?,
                None => self.sealer().await?,
            };
            let pair = || sealer.generate(&self.random);
            let (ring, before) = match stored {
                Some(stored) if opens(&sealer, &stored.keys) => {
                    return Ok(Held { ring: stored.keys, revision: stored.revision, sealer });
                }
                Some(stored) => {
                    tracing::error!("the signing keys do not open with the present secret: new ones take over");
                    (stored.keys.replaced(self.clock.now(), pair()?, pair()?), Some(stored.revision))
                }
                None => (KeyRing::new(self.clock.now(), pair()?, pair()?), None),
            };
            if self.put(&ring, before, attempt).await? {
                return Ok(Held { ring, revision: before.unwrap_or(0) + 1, sealer });
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

    /// The sealer of the secret as this instance knows it; as it is now, when that one does not open `ring`.
    async fn sealer_of(&self, ring: &KeyRing) -> Result<Arc<Sealer>, VaultError> {
        let sealer = self.sealer().await?;
        if opens(&sealer, ring) {
            return Ok(sealer);
        }
        self.sealers.remove(&()).await;
        self.sealer().await
    }

    async fn sealer(&self) -> Result<Arc<Sealer>, VaultError> {
        let read = async {
            let secret = self.secrets.read(&self.secret_id).await?;
            Sealer::new(&secret).map(Arc::new).map_err(|error| SecretError::Refused(error.into()))
        };
        self.sealers.get_or_load((), read).await.map_err(VaultError::Secret)
    }
}

/// Whether both private halves of `ring` open.
fn opens(sealer: &Sealer, ring: &KeyRing) -> bool {
    [&ring.current.key, &ring.next.key].into_iter().all(|key| sealer.open(key).is_ok())
}
