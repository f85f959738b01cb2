//! `jobs.changes`: reads in the table's stream what becomes of jobs. It counts them in the statistics of their queue, and
//! when the table has let go of a job that was kept long enough, what the bucket holds of it goes as well.
//!
//! One function does both, because a stream is to have two readers at most, and the relay is one.
//!
//! # Calls
//! For each queue of a batch whose jobs have changed: one read and one write. A write that meets that of another batch is
//! done again.

use std::collections::HashMap;

use futures::stream::{self, StreamExt as _};
use shared::dynamo::Dynamo;
use shared::id::TenantId;
use shared::lambda::{Function, Runtime, StreamBatchConsumer, StreamFailure, StreamRecord};
use shared::time::Clock;
use shared::{BoxError, BoxFuture};

use crate::job::Job;
use crate::name::QueueName;
use crate::payload::Payloads;
use crate::statistics::Change;
use crate::store::JobStore;

/// Calls that are made at the same time.
const CONCURRENCY: usize = 8;

#[derive(Debug)]
struct Changes {
    jobs: JobStore,
    payloads: Payloads,
    clock: Clock,
}

/// What is to be done for a batch; each with the place of the first record that asks for it.
#[derive(Default)]
struct Work {
    removed: Vec<(usize, Job)>,
    queues: HashMap<(TenantId, QueueName), (usize, Vec<Change>)>,
    /// A record that cannot be read, which is where the work ends.
    failed: Option<(usize, BoxError)>,
}

impl Work {
    fn of(records: &[StreamRecord]) -> Self {
        let mut work = Self::default();
        for (index, record) in records.iter().enumerate() {
            if let Err(error) = work.add(index, record) {
                work.failed = Some((index, error.into()));
                break;
            }
        }
        work
    }

    fn add(&mut self, index: usize, record: &StreamRecord) -> Result<(), serde_dynamo::Error> {
        let job = |image: &shared::dynamo::Item| -> Result<Option<Job>, serde_dynamo::Error> {
            if image.is_empty() { Ok(None) } else { serde_dynamo::from_item(image.clone()).map(Some) }
        };
        let (old, new) = (job(&record.old)?, job(&record.new)?);
        if let Some(change) = Change::between(old.as_ref(), new.as_ref(), &record.event_id)
            && let Some(job) = new.as_ref().or(old.as_ref())
        {
            let queue = self.queues.entry((job.tenant_id, job.queue.clone()));
            queue.or_insert_with(|| (index, Vec::new())).1.push(change);
        }
        self.removed.extend(old.filter(|_| new.is_none()).map(|job| (index, job)));
        Ok(())
    }
}

/// Why a part of the work was not done, and the place of the first record that asks for it.
type Failed = (usize, BoxError);

impl Changes {
    fn remove(&self, index: usize, job: Job) -> BoxFuture<'_, Option<Failed>> {
        Box::pin(async move { self.payloads.remove(&job).await.err().map(|error| (index, error.into())) })
    }

    fn count(
        &self,
        (tenant, queue): (TenantId, QueueName),
        (index, changes): (usize, Vec<Change>),
    ) -> BoxFuture<'_, Option<Failed>> {
        Box::pin(async move {
            let counted = self.jobs.count(&tenant, &queue, &changes, self.clock.now()).await;
            counted.err().map(|error| (index, error.into()))
        })
    }
}

impl StreamBatchConsumer for Changes {
    async fn consume(&self, records: Vec<StreamRecord>) -> Result<(), StreamFailure> {
        let work = Work::of(&records);
        let removals = work.removed.into_iter().map(|(index, job)| self.remove(index, job));
        let counts = work.queues.into_iter().map(|(queue, changes)| self.count(queue, changes));
        let all: Vec<_> = removals.chain(counts).collect();
        let failed: Vec<_> = stream::iter(all).buffer_unordered(CONCURRENCY).collect().await;
        // All from the first that failed come again: what is done is known by its mark, or done again without harm.
        match failed.into_iter().flatten().chain(work.failed).min_by_key(|(index, _)| *index) {
            None => Ok(()),
            Some((index, source)) => {
                let sequence = records.get(index).map(|record| record.sequence.clone()).unwrap_or_default();
                Err(StreamFailure { sequence, source })
            }
        }
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("JOBS_TABLE");
        reader.finish()?;
        let changes = Changes {
            jobs: JobStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table),
            payloads: Payloads::new(&runtime)?,
            clock: runtime.clock.clone(),
        };
        Ok(Function::stream_batches(&runtime, changes))
    })
}
