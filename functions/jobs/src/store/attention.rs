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

impl JobStore {
    /// What the sweeper looks at until `now` in one shard, the longest due first.
    pub async fn to_sweep(&self, shard: u32, now: Timestamp, limit: usize) -> Result<Vec<Found>, StoreError> {
        let query = Query::new(&self.table, "attention_pk = :pk AND attention_sk < :until")
            .index(ATTENTION)
            .value(":pk", s(sweep_partition(shard)))
            // A `$` sorts after the `#` that follows the time.
            .value(":until", s(format!("{}$", rfc3339_millis(now))))
            .limit(limit);
        Ok(self.dynamo.query(query).await?.items.iter().filter_map(found).collect())
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
