//! A worker at a queue: it looks which jobs are ready, and claims as many as it wants.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use shared::http::Problem;
use shared::http::idempotency::Attempt;
use shared::id::TenantId;
use shared::random::Random;
use tokio::time::Instant;

use super::NewLease;
use crate::app::App;
use crate::job::{Job, JobId, Phase, Priority};
use crate::message::Ready;
use crate::name::QueueName;
use crate::queue::Settings;
use crate::store::StoreError;
use crate::store::claim::{Claim, Claimant, Slot, mark, queue_scope};

/// The most bytes of payloads that are leased at once, if there are several: an answer of Lambda may have 6 MB, in which
/// each quote counts twice.
const MOST_PAYLOADS: u64 = 2_500_000;

/// The time between two looks at an empty queue, at first; it doubles up to a second.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// How many are looked at for each that is wanted: others may take some, and some may be over a limit.
const LOOK_AT: usize = 4;

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
    jobs: Vec<Job>,
    /// How many bytes of payloads there is room for.
    room: u64,
}

impl Round<'_> {
    /// Takes what there is, up to what is wanted; waits for the first job as long as it may. `keyed` is the attempt of a
    /// request with a key.
    pub(super) async fn wait(&self, keyed: Option<&Attempt>) -> Result<Vec<Job>, Problem> {
        let deadline = Instant::now() + Duration::from_secs(self.wanted.wait_seconds.into());
        let mut pause = FIRST_LOOK;
        loop {
            let taken = match keyed {
                Some(attempt) => self.take_reserved(attempt).await?,
                None => Some(self.take().await?).filter(|jobs| !jobs.is_empty()),
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
    async fn take(&self) -> Result<Vec<Job>, Problem> {
        let engine = &self.app.engine;
        let settings = engine.queues.settings(self.tenant, self.queue).await?;
        let mut load = Load { jobs: Vec::new(), room: MOST_PAYLOADS };
        if settings.paused {
            return Ok(load.jobs);
        }
        let mark = mark(&engine.random);
        for priority in turns(&engine.random) {
            let left = self.most() - load.jobs.len();
            let ready = self.ready(priority, left).await?;
            if !self.fill(&mut load, &ready, &settings, &mark).await? {
                break;
            }
        }
        Ok(load.jobs)
    }

    /// The same, which is kept before; none when nothing is ready.
    async fn take_reserved(&self, attempt: &Attempt) -> Result<Option<Vec<Job>>, Problem> {
        let engine = &self.app.engine;
        let settings = engine.queues.settings(self.tenant, self.queue).await?;
        let mut jobs = Vec::new();
        if !settings.paused {
            for priority in turns(&engine.random) {
                jobs.extend(self.ready(priority, self.most()).await?);
            }
        }
        if jobs.is_empty() {
            return Ok(None);
        }
        jobs.truncate(LOOK_AT * self.most());
        let reserved = Reserved { mark: mark(&engine.random), jobs };
        self.app.idempotency.keep_plan(attempt, &reserved).await?;
        let mut load = Load { jobs: Vec::new(), room: MOST_PAYLOADS };
        self.fill(&mut load, &reserved.jobs, &settings, &reserved.mark).await?;
        Ok(Some(load.jobs))
    }

    fn most(&self) -> usize {
        usize::try_from(self.wanted.max).unwrap_or(1)
    }

    async fn ready(&self, priority: Priority, wanted: usize) -> Result<Vec<JobId>, StoreError> {
        let engine = &self.app.engine;
        engine.jobs.ready(self.tenant, self.queue, priority, engine.clock.now(), LOOK_AT * wanted).await
    }

    /// Claims those of `ready` for which there is room; false when no further ones can be taken.
    async fn fill(&self, load: &mut Load, ready: &[JobId], settings: &Settings, mark: &str) -> Result<bool, Problem> {
        for id in ready {
            // Its key is in the job: the index has only its id.
            let Some(job) = self.app.engine.jobs.get(self.tenant, id).await? else { continue };
            // The index is behind the table, and other workers look at it too: a claim in vain costs a write.
            if job.phase != Phase::Waiting {
                continue;
            }
            let bytes = job.payload.bytes();
            if bytes > load.room && !load.jobs.is_empty() {
                return Ok(false);
            }
            match self.claim(&Ready::of(&job), settings, mark).await? {
                Taken::Job(job) => {
                    load.room = load.room.saturating_sub(bytes);
                    load.jobs.push(*job);
                }
                Taken::Not => {}
                Taken::NoMore => return Ok(false),
            }
            if load.jobs.len() == self.most() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn claim(&self, ready: &Ready, settings: &Settings, mark: &str) -> Result<Taken, Problem> {
        let engine = &self.app.engine;
        if let Some(rate) = settings.rate_limit
            && self.app.rates.wait(ready, rate).await?.is_some()
        {
            return Ok(Taken::NoMore);
        }
        let slots = Slot::all_of(settings, self.queue, ready.concurrency_key.as_ref());
        let claimant = Claimant {
            worker: self.worker,
            mark,
            now: engine.clock.now(),
            lease: Duration::from_secs(self.wanted.lease_seconds.into()),
            slots: &slots,
        };
        match engine.jobs.claim(ready, true, &claimant).await {
            Ok(Claim::Claimed(job)) => Ok(Taken::Job(job)),
            Ok(Claim::Full(scope)) if scope == queue_scope(self.queue) => Ok(Taken::NoMore),
            // Another worker was faster, or its key is at its limit.
            Ok(Claim::Full(_) | Claim::Refused(_)) | Err(StoreError::Conflict) => Ok(Taken::Not),
            Err(error) => Err(error.into()),
        }
    }
}

/// What came of a claim.
enum Taken {
    Job(Box<Job>),
    Not,
    NoMore,
}

/// The levels in the order of this turn: a level is first in 6, 3 and 1 of 10 turns, so that none starves.
fn turns(random: &Random) -> [Priority; 3] {
    let [high, normal, low] = Priority::ALL;
    match random.bytes::<1>()[0] {
        0..=153 => [high, normal, low],
        154..=230 => [normal, high, low],
        _ => [low, high, normal],
    }
}
