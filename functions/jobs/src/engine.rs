//! What moves jobs: sends them to the worker, ends their attempts, and lets parked ones go on. The API, the worker and the
//! sweeper share it.

use std::time::Duration;

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use shared::BoxError;
use shared::dynamo::{AttributeValue, Dynamo};
use shared::events::Event;
use shared::events::jobs::{JobCancelled, JobDead};
use shared::http::versions::jobs;
use shared::id::TenantId;
use shared::lambda::Runtime;
use shared::queue::{SendError, Sender};
use shared::random::Random;
use shared::telemetry::{TraceContext, chain};
use shared::time::{Clock, Timestamp};

use crate::attempt::{Attempt, Failure, Next, Outcome};
use crate::done::OnDone;
use crate::handlers;
use crate::job::{Job, JobId, Phase, Priority, Runner};
use crate::message::{Levels, Message, Ready};
use crate::name::{JobType, QueueName};
use crate::payload::Payload;
use crate::rules::{NewJob, Origin};
use crate::schedule::record::ScheduleId;
use crate::settings::QueueCache;
use crate::store::claim::Slot;
use crate::store::finish::Ending;
use crate::store::{JobStore, StoreError};

/// How many parked jobs are read at once when one may go on: others may take some of them at the same time.
const LOOK_AT: usize = 5;

/// How often further ones are read when others took all of them: as many ends at once as a limit may have places.
const LOOKS: u32 = 32;

