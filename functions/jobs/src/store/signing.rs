//! The keys that sign what is sent to a tenant's URLs.

use serde::{Deserialize, Serialize};
use shared::dynamo::{DynamoError, Put, n};
use shared::id::TenantId;
use shared::signing::{InvalidKeyCount, Key, Signer, SigningSecret};
use shared::time::Timestamp;

use super::{JobStore, StoreError, item, key, read};

/// A tenant's keys.
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
    /// The first keys of a tenant.
    pub fn new(secret: SigningSecret, now: Timestamp) -> Self {
        Self { current: secret.into(), previous: None, created_at: now, revision: 1 }
    }

    /// The same with a new key, beside which the present one signs until `until`.
    pub fn rotated(self, secret: SigningSecret, now: Timestamp, until: Timestamp) -> Self {
        let previous = (until > now).then_some(Retiring { key: self.current, until });
        Self { current: secret.into(), previous, created_at: now, revision: self.revision + 1 }
    }

    /// What signs at `now`.
    pub fn signer(&self, now: Timestamp) -> Result<Signer, InvalidKeyCount> {
        let previous = self.previous.as_ref().filter(|previous| previous.until > now).map(|previous| &previous.key);
        Signer::new(std::iter::once(&self.current).chain(previous).cloned())
    }
}

impl JobStore {
    /// The tenant's keys.
    pub async fn signing_keys(&self, tenant: &TenantId) -> Result<Option<SigningKeys>, StoreError> {
        self.dynamo.get(&self.table, key(tenant.to_string(), "signing"), true).await?.map(read).transpose()
    }

    /// Writes the tenant's keys over the revision before; [`StoreError::Stale`] when somebody else did.
    pub async fn put_signing_keys(&self, tenant: &TenantId, keys: &SigningKeys) -> Result<(), StoreError> {
        let put = Put::new(&self.table, item(tenant.to_string(), "signing", keys)?)
            .only_if("attribute_not_exists(pk) OR revision = :before")
            .value(":before", n(keys.revision.saturating_sub(1)));
        match self.dynamo.put(put).await {
            Ok(()) => Ok(()),
            Err(DynamoError::ConditionFailed { .. }) => Err(StoreError::Stale),
            Err(error) => Err(error.into()),
        }
    }
}
