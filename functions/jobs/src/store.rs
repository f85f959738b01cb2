//! The jobs table, and all that is known of it.
//!
//! | pk | sk | what |
//! |---|---|---|
//! | `<tenant>#<0 to 3>` | `job#<job id>` | a job; carries events in `outbox`; removed some days after its end, and not before its `unique` period is over |
//! | `<tenant>` | `queue#<name>` | a queue |
//! | `<tenant>#statistics` | `<queue>` | the numbers of a queue; written by `jobs.changes` alone |
//! | `<tenant>` | `signing`, `signing_key` | the secrets, and the private keys, that sign what is sent to the tenant's URLs |
//! | `<tenant>#unique#<hash>` | `unique` | the job that is the only one of its key |
//! | `<tenant>#slot#<scope>` | `slot` | how many jobs of a limit of concurrency run; removed some months after the last of them |
//! | `<tenant>` | `schedule#<schedule id>` | a schedule |
//! | `<tenant>` | `count#schedules` | how many schedules there are: `held` |
//! | `<tenant>#runs#<schedule id>` | `<tick>`, or `<time>#<job id>` | what came of a tick, or a run that was asked for; removed after 30 days |
//! | `<tenant>#children#<job id>` | `<job id>` | a job that depends on another, until it has heard of that one's end |
//! | `<tenant>#parked#<queue>` | `<scope>#<priority>#<ready_at>#<job id>` | a job that waits for such a limit, for its queue, or for its queue's rate |
//! | `<tenant>` | `turn#<queue>` | when jobs that wait for the rate of their queue are let go next; there while there are any |
//!
//! A tenant's jobs are spread over [`PARTITIONS`] partitions, each of which takes 1,000 writes a second.
//!
//! The index `attention` finds the few jobs that somebody must look at; a job that nobody needs to find is not in it.
//!
//! | attention_pk | attention_sk | who looks |
//! |---|---|---|
//! | `sweep#<shard>` | `<time>#<tenant>#<job id>` | the sweeper, at that time: a message may be lost, or a lease have ended |
//! | `schedule#<shard>` | `<next tick>#<tenant>#<schedule id>` | the scheduler, shortly before that tick |
//! | `<tenant>#ready#<queue>#<priority>` | `<ready_at>#<job id>` | workers that lease jobs |
//! | `<tenant>#dead#<queue>` | `<fingerprint>#<time>#<job id>` | the list of the dead |

pub mod attention;
pub mod claim;
mod family;
pub mod finish;
mod insert;
mod jobs;
pub mod list;
mod parked;
mod queues;
mod ready;
pub mod schedules;
pub mod signing;
mod span;
mod statistics;
pub mod turns;

use attention::Attention;
pub use insert::{Along, InsertError};
pub use parked::Parked;
pub use span::Span;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::blob::BlobError;
use shared::dynamo::{AttributeValue, Dynamo, DynamoError, Item, Key, Lost, Put, Query, TransactWrite, key};
use shared::http::Problem;
use shared::id::TenantId;

use crate::job::{Job, JobId};

/// The partitions of a tenant's jobs.
pub const PARTITIONS: u32 = 4;

/// The index of the table.
pub const ATTENTION: &str = "attention";

/// The table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct JobStore {
    dynamo: Dynamo,
    table: String,
}

/// Why a write was not done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The record was changed since it was read, or is not in the state that the write leaves.
    #[error("the record was changed since it was read")]
    Stale,
    /// Another transaction holds a record.
    #[error("another transaction holds the record")]
    Conflict,
    /// DynamoDB did not do it.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
    /// A record does not have the form it was written with.
    #[error("a record of the jobs table cannot be read")]
    Corrupt(#[from] serde_dynamo::Error),
    /// The bucket did not do it.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The payload of a job is not in the bucket.
    #[error("the payload of a job is not in the bucket")]
    NoPayload,
    /// Another call that was waited for has failed.
    #[error(transparent)]
    Shared(std::sync::Arc<Self>),
    /// What is to be written as JSON cannot be.
    #[error("a record cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Dynamo(error) => error.into(),
            StoreError::Blob(error) => error.into(),
            StoreError::Conflict | StoreError::Stale => Self::unavailable(error),
            StoreError::Shared(error) => match &*error {
                StoreError::Dynamo(DynamoError::Unavailable(_)) | StoreError::Conflict => Self::unavailable(error),
                _ => Self::internal(error),
            },
            error => Self::internal(error),
        }
    }
}

