//! What the sweeper looks at, and when: entries spread over shards by the user's id, in the order of their time.

use serde::{Deserialize, Serialize};
use shared::dynamo::{AttributeValue, Delete, DynamoError, Item, Put, Query, TransactWrite, s};
use shared::time::{Timestamp, rfc3339_millis};

use super::{AccountStore, Write, WriteError, item, key, read, user_partition, with_outbox};
use crate::user::UserId;

/// How many shards there are. Each takes 1,000 writes a second.
pub const SHARDS: u32 = 4;

/// Something for the sweeper to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepEntry {
    /// Whom it is about.
    pub user_id: UserId,
    /// When.
    pub at: Timestamp,
    /// What.
    pub reason: SweepReason,
}

/// What the sweeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepReason {
    /// Deletes the account if its address was not proved by then.
    Unverified,
    /// Removes what is left of a deleted account.
    Erase,
}

impl SweepEntry {
    fn partition(&self) -> String {
        let hash = self.user_id.uuid().as_u128() % u128::from(SHARDS);
        format!("sweep#{hash}")
    }

    fn sort_key(&self) -> String {
        format!("{}#{}", rfc3339_millis(self.at), self.user_id)
    }
}

impl AccountStore {
    /// The write of an entry.
    pub fn sweep_write(&self, entry: &SweepEntry) -> Result<Write, WriteError> {
        let item = item(entry.partition(), entry.sort_key(), entry)?;
        Ok(Write::sure(TransactWrite::Put(Put::new(&self.table, item))))
    }

    /// The write of an entry that carries events for the relay.
    pub fn sweep_write_telling(&self, entry: &SweepEntry, outbox: AttributeValue) -> Result<Write, WriteError> {
        let item = with_outbox(item(entry.partition(), entry.sort_key(), entry)?, Some(outbox));
        Ok(Write::sure(TransactWrite::Put(Put::new(&self.table, item))))
    }

    /// The entries of a shard whose time has come, after `after`: up to `limit`, the earliest first.
    pub async fn sweep_due(
        &self,
        shard: u32,
        now: Timestamp,
        after: Option<&SweepEntry>,
        limit: usize,
    ) -> Result<Vec<SweepEntry>, WriteError> {
        let start = after.map(|entry| key(entry.partition(), entry.sort_key()).into());
        let query = Query::new(&self.table, "pk = :pk AND sk < :now")
            .value(":pk", s(format!("sweep#{shard}")))
            .value(":now", s(rfc3339_millis(now)))
            .after(start)
            .limit(limit);
        self.dynamo.query(query).await?.items.into_iter().map(read).collect()
    }

    /// Removes an entry that was dealt with.
    pub async fn sweep_done(&self, entry: &SweepEntry) -> Result<(), DynamoError> {
        self.dynamo.delete(Delete::new(&self.table, key(entry.partition(), entry.sort_key()))).await
    }

    /// A page of all that is kept under a user's id.
    pub async fn user_items(&self, user: &UserId, limit: usize) -> Result<Vec<Item>, WriteError> {
        let query = Query::new(&self.table, "pk = :pk").value(":pk", s(user_partition(user))).limit(limit).consistent();
        Ok(self.dynamo.query(query).await?.items)
    }
}
