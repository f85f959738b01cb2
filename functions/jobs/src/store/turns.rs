//! When the jobs of a queue that are parked for its rate have their next turn.
//!
//! The item is there while there are such jobs, and its time is the truth: a message only says that it may have come. So
//! messages may be lost, doubled or late, and there is one turn all the same.

use serde::{Deserialize, Serialize};
use shared::dynamo::{Delete, Key, Put, s};
use shared::id::TenantId;
use shared::time::{Timestamp, rfc3339_millis};

use super::{JobStore, StoreError, item, key, read, stale};
use crate::job::Priority;
use crate::name::QueueName;

/// The next turn of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Turn {
    /// When it is.
    #[serde(serialize_with = "shared::time::millis")]
    pub at: Timestamp,
    /// Which of the worker's queues has the message for it.
    pub priority: Priority,
    /// What it was written with: no other has the same.
    pub mark: String,
}

fn turn_key(tenant: &TenantId, queue: &QueueName) -> Key {
    key(tenant.to_string(), format!("turn#{queue}"))
}

impl JobStore {
    /// The next turn of a queue; none when no job of it is parked for its rate.
    pub async fn turn(&self, tenant: &TenantId, queue: &QueueName) -> Result<Option<Turn>, StoreError> {
        self.dynamo.get(&self.table, turn_key(tenant, queue), true).await?.map(read).transpose()
    }

    /// Sets the next turn, when it is `before` as it was read; [`StoreError::Stale`] when it was set otherwise meanwhile.
    pub async fn set_turn(
        &self,
        (tenant, queue): (&TenantId, &QueueName),
        before: Option<&Turn>,
        turn: &Turn,
    ) -> Result<(), StoreError> {
        let item = item(tenant.to_string(), format!("turn#{queue}"), turn)?;
        let put = Put::new(&self.table, item.clone());
        let put = match before {
            None => put.only_if("attribute_not_exists(pk)"),
            Some(before) => put
                .only_if("#at = :at AND mark = :mark")
                .name("#at", "at")
                .value(":at", s(rfc3339_millis(before.at)))
                .value(":mark", s(&before.mark)),
        };
        self.put_once(put, &item).await
    }

    /// There is no next turn, unless it was set otherwise meanwhile.
    pub async fn end_turns(&self, (tenant, queue): (&TenantId, &QueueName), last: &Turn) -> Result<(), StoreError> {
        let delete =
            Delete::new(&self.table, turn_key(tenant, queue)).only_if("mark = :mark").value(":mark", s(&last.mark));
        match self.dynamo.delete(delete).await.map_err(stale) {
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
