//! New jobs.

use shared::dynamo::{DynamoError, Item, Lost, Put, TransactWrite, n, s, text};
use shared::http::Problem;
use shared::time::rfc3339_millis;

use super::{Attention, JobStore, StoreError, hash, item, job_partition, key, stale};
use crate::job::{Job, JobId};

/// What is written together with a job or a schedule.
#[derive(Debug, Default)]
pub struct Along {
    /// The answer to the request's `Idempotency-Key`.
    pub idempotency: Option<TransactWrite>,
}

impl Along {
    const fn is_nothing(&self) -> bool {
        self.idempotency.is_none()
    }
}

/// Why a job or a schedule was not written.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// Another job is the only one of its key.
    #[error("there is a job of this key")]
    NotUnique(JobId),
    /// Another request with the same idempotency key was faster.
    #[error("a request with the same idempotency key was faster")]
    KeyUsed,
    /// The tenant has as many schedules as it may have.
    #[error("there are as many schedules as there may be")]
    Full,
    /// Any other reason.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl InsertError {
    /// Whether it is known that nothing was written.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::NotUnique(_) | Self::KeyUsed | Self::Full => true,
            Self::Store(error) => matches!(error, StoreError::Stale | StoreError::Conflict),
        }
    }
}

impl From<InsertError> for Problem {
    fn from(error: InsertError) -> Self {
        match error {
            InsertError::Store(error) => error.into(),
            error => Self::internal(error),
        }
    }
}

impl From<DynamoError> for InsertError {
    fn from(error: DynamoError) -> Self {
        Self::Store(error.into())
    }
}

#[derive(Clone, Copy)]
enum Meaning {
    Key,
    Unique,
    Job,
    /// It has ended meanwhile.
    Parent,
}

/// The partition of what makes a job the only one of its key.
pub(super) fn unique_partition(job: &Job) -> Option<String> {
    let unique = job.unique.as_ref()?;
    let hash = hash(&[job.queue.as_str(), job.kind.as_str(), unique.key.as_str()]);
    Some(format!("{}#unique#{hash}", job.tenant_id))
}

impl JobStore {
    /// Writes a new job: one write, unless it is unique or comes with something.
    pub async fn insert(&self, job: &Job, along: Along) -> Result<(), InsertError> {
        let put = self.job_put(job)?;
        let unique = self.unique_put(job);
        if unique.is_none() && along.is_nothing() && job.waits_for.is_empty() {
            return match self.dynamo.put(put).await {
                // A job of this id is this job: the SDK's own second try found what its first had written.
                Ok(()) | Err(DynamoError::ConditionFailed { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        let writes: Vec<_> = [
            along.idempotency.map(|write| (write, Meaning::Key)),
            unique.map(|write| (write, Meaning::Unique)),
            Some((TransactWrite::Put(put), Meaning::Job)),
        ]
        .into_iter()
        .flatten()
        .chain(self.parent_writes(job).into_iter().map(|write| (write, Meaning::Parent)))
        .collect();
        match self.dynamo.transact_or(writes).await {
            Ok(()) => Ok(()),
            Err(Lost::Condition(Meaning::Key, _)) => Err(InsertError::KeyUsed),
            Err(Lost::Condition(Meaning::Unique, item)) => Err(InsertError::NotUnique(holder(&item)?)),
            Err(Lost::Condition(Meaning::Job | Meaning::Parent, _)) => Err(StoreError::Stale.into()),
            Err(Lost::Conflict) => Err(StoreError::Conflict.into()),
            Err(Lost::Dynamo(error)) => Err(error.into()),
        }
    }

    /// Does all writes and what comes along, or none.
    pub(super) async fn write(&self, along: Along, mut writes: Vec<TransactWrite>) -> Result<(), InsertError> {
        let Some(key) = along.idempotency else {
            // A write alone costs half of what it does in a transaction.
            let done = match (writes.pop(), writes.is_empty()) {
                (Some(TransactWrite::Update(update)), true) => {
                    self.dynamo.update(update).await.map(drop).map_err(stale)
                }
                (last, _) => self.transact(writes.into_iter().chain(last).collect()).await,
            };
            return Ok(done?);
        };
        let writes = std::iter::once((key, Meaning::Key)).chain(writes.into_iter().map(|write| (write, Meaning::Job)));
        self.dynamo.transact_or(writes.collect()).await.map_err(|lost| match lost {
            Lost::Condition(Meaning::Key, _) => InsertError::KeyUsed,
            Lost::Condition(..) => StoreError::Stale.into(),
            Lost::Conflict => StoreError::Conflict.into(),
            Lost::Dynamo(error) => error.into(),
        })
    }

    /// The write of a new job alone.
    pub(super) fn job_put(&self, job: &Job) -> Result<Put, StoreError> {
        let mut item: Item = item(job_partition(&job.tenant_id, &job.id), format!("job#{}", job.id), job)?;
        Attention::waiting(job, job.ready_at).put(&mut item);
        Ok(Put::new(&self.table, item).only_if("attribute_not_exists(pk)"))
    }

    fn unique_put(&self, job: &Job) -> Option<TransactWrite> {
        let pk = unique_partition(job)?;
        let until = job.unique.as_ref().and_then(|unique| unique.until);
        let mut item: Item = key(pk, "unique").into();
        item.insert("job_id".to_owned(), s(job.id.to_string()));
        if let Some(until) = until {
            item.insert("until".to_owned(), s(rfc3339_millis(until)));
            item.insert("removed_at".to_owned(), n(until.as_second()));
        }
        let put = Put::new(&self.table, item)
            .only_if("attribute_not_exists(pk) OR (attribute_exists(#until) AND #until <= :now)")
            .name("#until", "until")
            .value(":now", s(rfc3339_millis(job.created_at)));
        Some(TransactWrite::Put(put))
    }

    /// The removal of the hold that an ended job has on its key; none while a period keeps it.
    pub(super) fn unique_release(&self, job: &Job) -> Option<TransactWrite> {
        if job.unique.as_ref()?.until.is_some() {
            return None;
        }
        let pk = unique_partition(job)?;
        Some(TransactWrite::Delete(shared::dynamo::Delete::new(&self.table, key(pk, "unique"))))
    }
}

/// The job that a key is held by.
fn holder(item: &Item) -> Result<JobId, StoreError> {
    text(item, "job_id").and_then(|id| id.parse().ok()).ok_or(StoreError::Stale)
}