/// A part of a list. It can be shorter than was asked for and still have more behind it: DynamoDB reads up to 1 MB.
#[derive(Debug)]
pub struct Part<T> {
    /// The records, in their order.
    pub records: Vec<T>,
    /// Whether there may be more behind them.
    pub more: bool,
}

/// Which of the tenant's partitions a job is in.
pub fn partition(id: &JobId) -> u32 {
    crc32fast::hash(id.uuid().as_bytes()) % PARTITIONS
}

pub(super) fn job_partition(tenant: &TenantId, id: &JobId) -> String {
    format!("{tenant}#{}", partition(id))
}

pub(super) fn job_key(tenant: &TenantId, id: &JobId) -> Key {
    key(job_partition(tenant, id), format!("job#{id}"))
}

/// An item with its key and the attributes of `record`.
pub(super) fn item<T: Serialize>(pk: impl Into<String>, sk: impl Into<String>, record: &T) -> Result<Item, StoreError> {
    Ok(shared::dynamo::item(pk, sk, record)?)
}

pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    Ok(serde_dynamo::from_item(item)?)
}

/// A value as DynamoDB keeps it.
pub(super) fn value<T: Serialize>(value: &T) -> Result<AttributeValue, StoreError> {
    Ok(serde_dynamo::to_attribute_value(value)?)
}

/// A text of SHA-256, for what may be long or hold any character.
pub(super) fn hash(parts: &[&str]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    data_encoding::HEXLOWER.encode(context.finish().as_ref().get(..16).unwrap_or_default())
}

impl JobStore {
    /// The store in `table`.
    pub const fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// A job as it is now.
    pub async fn get(&self, tenant: &TenantId, id: &JobId) -> Result<Option<Job>, StoreError> {
        self.dynamo.get(&self.table, job_key(tenant, id), true).await?.map(read).transpose()
    }

    /// The first `limit` records of a query, or as many as one read gives.
    pub(super) async fn part<T: DeserializeOwned>(&self, query: Query, limit: usize) -> Result<Part<T>, StoreError> {
        let mut page = self.dynamo.query(query.limit(limit + 1)).await?;
        let more = page.items.len() > limit || page.next.is_some();
        page.items.truncate(limit);
        Ok(Part { records: page.items.into_iter().map(read).collect::<Result<_, _>>()?, more })
    }

    /// Does all writes or none. A condition that does not hold is [`StoreError::Stale`].
    pub(super) async fn transact(&self, writes: Vec<TransactWrite>) -> Result<(), StoreError> {
        let writes = writes.into_iter().map(|write| (write, ())).collect();
        self.dynamo.transact_or(writes).await.map_err(|lost| match lost {
            Lost::Condition((), _) => StoreError::Stale,
            Lost::Conflict => StoreError::Conflict,
            Lost::Dynamo(error) => error.into(),
        })
    }

    /// Writes `item`, which `put` puts on a condition. That does not hold either when the answer of this very write was lost,
    /// and the SDK wrote it a second time: then the item is there as it was to be.
    pub(super) async fn put_once(&self, put: Put, item: &Item) -> Result<(), StoreError> {
        match self.dynamo.put(put).await {
            Err(DynamoError::ConditionFailed { current }) if current == *item => Ok(()),
            done => done.map_err(stale),
        }
    }

    /// Whether a change of a job whose condition did not hold was this one: its answer was lost, and the SDK wrote it a
    /// second time. `is_done` knows the job after the change, which has the revision after that of `job`.
    pub(super) async fn was_changed(&self, job: &Job, is_done: impl FnOnce(&Job) -> bool) -> Result<bool, StoreError> {
        let current = self.get(&job.tenant_id, &job.id).await?;
        Ok(current.is_some_and(|current| current.revision == job.revision + 1 && is_done(&current)))
    }
}

/// A refusal of a write alone.
pub(super) fn stale(error: DynamoError) -> StoreError {
    match error {
        DynamoError::ConditionFailed { .. } => StoreError::Stale,
        DynamoError::Conflict(_) => StoreError::Conflict,
        error => error.into(),
    }
}
