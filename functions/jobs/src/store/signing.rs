//! The keys that sign what is sent to a tenant's URLs: of each scheme one, and for a while the one before.

use serde::{Deserialize, Serialize};
use shared::dynamo::{Put, n};
use shared::id::TenantId;
use shared::random::Random;
use shared::signing::{Key, SigningKey, SigningSecret};
use shared::time::{Clock, Timestamp};

use super::{JobStore, StoreError, item, key, read};

/// How requests are signed: by all of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256 with a secret that the receiver knows too.
    Secret,
    /// Ed25519, whose public key is all that the receiver needs.
    KeyPair,
}

impl Scheme {
    const fn sort_key(self) -> &'static str {
        match self {
            Self::Secret => "signing",
            Self::KeyPair => "signing_key",
        }
    }

    fn generate(self, random: &Random) -> Key {
        match self {
            Self::Secret => SigningSecret::generate(random).into(),
            Self::KeyPair => SigningKey::generate(random).into(),
        }
    }
}

/// A tenant's keys of one scheme.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SigningKeys {
    /// Signs from now on.
    #[serde(serialize_with = "Key::store")]
    pub current: Key,
    /// Signs as well for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Retiring>,
    /// When the current key was made.
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// Grows with each write.
    pub revision: u64,
}

/// A key that was replaced.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Retiring {
    /// The key.
    #[serde(serialize_with = "Key::store")]
    pub key: Key,
    /// Until when it signs as well.
    #[serde(serialize_with = "shared::time::millis")]
    pub until: Timestamp,
}

impl SigningKeys {
    /// The same with a new key, beside which the present one signs until `until`.
    pub fn rotated(self, scheme: Scheme, random: &Random, now: Timestamp, until: Timestamp) -> Self {
        let previous = (until > now).then_some(Retiring { key: self.current, until });
        Self { current: scheme.generate(random), previous, created_at: now, revision: self.revision + 1 }
    }

    /// The key before, while it signs as well.
    pub fn retiring(&self, now: Timestamp) -> Option<&Retiring> {
        self.previous.as_ref().filter(|previous| previous.until > now)
    }

    /// What signs at `now`, the newest first.
    pub fn signing(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(self.retiring(now).map(|previous| &previous.key))
    }
}

impl JobStore {
    /// The tenant's keys of a scheme as they are now, made when there are none.
    pub async fn signing_keys(
        &self,
        tenant: &TenantId,
        scheme: Scheme,
        clock: &Clock,
        random: &Random,
    ) -> Result<SigningKeys, StoreError> {
        if let Some(keys) = self.kept_keys(tenant, scheme).await? {
            return Ok(keys);
        }
        let (current, created_at) = (scheme.generate(random), clock.now());
        let keys = SigningKeys { current, previous: None, created_at, revision: 1 };
        match self.put_signing_keys(tenant, scheme, &keys).await {
            Ok(()) => Ok(keys),
            Err(StoreError::Stale) => self.kept_keys(tenant, scheme).await?.ok_or(StoreError::Stale),
            Err(error) => Err(error),
        }
    }

    async fn kept_keys(&self, tenant: &TenantId, scheme: Scheme) -> Result<Option<SigningKeys>, StoreError> {
        self.dynamo.get(&self.table, key(tenant.to_string(), scheme.sort_key()), true).await?.map(read).transpose()
    }

    /// Writes the tenant's keys of a scheme over the revision before; [`StoreError::Stale`] when somebody else did.
    pub async fn put_signing_keys(
        &self,
        tenant: &TenantId,
        scheme: Scheme,
        keys: &SigningKeys,
    ) -> Result<(), StoreError> {
        let item = item(tenant.to_string(), scheme.sort_key(), keys)?;
        let put = Put::new(&self.table, item.clone())
            .only_if("attribute_not_exists(pk) OR revision = :before")
            .value(":before", n(keys.revision.saturating_sub(1)));
        self.put_once(put, &item).await
    }
}