/// The longest pause before the second look; it doubles for each further one.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) jobs: JobStore,
    pub(crate) queues: QueueCache,
    sender: Sender,
    levels: Levels,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl Engine {
    /// Reads `JOBS_TABLE`, `DUE_TABLE`, `HIGH_QUEUE_URL`, `NORMAL_QUEUE_URL` and `LOW_QUEUE_URL`.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("JOBS_TABLE");
        let due_table: String = reader.required("DUE_TABLE");
        let levels = Levels {
            high: reader.required("HIGH_QUEUE_URL"),
            normal: reader.required("NORMAL_QUEUE_URL"),
            low: reader.required("LOW_QUEUE_URL"),
        };
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let jobs = JobStore::new(dynamo.clone(), table);
        Ok(Self {
            queues: QueueCache::new(jobs.clone(), runtime.clock.clone()),
            jobs,
            sender: Sender::new(runtime.aws.sqs.clone(), dynamo, due_table, runtime.clock.clone()),
            levels,
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        })
    }

    /// Sends a waiting job to the worker, so that it arrives at its time. A job that is leased, or waits for others, needs no
    /// message.
    pub async fn dispatch(&self, job: &Job) -> Result<(), SendError> {
        if job.runner == Runner::Pull || !job.waits_for.is_empty() {
            return Ok(());
        }
        self.send(&Ready::of(job), job.trace, job.priority, job.ready_at).await
    }

    /// The same after a write that is done: a message that is not sent now is sent by the sweeper.
    pub async fn dispatch_or_leave(&self, job: &Job) {
        if let Err(error) = self.dispatch(job).await {
            tracing::warn!(job_id = %job.id, error = chain(&error), "a job was left to the sweeper");
        }
    }

    /// Has the worker look at a job at `at`, as part of the job's trace.
    pub async fn send(
        &self,
        ready: &Ready,
        trace: Option<TraceContext>,
        priority: Priority,
        at: Timestamp,
    ) -> Result<(), SendError> {
        let id = format!("job#{}", ready.job_id);
        let message = self.message(&Message::Run(ready.clone()), ready.tenant_id, id, priority)?;
        self.sender.send_at(&message.in_trace(trace), at).await
    }

    /// Sends any other message to the worker, so that it arrives at `at`.
    pub(crate) async fn send_as(
        &self,
        message: &Message,
        tenant: TenantId,
        id: String,
        priority: Priority,
        at: Timestamp,
    ) -> Result<(), SendError> {
        let message = self.message(message, tenant, id, priority)?;
        self.sender.send_at(&message, at).await
    }

    /// Has the worker let the parked jobs of a queue go on.
    pub async fn send_release(&self, message: &Message, tenant: TenantId) -> Result<(), SendError> {
        let message = self.message(message, tenant, "release".to_owned(), Priority::High)?;
        self.sender.send(&message).await
    }

    /// Has the worker deal with a tick of a schedule, at the tick.
    pub async fn send_tick(&self, tenant: TenantId, schedule: ScheduleId, tick: Timestamp) -> Result<(), SendError> {
        let message = Message::Tick { tenant_id: tenant, schedule_id: schedule, tick_at: tick };
        self.send_as(&message, tenant, format!("tick#{schedule}"), Priority::High, tick).await
    }

    fn message(
        &self,
        message: &Message,
        tenant: TenantId,
        id: String,
        priority: Priority,
    ) -> Result<shared::queue::Message, SendError> {
        let message = shared::queue::Message::json(self.levels.of(priority), tenant, id, message);
        message.map_err(|error| SendError::Sqs(error.into()))
    }

    /// Ends the attempt of a job that the caller has claimed, and starts what follows. [`StoreError::Stale`] when the claim
    /// was lost: then nothing is written. Answers where the job went.
    pub async fn settle(&self, job: &Job, outcome: Outcome) -> Result<Next, StoreError> {
        self.end(job, outcome, false).await
    }

    /// Ends the attempt of a job whose lease has ended: its worker was killed, or has lost its way to us.
    /// [`StoreError::Stale`] when there was a sign of life since the job was read.
    pub async fn give_up(&self, job: &Job) -> Result<Next, StoreError> {
        let failure = Failure::new("lease_expired", "the worker gave no sign of life until its lease ended");
        self.end(job, Outcome::failed(failure), true).await
    }

    async fn end(&self, job: &Job, outcome: Outcome, unheard: bool) -> Result<Next, StoreError> {
        let now = self.clock.now();
        let (next, attempt) = job.after(outcome.clone(), now, &self.random);
        let follow_up = self.follow_up(job, &next, attempt.as_ref(), now).await?;
        let ending = Ending {
            next: &next,
            outbox: self.told(job, &next, attempt.as_ref(), now)?,
            attempt,
            now,
            follow_up: follow_up.as_ref(),
            unheard,
        };
        match self.jobs.finish(job, ending).await {
            Err(StoreError::Stale) => match self.jobs.get(&job.tenant_id, &job.id).await? {
                // Its answer was lost, and the SDK wrote it a second time.
                Some(current) if is_written(&current, job, &next, &outcome) => {}
                // Others have come to depend on it, or it was called off.
                Some(current) if !unheard && is_held(&current, job) && has_news(&current, job) => {
                    let current = Job { acknowledged: job.acknowledged.max(current.acknowledged), ..current };
                    return Box::pin(self.settle(&current, outcome)).await;
                }
                _ => return Err(StoreError::Stale),
            },
            done => done?,
        }
        if let Next::Waiting(at) = &next {
            let again = Job { ready_at: *at, ..job.clone() };
            self.dispatch_or_leave(&again).await;
        }
        if let Some(follow_up) = &follow_up {
            self.dispatch_or_leave(follow_up).await;
        }
        if job.has_children && next.phase().is_end() {
            self.tell_family_or_leave(&Job { phase: next.phase(), ..job.clone() }).await;
        }
        for scope in &job.slots {
            self.release_or_leave(&job.tenant_id, &job.queue, scope).await;
        }
        Ok(next)
    }

    /// Calls off a job that has not ended, as it was read: at once while it waits, and those that depend on it with it;
    /// once it runs, its worker is asked to stop. [`StoreError::Stale`] when it was changed meanwhile.
    pub async fn cancel(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        match job.phase {
            Phase::Waiting => {
                self.cancel_waiting(job, now).await?;
                if job.has_children {
                    self.tell_family_or_leave(&Job { phase: Phase::Cancelled, ..job.clone() }).await;
                }
                Ok(())
            }
            Phase::Running if !job.cancel_requested => self.jobs.request_cancel(job).await.map(drop),
            Phase::Running | Phase::Succeeded | Phase::Dead | Phase::Cancelled => Ok(()),
        }
    }

    /// Calls off a job that waits, as it was read, and starts what follows.
    pub(crate) async fn cancel_waiting(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let follow_up = self.follow_up(job, &Next::Cancelled, None, now).await?;
        self.jobs.cancel_waiting(job, now, self.told_cancelled(job, now)?, follow_up.as_ref()).await?;
        if let Some(follow_up) = &follow_up {
            self.dispatch_or_leave(follow_up).await;
        }
        Ok(())
    }

    /// Whether a job that is parked in `scope` could go on, as its queue is known to be set.
    pub async fn has_room(&self, ready: &Ready, scope: &str) -> Result<bool, StoreError> {
        let settings = self.queues.settings(&ready.tenant_id, &ready.queue).await?;
        if settings.paused {
            return Ok(false);
        }
        let slots = Slot::all_of(&settings, &ready.queue, ready.concurrency_key.as_ref());
        match slots.iter().find(|slot| slot.scope == scope) {
            Some(slot) => Ok(self.jobs.running(&ready.tenant_id, scope).await? < slot.limit),
            None => Ok(true),
        }
    }

    /// Lets one job of a queue go on that is parked in `scope`; false when there is none.
    pub async fn release(&self, tenant: &TenantId, queue: &QueueName, scope: &str) -> Result<bool, BoxError> {
        for look in 1..=LOOKS {
            let parked = self.jobs.parked(tenant, queue, scope, LOOK_AT).await?;
            let are_all = parked.len() < LOOK_AT;
            for parked in parked {
                if self.unpark(tenant, scope, &parked).await? {
                    return Ok(true);
                }
            }
            if are_all {
                return Ok(false);
            }
            // Others made room as well, and let go all that were read. This place is for one of those behind them.
            tokio::time::sleep(self.random.pause(LOOK_PAUSE, look)).await;
        }
        Err(StoreError::Conflict.into())
    }

    /// Lets a job go on that says it is parked in `scope`, and has no place there.
    pub async fn release_alone(&self, job: &Job, scope: &str) -> Result<(), BoxError> {
        match self.jobs.unpark_alone(job, scope).await {
            Ok(()) => Ok(self.send(&Ready::of(job).let_go(), job.trace, job.priority, self.clock.now()).await?),
            Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// [`Self::release`] where a failure is left to the sweeper, which looks at parked jobs as well.
    pub async fn release_or_leave(&self, tenant: &TenantId, queue: &QueueName, scope: &str) {
        if let Err(error) = self.release(tenant, queue, scope).await {
            tracing::warn!(scope, error = chain(&*error), "a parked job was left to the sweeper");
        }
    }

    /// The event of an end, for the relay.
    fn told(
        &self,
        job: &Job,
        next: &Next,
        attempt: Option<&Attempt>,
        now: Timestamp,
    ) -> Result<Option<AttributeValue>, StoreError> {
        let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
        Ok(match next {
            Next::Dead => {
                let data = JobDead {
                    job_id: job.id.to_string(),
                    kind: job.kind.to_string(),
                    queue: job.queue.to_string(),
                    attempts_begun: job.attempt,
                    class: failure.map(|failure| failure.class.clone()).unwrap_or_default(),
                    fingerprint: failure.map(|failure| failure.fingerprint.clone()).unwrap_or_default(),
                };
                Some(Event::new(job.tenant_id, job.id, data, now, &self.random).outbox()?)
            }
            Next::Cancelled => Some(self.told_cancelled(job, now)?),
            Next::Succeeded(_) | Next::Waiting(_) => None,
        })
    }

    /// The event of a job that was called off.
    pub fn told_cancelled(&self, job: &Job, now: Timestamp) -> Result<AttributeValue, StoreError> {
        let data =
            JobCancelled { job_id: job.id.to_string(), kind: job.kind.to_string(), queue: job.queue.to_string() };
        Ok(Event::new(job.tenant_id, job.id, data, now, &self.random).outbox()?)
    }

    /// The job that follows the end of another.
    async fn follow_up(
        &self,
        job: &Job,
        next: &Next,
        attempt: Option<&Attempt>,
        now: Timestamp,
    ) -> Result<Option<Job>, StoreError> {
        let Some(on_done) = &job.on_done else { return Ok(None) };
        if matches!(next, Next::Waiting(_)) {
            return Ok(None);
        }
        let origin =
            Origin { id: JobId::new(now, &self.random), tenant_id: job.tenant_id, created_by: job.id.to_string(), now };
        let result = match next {
            Next::Succeeded(Some(result)) => Some(RawValue::from_string(result.clone())?),
            _ => None,
        };
        let new = match on_done {
            OnDone::Url { url, version } => {
                let failure = attempt.and_then(|attempt| attempt.failure.as_ref());
                let payload = to_raw_value(&json!({
                    "job_id": job.id, "type": job.kind, "queue": job.queue, "state": next.phase(),
                    "attempts_begun": job.attempt, "result": result, "failure": failure,
                }))?;
                let payload = jobs::FAMILY.event(*version, jobs::DONE, &payload)?.into_owned();
                NewJob {
                    payload: Some(payload),
                    queue: QueueName::callbacks(),
                    deliver_to: Some(url.clone()),
                    ..NewJob::of(JobType::callback())
                }
            }
            OnDone::Job { .. } if !matches!(next, Next::Succeeded(_)) => return Ok(None),
            OnDone::Job { job: follow_up } => NewJob {
                payload: follow_up.payload.clone().or(result),
                queue: follow_up.queue.clone().unwrap_or_else(|| job.queue.clone()),
                priority: job.priority,
                ..NewJob::of(follow_up.kind.clone())
            },
        };
        let settings = self.queues.settings_of_used(&job.tenant_id, &new.queue).await?;
        let payload = Payload::inline(new.payload.as_deref());
        let is_built_in = handlers::is_built_in(&new.kind);
        match new.into_job(origin, &settings, is_built_in) {
            Ok(made) => Ok(Some(Job { payload, ..made })),
            Err(faults) => {
                // It was checked when it was asked for, so the rules have changed since. The job that it follows has ended.
                tracing::error!(job_id = %job.id, ?faults, "the job that follows is refused");
                Ok(None)
            }
        }
    }
}

/// Whether `current` is what this end of the claim of `job` made of it.
fn is_written(current: &Job, job: &Job, next: &Next, outcome: &Outcome) -> bool {
    let was_put_off = matches!(outcome, Outcome::Snoozed(_)) && current.claims == job.claims;
    current.phase == next.phase()
        && current.lease_until.is_none()
        && (was_put_off || current.was_ended_by(job.claims, outcome))
}

/// Whether something has happened to a job that its end depends on.
const fn has_news(current: &Job, job: &Job) -> bool {
    (current.has_children && !job.has_children) || (current.cancel_requested && !job.cancel_requested)
}

/// Whether the claim of `job` still holds it.
fn is_held(current: &Job, job: &Job) -> bool {
    current.claims == job.claims && current.phase == Phase::Running
}
