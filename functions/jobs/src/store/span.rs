//! All jobs that a tenant has made in a time, for what adds them up.

use shared::dynamo::Item;
use shared::id::TenantId;
use shared::time::Timestamp;

use super::list::ListQuery;
use super::{JobStore, StoreError, read};
use crate::job::Job;

/// A part of the jobs of one partition, the oldest first.
#[derive(Debug, Default)]
pub struct Span {
    /// The jobs: 1 MB of them at most.
    pub jobs: Vec<Job>,
    /// Where the next part begins.
    pub next: Option<Item>,
}

impl JobStore {
    /// What one read finds of the jobs that were made from `from` on and before `before`, in one of the tenant's
    /// [`super::PARTITIONS`].
    pub async fn made_between(
        &self,
        tenant: &TenantId,
        partition: u32,
        (from, before): (Timestamp, Timestamp),
        start: Option<Item>,
    ) -> Result<Span, StoreError> {
        let range = ListQuery {
            created_from: Some(from),
            created_before: Some(before),
            ascending: true,
            ..ListQuery::default()
        };
        let Some(query) = self.keyed(tenant, partition, &range) else { return Ok(Span::default()) };
        let page = self.dynamo.query(query.after(start)).await?;
        let jobs = page.items.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Span { jobs, next: page.next })
    }
}
