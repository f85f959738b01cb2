//! The keys that sign what is sent to a tenant's URLs: of each scheme one, and for a while those before it.

use serde::{Deserialize, Serialize};
use shared::dynamo::{Item, Put, TransactWrite, n};
use shared::id::TenantId;
use shared::random::Random;
use shared::signing::{Key, SigningKey, SigningSecret};
use shared::time::{Clock, Timestamp};

use super::{Along, InsertError, JobStore, StoreError, item, key, read};

/// The most keys of a scheme that sign beside the current one: with both schemes, as many as a signer takes.
pub const MOST_RETIRING: usize = 3;

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

    /// The route that gives a tenant a new key of it.
    pub const fn rotation(self) -> &'static str {
        match self {
            Self::Secret => "POST /v2/jobs/signing-secret/rotate",
            Self::KeyPair => "POST /v2/jobs/signing-key/rotate",
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
    previous: Option<Retiring>,
    /// So do those that were replaced before it, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Retiring>,
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
    /// The first keys of a scheme.
    fn first(scheme: Scheme, random: &Random, now: Timestamp) -> Self {
        Self { current: scheme.generate(random), previous: None, earlier: Vec::new(), created_at: now, revision: 1 }
    }

    /// The same with a new key, beside which the present one signs until `until`, and those before it for as long as they
    /// were promised. `Err` is when the first of them ends, when there are as many as there may be.
    pub fn rotated(self, scheme: Scheme, random: &Random, now: Timestamp, until: Timestamp) -> Result<Self, Timestamp> {
        let retiring: Vec<_> = self.retiring(now).cloned().collect();
        let present = (until > now).then_some(Retiring { key: self.current, until });
        if present.is_some() && retiring.len() >= MOST_RETIRING {
            return Err(retiring.iter().map(|retiring| retiring.until).min().unwrap_or(now));
        }
        let mut retiring = present.into_iter().chain(retiring);
        Ok(Self {
            current: scheme.generate(random),
            previous: retiring.next(),
            earlier: retiring.collect(),
            created_at: now,
            revision: self.revision + 1,
        })
    }

    /// The keys before, the newest first, as long as each signs as well.
    pub fn retiring(&self, now: Timestamp) -> impl Iterator<Item = &Retiring> {
        self.previous.iter().chain(&self.earlier).filter(move |retiring| retiring.until > now)
    }

    /// What signs at `now`, the newest first.
    pub fn signing(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(self.retiring(now).map(|retiring| &retiring.key))
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
        let keys = SigningKeys::first(scheme, random, clock.now());
        let (put, item) = self.keys_put(tenant, scheme, &keys)?;
        match self.put_once(put, &item).await {
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
        along: Along,
    ) -> Result<(), InsertError> {
        let (put, item) = self.keys_put(tenant, scheme, keys)?;
        if along.idempotency.is_none() {
            return Ok(self.put_once(put, &item).await?);
        }
        self.write(along, vec![TransactWrite::Put(put)]).await
    }

    fn keys_put(&self, tenant: &TenantId, scheme: Scheme, keys: &SigningKeys) -> Result<(Put, Item), StoreError> {
        let item = item(tenant.to_string(), scheme.sort_key(), keys)?;
        let put = Put::new(&self.table, item.clone())
            .only_if("attribute_not_exists(pk) OR revision = :before")
            .value(":before", n(keys.revision.saturating_sub(1)));
        Ok((put, item))
    }
}
