//! Jobs that wait to be leased.

use shared::dynamo::{Item, Query, s};
use shared::id::TenantId;
use shared::time::{Timestamp, rfc3339_millis};

use super::attention::ready_partition;
use super::list::id_of;
use super::{ATTENTION, JobStore, StoreError};
use crate::job::{JobId, Priority};
use crate::name::QueueName;

/// Jobs that wait, those that wait longest first.
#[derive(Debug)]
pub struct ReadyPage {
    /// Which jobs.
    pub ids: Vec<JobId>,
    /// Where the next page starts; none after the last.
    pub next: Option<Item>,
}

impl JobStore {
    /// At most `limit` jobs of a priority that can be leased at `now`, from `start` on.
    pub async fn ready_page(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        (priority, start): (Priority, Option<Item>),
        now: Timestamp,
        limit: usize,
    ) -> Result<ReadyPage, StoreError> {
        let query = Query::new(&self.table, "attention_pk = :pk AND attention_sk < :until")
            .index(ATTENTION)
            .value(":pk", s(ready_partition(tenant, queue, priority)))
            // A `$` sorts after the `#` that follows the time.
            .value(":until", s(format!("{}$", rfc3339_millis(now))))
            .after(start)
            .limit(limit);
        let page = self.dynamo.query(query).await?;
        Ok(ReadyPage { ids: page.items.iter().filter_map(id_of).collect(), next: page.next })
    }
}
