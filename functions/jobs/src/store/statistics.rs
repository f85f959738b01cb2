//! The numbers of the queues: one item for each, which `jobs.changes` alone writes.

use std::collections::HashMap;

use futures::future::try_join_all;
use shared::dynamo::{DynamoError, Put, Query, n, s, text};
use shared::id::TenantId;
use shared::time::{Timestamp, rfc3339_millis};

use super::attention::ready_partition;
use super::{ATTENTION, JobStore, StoreError, item, key, read};
use crate::job::Priority;
use crate::name::QueueName;
use crate::statistics::{Change, Statistics};

/// How often a write is done again that met one for another part of the stream.
const RACES: usize = 16;

fn partition(tenant: &TenantId) -> String {
    format!("{tenant}#statistics")
}

impl JobStore {
    /// The numbers of a queue, behind the table by a moment.
    pub async fn statistics(&self, tenant: &TenantId, queue: &QueueName) -> Result<Statistics, StoreError> {
        let item = self.dynamo.get(&self.table, key(partition(tenant), queue.as_str()), false).await?;
        Ok(item.map(read).transpose()?.unwrap_or_default())
    }

    /// The same of the queues from `first` to `last`, by their names.
    pub async fn statistics_of_queues(
        &self,
        tenant: &TenantId,
        first: &QueueName,
        last: &QueueName,
    ) -> Result<HashMap<String, Statistics>, StoreError> {
        let (mut all, mut start) = (HashMap::new(), None);
        loop {
            let query = Query::new(&self.table, "pk = :pk AND sk BETWEEN :first AND :last")
                .value(":pk", s(partition(tenant)))
                .value(":first", s(first.as_str()))
                .value(":last", s(last.as_str()))
                .after(start.take());
            let page = self.dynamo.query(query).await?;
            for item in page.items {
                let name = text(&item, "sk").unwrap_or_default().to_owned();
                all.insert(name, read(item)?);
            }
            start = page.next;
            if start.is_none() {
                return Ok(all);
            }
        }
    }

    /// Since when the job has been ready that has waited longest for a worker to lease it.
    pub async fn longest_ready(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let times = try_join_all(Priority::ALL.map(|priority| async move {
            let query = Query::new(&self.table, "attention_pk = :pk AND attention_sk < :until")
                .index(ATTENTION)
                .value(":pk", s(ready_partition(tenant, queue, priority)))
                .value(":until", s(format!("{}$", rfc3339_millis(now))))
                .limit(1);
            let page = self.dynamo.query(query).await?;
            let time = page.items.first().and_then(|item| text(item, "attention_sk")?.split('#').next()?.parse().ok());
            Ok::<Option<Timestamp>, StoreError>(time)
        }))
        .await?;
        Ok(times.into_iter().flatten().min())
    }

    /// Counts the changes of a queue that were not counted before.
    pub async fn count(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        changes: &[Change],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut found = self.dynamo.get(&self.table, key(partition(tenant), queue.as_str()), true).await?;
        for _ in 0..RACES {
            let mut statistics: Statistics = found.take().map(read).transpose()?.unwrap_or_default();
            let before = statistics.revision;
            if !statistics.count(changes, now) {
                return Ok(());
            }
            statistics.revision += 1;
            let put = Put::new(&self.table, item(partition(tenant), queue.as_str(), &statistics)?);
            let put = if before == 0 {
                put.only_if("attribute_not_exists(pk)")
            } else {
                put.only_if("revision = :before").value(":before", n(before))
            };
            match self.dynamo.put(put).await {
                Ok(()) => return Ok(()),
                // Another batch was faster, or this very write, whose answer was lost.
                Err(DynamoError::ConditionFailed { current }) => found = Some(current),
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict)
    }
}
