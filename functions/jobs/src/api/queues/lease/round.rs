//! A worker at a queue: it looks which jobs it may take, and claims as many as it wants.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use shared::http::Problem;
use shared::http::idempotency::Attempt;
use shared::id::TenantId;
use shared::telemetry::chain;
use tokio::time::Instant;

use super::NewLease;
use super::look::{LOOK_AT, Look, Passed};
use crate::app::App;
use crate::handlers::LARGEST_RESULT;
use crate::job::{Job, JobId, Phase};
use crate::message::Ready;
use crate::name::QueueName;
use crate::queue::Settings;
use crate::store::claim::{Claim, Claimant, Slot, mark, queue_scope, rate_scope};
use crate::store::{Parked, StoreError};

/// The most bytes of payloads, and of what came of the jobs before, that are leased at once, if there are several jobs: an
/// answer of Lambda may have 6 MB, in which each quote counts twice.
const MOST_BYTES: u64 = 2_500_000;

/// The time between two looks at an empty queue, at first; it doubles up to a second.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// Jobs that are read at the same time.
const CONCURRENCY: usize = 16;

/// See the module.
pub(super) struct Round<'a> {
    pub(super) app: &'a App,
    pub(super) tenant: &'a TenantId,
    pub(super) queue: &'a QueueName,
    pub(super) wanted: &'a NewLease,
    /// Who it is, for the history.
    pub(super) worker: &'a str,
}

/// What a request with an `Idempotency-Key` may take: kept before it takes the first.
#[derive(Deserialize, Serialize)]
pub(super) struct Reserved {
    /// What its claims are marked with.
    mark: String,
    jobs: Vec<JobId>,
}

/// What it has taken.
struct Load {
    /// What the claims are marked with.
    mark: String,
    jobs: Vec<Job>,
    /// How many bytes there is room for.
    room: u64,
}

