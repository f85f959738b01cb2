//! Reading and changing the records of API keys.

use std::time::Duration;

use super::IdentityStore;
use super::record::{ApiKeyRecord, id_of, item, key_of, record, removed_at};
use crate::dynamo::{DynamoError, Put, TransactWrite, Update, n, s};
use crate::http::versions::Version;
use crate::identity::api_key::ApiKeyId;
use crate::identity::credits::{Credits, Refill};
use crate::time::{SignedDuration, Timestamp};

/// How often the use of an API key is noted, at most.
pub(in crate::identity) const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// What an attempt to take a credit came to.
#[derive(Debug)]
pub(in crate::identity) enum Charge {
    /// One was taken, or the key does not need any.
    Paid(ApiKeyRecord),
    /// There is none left.
    Exhausted(ApiKeyRecord),
    /// The key is not there any more.
    Gone,
}

/// Attempts against other requests of a key at the moment of its refill, before giving up.
const MAX_ATTEMPTS: u32 = 8;
/// The longest pause before the second attempt; it doubles for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

impl IdentityStore {
    /// An API key's record, as it was a moment ago.
    pub async fn api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKeyRecord>, DynamoError> {
        self.read_api_key(id, false).await
    }

    /// An API key's record as it is now.
    pub async fn api_key_fresh(&self, id: &ApiKeyId) -> Result<Option<ApiKeyRecord>, DynamoError> {
        self.read_api_key(id, true).await
    }

    async fn read_api_key(&self, id: &ApiKeyId, consistent: bool) -> Result<Option<ApiKeyRecord>, DynamoError> {
        let item = self.dynamo.get(&self.table, key_of(id), consistent).await?;
        Ok(item.map(|item| record(*id, item)).transpose()?)
    }

    /// The records of up to 100 keys, as they were a moment ago and in no order; those that are not there are left out.
    pub async fn api_keys(&self, ids: &[ApiKeyId]) -> Result<Vec<ApiKeyRecord>, DynamoError> {
        let items = self.dynamo.batch_get(&self.table, ids.iter().map(key_of).collect(), false).await?;
        items.into_iter().map(|item| Ok(record(id_of(&item)?, item)?)).collect()
    }

    /// Writes an API key's record, a new one or the same again.
    pub async fn put_api_key(&self, record: &ApiKeyRecord) -> Result<(), DynamoError> {
        self.dynamo.put(Put::new(&self.table, item(record)?)).await
    }

    /// The write of a new API key's record. It fails when there is one with this id.
    pub fn api_key_write(&self, record: &ApiKeyRecord) -> Result<TransactWrite, DynamoError> {
        Ok(TransactWrite::Put(Put::new(&self.table, item(record)?).only_if("attribute_not_exists(pk)")))
    }

    /// The write that revokes a key; one that is revoked stays so from its first time. It fails when there is no such key.
    pub fn revoke_key_write(&self, id: &ApiKeyId, at: Timestamp) -> TransactWrite {
        let expression = "SET revoked_at = if_not_exists(revoked_at, :at), \
                          removed_at = if_not_exists(removed_at, :removed_at)";
        let update = Update::new(&self.table, key_of(id), expression).only_if("attribute_exists(pk)");
        TransactWrite::Update(update.value(":at", n(at.as_second())).value(":removed_at", n(removed_at(at))))
    }

    /// The write that sets a key's end, earlier or later than it was: how the old key overlaps with the new one when a
    /// key is rotated. It fails when there is no such key or it is revoked.
    pub fn expire_key_write(&self, id: &ApiKeyId, at: Timestamp) -> TransactWrite {
        let update = Update::new(&self.table, key_of(id), "SET expires_at = :at")
            .only_if("attribute_exists(pk) AND attribute_not_exists(revoked_at)");
        TransactWrite::Update(update.value(":at", n(at.as_second())))
    }

    /// The write that pins a key to one version of the API, or to none. It fails when there is no such key.
    pub fn pin_key_write(&self, id: &ApiKeyId, version: Option<Version>) -> TransactWrite {
        let update = |expression| Update::new(&self.table, key_of(id), expression).only_if("attribute_exists(pk)");
        TransactWrite::Update(match version {
            Some(version) => update("SET api_version = :version").value(":version", s(version.as_str())),
            None => update("REMOVE api_version"),
        })
    }

    /// Notes that a key is in use. Written at most once in ten minutes for each key, whoever asks.
    pub async fn note_use(&self, id: &ApiKeyId, now: Timestamp) -> Result<(), DynamoError> {
        let update = Update::new(&self.table, key_of(id), "SET last_used_at = :now")
            .only_if("attribute_exists(pk) AND (attribute_not_exists(last_used_at) OR last_used_at < :before)")
            .value(":now", n(now.as_second()))
            .value(":before", n(now.as_second() - USE_NOTED_EVERY.as_secs()));
        match self.dynamo.update(update).await {
            Ok(_) | Err(DynamoError::ConditionFailed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes one of a key's credits. `known` is the record as it was read lately: only a credit that the table has is
    /// taken, but one that `known` lacks is not asked for. A write whose answer is lost is sent again by the SDK and may
    /// take a second credit.
    pub(in crate::identity) async fn take_credit(
        &self,
        known: ApiKeyRecord,
        now: Timestamp,
    ) -> Result<Charge, DynamoError> {
        let mut known = known;
        for attempt in 1..=MAX_ATTEMPTS {
            let Some(before) = known.credits else { return Ok(Charge::Paid(known)) };
            let Some(after) = before.take(now) else { return Ok(Charge::Exhausted(known)) };
            match self.dynamo.update(self.charge(&known.id, before, after)).await {
                Ok(item) => return Ok(Charge::Paid(record(known.id, item)?)),
                Err(DynamoError::ConditionFailed { current }) if current.is_empty() => return Ok(Charge::Gone),
                // Another request was the last, or saw the refill first.
                Err(DynamoError::ConditionFailed { current }) => known = record(known.id, current)?,
                Err(DynamoError::Conflict(_)) => {
                    tokio::time::sleep(self.random.pause(FIRST_PAUSE, attempt)).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(DynamoError::Unavailable("too many requests of one key at its refill".into()))
    }

    /// Within a period each request takes one from whatever there is; the first of a new period sets the balance.
    fn charge(&self, id: &ApiKeyId, before: Credits, after: Credits) -> Update {
        let update = |expression| Update::new(&self.table, key_of(id), expression);
        let second = |refill: Refill| n(refill.refilled_at.as_second());
        match (before.refill, after.refill) {
            (Some(old), Some(new)) if old != new => update("SET credits_remaining = :left, refilled_at = :refilled_at")
                .only_if("refilled_at = :before AND refill_amount = :amount AND refill_every_seconds = :every")
                .value(":left", n(after.remaining))
                .value(":refilled_at", second(new))
                .value(":before", second(old))
                .value(":amount", n(old.amount))
                .value(":every", n(old.every_seconds)),
            (Some(refill), _) => update("SET credits_remaining = credits_remaining - :one")
                .only_if("credits_remaining >= :one AND refilled_at = :refilled_at")
                .value(":refilled_at", second(refill))
                .value(":one", n(1)),
            (None, _) => update("SET credits_remaining = credits_remaining - :one")
                .only_if("credits_remaining >= :one AND attribute_not_exists(refilled_at)")
                .value(":one", n(1)),
        }
    }
}
