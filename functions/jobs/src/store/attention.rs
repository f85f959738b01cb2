//! Where the index finds a job that somebody must look at.

use shared::dynamo::{Item, Query, Update, s, text};
use shared::id::TenantId;
use shared::time::{SignedDuration, Timestamp, rfc3339_millis};

use super::{ATTENTION, JobStore, StoreError};
use crate::job::{Job, JobId, Priority, Runner};
use crate::name::QueueName;

/// The shards of the sweeper's partition.
pub const SHARDS: u32 = 4;

/// How long after its time a job is looked at for the first time. While it waits on, the times between looks double, so
/// that a long backlog costs little.
pub const GRACE: SignedDuration = SignedDuration::from_mins(5);

/// How long those that depend on a job have to hear of its end before the sweeper tells them.
const HEARING: SignedDuration = SignedDuration::from_mins(1);

/// A place in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// The partition.
    pub pk: String,
    /// The place in it.
    pub sk: String,
}

impl Attention {
    /// The sweeper looks at `at`.
    pub fn sweep(tenant: &TenantId, id: &JobId, at: Timestamp) -> Self {
        let shard = crc32fast::hash(id.uuid().as_bytes()) % SHARDS;
        Self { pk: sweep_partition(shard), sk: format!("{}#{tenant}#{id}", rfc3339_millis(at)) }
    }

    /// Of a job that waits from `ready_at` on: a worker takes it, or the sweeper looks where its message is.
    pub fn waiting(job: &Job, ready_at: Timestamp) -> Self {
        if job.waits_for.is_empty() { Self::ready(job, ready_at) } else { Self::blocked(job, ready_at) }
    }

    /// The same of a job that does not wait for others any more.
    pub fn ready(job: &Job, ready_at: Timestamp) -> Self {
        match job.runner {
            Runner::Pull => Self {
                pk: ready_partition(&job.tenant_id, &job.queue, job.priority),
                sk: format!("{}#{}", rfc3339_millis(ready_at), job.id),
            },
            _ => Self::sweep(&job.tenant_id, &job.id, later(ready_at, GRACE)),
        }
    }

    /// Of a job that has ended at `now` and on which others depend, until they have heard of it.
    pub fn family(job: &Job, now: Timestamp) -> Self {
        Self::sweep(&job.tenant_id, &job.id, later(now, HEARING))
    }

    /// Of a job that waits for others since `now`.
    pub fn blocked(job: &Job, now: Timestamp) -> Self {
        Self::sweep(&job.tenant_id, &job.id, later(now, GRACE))
    }

    /// Of a job that is dead since `at`.
    pub fn dead(job: &Job, fingerprint: &str, at: Timestamp) -> Self {
        Self {
            pk: dead_partition(&job.tenant_id, &job.queue),
            sk: format!("{fingerprint}#{}#{}", rfc3339_millis(at), job.id),
        }
    }

    /// Adds it to an item.
    pub(super) fn put(self, item: &mut Item) {
        item.insert("attention_pk".to_owned(), s(self.pk));
        item.insert("attention_sk".to_owned(), s(self.sk));
    }

    /// Its part of a `SET`, whose values [`Self::values`] gives.
    pub(super) const SET: &str = "attention_pk = :attention_pk, attention_sk = :attention_sk";

    /// The values of [`Self::SET`].
    pub(super) fn values(self, update: Update) -> Update {
        update.value(":attention_pk", s(self.pk)).value(":attention_sk", s(self.sk))
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn sweep_partition(shard: u32) -> String {
    format!("sweep#{shard}")
}

pub(super) fn ready_partition(tenant: &TenantId, queue: &QueueName, priority: Priority) -> String {
    format!("{tenant}#ready#{queue}#{}", priority.rank())
}

pub(super) fn dead_partition(tenant: &TenantId, queue: &QueueName) -> String {
    format!("{tenant}#dead#{queue}")
}

/// All shards. Each minute begins with another, so that none is always the one that there is no time for.
pub fn shards(now: Timestamp) -> impl Iterator<Item = u32> {
    let first = u32::try_from(now.as_second().div_euclid(60).rem_euclid(SHARDS.into())).unwrap_or(0);
    (first..SHARDS).chain(0..first)
}

/// What an item of the index says.
#[derive(Debug)]
pub struct Found {
    /// Whose job.
    pub tenant_id: TenantId,
    /// Which job.
    pub job_id: JobId,
    /// The place where it was found.
    pub at: Attention,
}

/// Jobs to look at.
#[derive(Debug)]
pub struct ToSweep {
    /// Which, the longest due first.
    pub found: Vec<Found>,
    /// Where the next page starts; none after the last.
    pub next: Option<Item>,
}

impl JobStore {
    /// What the sweeper looks at until `now` in one shard, from `start` on. The index is behind the table: what was seen to is
    /// in it for a while, and is not to be met again.
    pub async fn to_sweep(
        &self,
        shard: u32,
        now: Timestamp,
        start: Option<Item>,
        limit: usize,
    ) -> Result<ToSweep, StoreError> {
        let query = Query::new(&self.table, "attention_pk = :pk AND attention_sk < :until")
            .index(ATTENTION)
            .value(":pk", s(sweep_partition(shard)))
            // A `$` sorts after the `#` that follows the time.
            .value(":until", s(format!("{}$", rfc3339_millis(now))))
            .after(start)
            .limit(limit);
        let page = self.dynamo.query(query).await?;
        Ok(ToSweep { found: page.items.iter().filter_map(found).collect(), next: page.next })
    }

    /// Has the sweeper look at a job again at `at`; done only if nothing has happened to the job since it was read.
    pub async fn sweep_again(&self, job: &Job, found: &Attention, at: Timestamp) -> Result<(), StoreError> {
        let attention = Attention::sweep(&job.tenant_id, &job.id, at);
        let update =
            Update::new(&self.table, super::job_key(&job.tenant_id, &job.id), format!("SET {}", Attention::SET))
                .only_if("attention_sk = :found AND #phase = :phase")
                .name("#phase", "phase")
                .value(":found", s(&found.sk))
                .value(":phase", s(job.phase.as_str()));
        self.dynamo.update(attention.values(update)).await.map(drop).map_err(super::stale)
    }
}

/// The job of an item of the index: the index has the table's own key of it.
fn found(item: &Item) -> Option<Found> {
    let tenant_id = text(item, "pk")?.split('#').next()?.parse().ok()?;
    let job_id = text(item, "sk")?.strip_prefix("job#")?.parse().ok()?;
    let at = Attention { pk: text(item, "attention_pk")?.to_owned(), sk: text(item, "attention_sk")?.to_owned() };
    Some(Found { tenant_id, job_id, at })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_shard_has_its_minute_to_be_the_first() {
        let orders: Vec<Vec<u32>> = (0..i64::from(SHARDS))
            .map(|minute| shards(Timestamp::from_second(29_000_000 * 60 + minute * 60 + 7).unwrap()).collect())
            .collect();
        let firsts: BTreeSet<_> = orders.iter().map(|order| order[0]).collect();
        assert_eq!(firsts, (0..SHARDS).collect());
        for order in orders {
            assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), (0..SHARDS).collect());
        }
    }
}