impl Round<'_> {
    /// Takes what there is, up to what is wanted; waits for the first job as long as it may. `keyed` is the attempt of a
    /// request with a key.
    pub(super) async fn wait(&self, keyed: Option<&Attempt>) -> Result<Vec<Job>, Problem> {
        let deadline = Instant::now() + Duration::from_secs(self.wanted.wait_seconds.into());
        let (mut pause, mut passed) = (FIRST_LOOK, Passed::new());
        loop {
            let taken = match keyed {
                Some(attempt) => self.take_reserved(attempt, &mut passed).await?,
                None => Some(self.take(&mut passed).await?).filter(|jobs| !jobs.is_empty()),
            };
            let next = Instant::now() + pause;
            if taken.is_some() || next >= deadline {
                return Ok(taken.unwrap_or_default());
            }
            tokio::time::sleep_until(next).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Those of the reserved jobs that were taken then and are still held.
    pub(super) async fn still_held(&self, reserved: Reserved) -> Result<Vec<Job>, Problem> {
        let Reserved { mark, jobs } = reserved;
        let reads: Vec<_> = jobs.iter().map(|id| self.app.engine.jobs.get(self.tenant, id)).collect();
        let jobs: Vec<_> = stream::iter(reads).buffered(CONCURRENCY).try_collect().await?;
        let is_held = |job: &Job| job.phase == Phase::Running && job.mark.as_ref() == Some(&mark);
        Ok(jobs.into_iter().flatten().filter(is_held).collect())
    }

    /// Takes what can be taken now.
    async fn take(&self, passed: &mut Passed) -> Result<Vec<Job>, Problem> {
        let engine = &self.app.engine;
        let settings = engine.queues.settings(self.tenant, self.queue).await?;
        let mut load = Load::new(mark(&engine.random));
        if settings.paused {
            return Ok(load.jobs);
        }
        let first = self.first_parked(&settings).await?;
        let mut look = Look::new(self, &settings, first.as_ref(), passed);
        while load.jobs.len() < self.most() {
            match self.take_next(&mut look, &load, &settings).await {
                Ok(Taken::Job(job)) => load.add(*job),
                Ok(Taken::Not) => {}
                Ok(Taken::Full(scope)) => look.pass_over(scope),
                Ok(Taken::NoMore) => break,
                Err(error) => return load.or_fail(error),
            }
        }
        Ok(load.jobs)
    }

    async fn take_next(&self, look: &mut Look<'_>, load: &Load, settings: &Settings) -> Result<Taken, Problem> {
        match look.next().await? {
            Some(job) => self.claim(load, job, settings).await,
            None => Ok(Taken::NoMore),
        }
    }

    /// The same, which is kept before; none when nothing is to be had. A limit is reserved no more jobs than it has room for.
    async fn take_reserved(&self, attempt: &Attempt, passed: &mut Passed) -> Result<Option<Vec<Job>>, Problem> {
        let engine = &self.app.engine;
        let settings = engine.queues.settings(self.tenant, self.queue).await?;
        let mut jobs = Vec::new();
        if !settings.paused {
            let first = self.first_parked(&settings).await?;
            let mut look = Look::new(self, &settings, first.as_ref(), passed);
            while jobs.len() < LOOK_AT * self.most()
                && let Some(job) = look.next().await?
            {
                jobs.push(job);
            }
        }
        if jobs.is_empty() {
            return Ok(None);
        }
        let reserved = Reserved { mark: mark(&engine.random), jobs: jobs.iter().map(|job| job.id).collect() };
        self.app.idempotency.keep_plan(attempt, &reserved).await?;
        let mut load = Load::new(reserved.mark);
        for job in jobs {
            match self.claim(&load, job, &settings).await {
                Ok(Taken::Job(job)) => load.add(*job),
                Ok(Taken::Not | Taken::Full(_)) => {}
                Ok(Taken::NoMore) => break,
                Err(error) => return load.or_fail(error).map(Some),
            }
            if load.jobs.len() == self.most() {
                break;
            }
        }
        Ok(Some(load.jobs))
    }

    /// The first of the jobs that wait for the queue's rate, which are not leased.
    async fn first_parked(&self, settings: &Settings) -> Result<Option<Parked>, StoreError> {
        if settings.rate_limit.is_none() {
            return Ok(None);
        }
        let parked = self.app.engine.jobs.parked(self.tenant, self.queue, &rate_scope(self.queue), 1).await?;
        Ok(parked.into_iter().next())
    }

    pub(super) fn most(&self) -> usize {
        usize::try_from(self.wanted.max).unwrap_or(1)
    }

    async fn claim(&self, load: &Load, job: Job, settings: &Settings) -> Result<Taken, Problem> {
        let engine = &self.app.engine;
        if !load.has_room_for(&job) {
            return Ok(Taken::NoMore);
        }
        let ready = Ready::of(&job);
        if let Some(rate) = settings.rate_limit
            && self.app.rates.wait(&ready, rate).await?.is_some()
        {
            return Ok(Taken::NoMore);
        }
        let slots = Slot::all_of(settings, self.queue, ready.concurrency_key.as_ref());
        let claimant = Claimant {
            worker: self.worker,
            mark: &load.mark,
            now: engine.clock.now(),
            lease: Duration::from_secs(self.wanted.lease_seconds.into()),
            slots: &slots,
        };
        match engine.jobs.claim(&ready, true, &claimant).await {
            Ok(Claim::Claimed(job)) => Ok(Taken::Job(job)),
            Ok(Claim::Full(scope)) if scope == queue_scope(self.queue) => Ok(Taken::NoMore),
            Ok(Claim::Full(scope)) => Ok(Taken::Full(scope)),
            // Another worker was faster.
            Ok(Claim::Refused(_)) | Err(StoreError::Conflict) => Ok(Taken::Not),
            Err(error) => Err(error.into()),
        }
    }
}

impl Load {
    const fn new(mark: String) -> Self {
        Self { mark, jobs: Vec::new(), room: MOST_BYTES }
    }

    fn has_room_for(&self, job: &Job) -> bool {
        bytes(job) <= self.room || self.jobs.is_empty()
    }

    fn add(&mut self, job: Job) {
        self.room = self.room.saturating_sub(bytes(&job));
        self.jobs.push(job);
    }

    /// What was taken before a failure is its worker's: unheard of, each would lose an attempt.
    fn or_fail(self, error: Problem) -> Result<Vec<Job>, Problem> {
        if self.jobs.is_empty() {
            return Err(error);
        }
        tracing::warn!(error = chain(&error), taken = self.jobs.len(), "no further jobs could be leased");
        Ok(self.jobs)
    }
}

/// The most bytes that a job takes in an answer. What came of the jobs before is read when it is claimed.
fn bytes(job: &Job) -> u64 {
    let parents = job.depends_on.len().saturating_mul(LARGEST_RESULT);
    job.payload.bytes().saturating_add(u64::try_from(parents).unwrap_or(u64::MAX))
}

/// What came of a claim.
enum Taken {
    Job(Box<Job>),
    Not,
    /// A limit of concurrency was reached meanwhile: the scope.
    Full(String),
    NoMore,
}
