//! Makes the jobs of schedules. The sweeper runs it each minute.
//!
//! A tick is seen up to 150 seconds ahead, and its job is made then, to run at the tick; so it runs to the second. One
//! transaction moves the schedule on to its next tick, writes down what came of this one, and makes the job, whose id
//! follows from the tick: however many schedulers run, a tick makes one job. A scheduler that dies after the write
//! leaves a job whose message the sweeper sends.
//!
//! With the overlap policies `skip` and `cancel_previous`, a tick whose job before has not ended when it is seen ahead
//! is decided when it has come: the worker has a message for that time ([`fire_tick`]), and the next run finds what no
//! message came for.
//!
//! # Calls
//! A run with nothing due: one query for each of the [`shards`], half a read unit each. A tick: one read of the
//! schedule, a transaction of three writes and a message, and one more read with `skip` or `cancel_previous`. One that is
//! decided at its time: a message, and two reads, more.

use std::time::Instant;

use futures::stream::{self, StreamExt as _};
use shared::BoxError;
use shared::id::TenantId;
use shared::lambda::Tick;
use shared::queue::HORIZON;
use shared::telemetry::chain;
use shared::time::{SignedDuration, Timestamp, to_millisecond};

use crate::engine::Engine;
use crate::handlers;
use crate::job::Job;
use crate::rules::{NewJob, Origin};
use crate::schedule::record::{Overlap, Schedule, ScheduleId};
use crate::schedule::recurrence::jitter;
use crate::schedule::run::{Run, Skipped, job_id};
use crate::schedule::step::Step;
use crate::store::attention::shards;
use crate::store::{Along, InsertError, StoreError};
use crate::sweeper::STOP_MARGIN;

/// Schedules that are read at once in a shard.
const PAGE: usize = 100;

/// Schedules that are dealt with at the same time.
const CONCURRENCY: usize = 8;

/// The most steps of one schedule in one run: all ticks that are made up for, some that are due, and some that others
/// were faster with.
const MOST_STEPS: usize = 128;

/// How often a job is called off that is changed meanwhile.
const CANCELS: usize = 4;

/// How far ahead a tick is that no further run sees before it has come: they come each minute, and not to the second.
const LAST_RUN: SignedDuration = SignedDuration::from_secs(75);

/// Deals with the ticks that are due as the sweeper runs or soon after. None is begun when half of the run's time is over,
/// as the other half is for the jobs: the next run goes on. Answers how many jobs were made.
pub(crate) async fn fire_due(engine: &Engine, run: &Tick) -> Result<usize, BoxError> {
    let until = run.now.checked_add(SignedDuration::try_from(HORIZON)?)?;
    let scheduler = Scheduler { engine, now: run.now, until };
    let began = Instant::now();
    // As much must be left again as has passed.
    let has_time = || run.has_time(STOP_MARGIN + began.elapsed());
    let mut fired = 0;
    for shard in shards(run.now) {
        let mut start = None;
        loop {
            if !has_time() {
                tracing::warn!(shard, "the schedules of further shards are left to the next run");
                return Ok(fired);
            }
            let due = engine.jobs.due_schedules(shard, until, start, PAGE).await?;
            let each = due.schedules.into_iter().map(|(tenant, id)| scheduler.fire_or_leave(tenant, id, &has_time));
            let each: Vec<_> = each.collect();
            fired += stream::iter(each)
                .buffer_unordered(CONCURRENCY)
                .fold(0, |sum, count| std::future::ready(sum + count))
                .await;
            start = due.next;
            if start.is_none() {
                break;
            }
        }
    }
    Ok(fired)
}

/// Deals with a tick that has come, and with what is due before it.
pub(crate) async fn fire_tick(
    engine: &Engine,
    tenant: &TenantId,
    id: &ScheduleId,
    tick: Timestamp,
) -> Result<(), BoxError> {
    let now = engine.clock.now();
    if tick > now {
        return Ok(engine.send_tick(*tenant, *id, tick).await?);
    }
    Scheduler { engine, now, until: now }.fire(tenant, id, &mut 0).await
}

/// One run.
struct Scheduler<'a> {
    engine: &'a Engine,
    now: Timestamp,
    /// How far ahead it looks.
    until: Timestamp,
}

/// What a step comes to.
struct Turn {
    /// The schedule after it.
    schedule: Schedule,
    run: Run,
    job: Option<Job>,
}

/// Whether a tick makes its job, by the job before.
enum Before {
    MakeIt,
    LeaveItOut,
    /// The tick has not come, and the job may end until then.
    Wait,
}

impl Scheduler<'_> {
    /// Deals with the due ticks of a schedule. A failure, or what there is no time for, is left to the next run.
    async fn fire_or_leave(&self, tenant: TenantId, id: ScheduleId, has_time: &(dyn Fn() -> bool + Sync)) -> usize {
        if !has_time() {
            return 0;
        }
        let mut fired = 0;
        if let Err(error) = self.fire(&tenant, &id, &mut fired).await {
            tracing::error!(schedule_id = %id, error = chain(&*error), "a schedule could not be dealt with");
        }
        fired
    }

    async fn fire(&self, tenant: &TenantId, id: &ScheduleId, fired: &mut usize) -> Result<(), BoxError> {
        let mut known = None;
        for _ in 0..MOST_STEPS {
            let found = match known.take() {
                Some(schedule) => Some(schedule),
                // The index is behind the table: what was found may be over.
                None => self.engine.jobs.schedule(tenant, id).await?,
            };
            let Some(schedule) = found else { break };
            let Some(step) = schedule.step(self.now, self.until) else { break };
            let Some(turn) = self.turn(&schedule, step).await? else { return self.wait(&schedule, step).await };
            let written = self.engine.jobs.fire(&turn.schedule, &turn.run, turn.job.as_ref(), Along::default()).await;
            match written {
                Ok(()) => {
                    if let Some(job) = &turn.job {
                        *fired += 1;
                        self.engine.dispatch_or_leave(job).await;
                    }
                    known = Some(turn.schedule);
                }
                // Another scheduler or an edit was faster: it is read again.
                Err(InsertError::Store(StoreError::Stale | StoreError::Conflict)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Has a tick dealt with when it has come.
    async fn wait(&self, schedule: &Schedule, step: Step) -> Result<(), BoxError> {
        match step {
            Step::Fire { tick, .. } if tick.duration_since(self.now) <= LAST_RUN => {
                Ok(self.engine.send_tick(schedule.tenant_id, schedule.id, tick).await?)
            }
            Step::Fire { .. } | Step::Miss { .. } => Ok(()),
        }
    }

    /// What a step comes to; none while it waits.
    async fn turn(&self, schedule: &Schedule, step: Step) -> Result<Option<Turn>, BoxError> {
        let mut after = Schedule { revision: schedule.revision + 1, ..schedule.clone() };
        let fired_at = to_millisecond(self.now);
        let mut run = Run { tick_at: None, resumed_at: None, fired_at, job_id: None, skipped: None };
        let mut job = None;
        match step {
            Step::Miss { first, last, next } => {
                (after.last_tick_at, after.next_at) = (Some(last), next);
                (run.tick_at, run.resumed_at, run.skipped) = (Some(first), next, Some(Skipped::Missed));
            }
            Step::Fire { tick, next } => {
                (after.last_tick_at, after.next_at) = (Some(tick), next);
                run.tick_at = Some(tick);
                match self.before(schedule, tick).await? {
                    Before::Wait => return Ok(None),
                    Before::LeaveItOut => run.skipped = Some(Skipped::Overlap),
                    Before::MakeIt => {
                        job = self.job(schedule, tick).await?;
                        run.job_id = job.as_ref().map(|job| job.id);
                        run.skipped = job.is_none().then_some(Skipped::Refused);
                        after.last_job_id = run.job_id.or(after.last_job_id);
                    }
                }
            }
        }
        Ok(Some(Turn { schedule: after, run, job }))
    }

    /// Looks at the job before, where the overlap policy asks for it, and calls it off where the policy says so.
    async fn before(&self, schedule: &Schedule, tick: Timestamp) -> Result<Before, BoxError> {
        let (Overlap::Skip | Overlap::CancelPrevious, Some(id)) = (schedule.overlap, &schedule.last_job_id) else {
            return Ok(Before::MakeIt);
        };
        for _ in 0..CANCELS {
            let job = match self.engine.jobs.get(&schedule.tenant_id, id).await? {
                Some(job) if !job.phase.is_end() => job,
                _ => return Ok(Before::MakeIt),
            };
            if tick > self.now {
                return Ok(Before::Wait);
            }
            if schedule.overlap == Overlap::Skip {
                return Ok(Before::LeaveItOut);
            }
            match self.engine.cancel(&job, self.now).await {
                Ok(()) => return Ok(Before::MakeIt),
                Err(StoreError::Stale | StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err("the job before is changed by others at this moment".into())
    }

    /// The job of a tick; none when it is not acceptable any more.
    async fn job(&self, schedule: &Schedule, tick: Timestamp) -> Result<Option<Job>, StoreError> {
        let new: NewJob = match schedule.template() {
            Ok(template) => template.into(),
            Err(error) => {
                tracing::error!(schedule_id = %schedule.id, error = chain(&error), "the job of a schedule is refused");
                return Ok(None);
            }
        };
        let settings = self.engine.queues.settings_of_used(&schedule.tenant_id, &new.queue).await?;
        let origin = Origin {
            id: job_id(&schedule.id, tick),
            tenant_id: schedule.tenant_id,
            created_by: schedule.id.to_string(),
            now: self.now,
        };
        let is_built_in = handlers::is_built_in(&new.kind);
        match new.into_job(origin, &settings, is_built_in) {
            Ok(job) => Ok(Some(Job {
                ready_at: self.ready_at(schedule, tick),
                concurrency_key: job.concurrency_key.or_else(|| schedule.concurrency_key()),
                ..job
            })),
            Err(faults) => {
                tracing::error!(schedule_id = %schedule.id, ?faults, "the job of a schedule is refused");
                Ok(None)
            }
        }
    }

    /// When the job of a tick begins: after its jitter, and not before now.
    fn ready_at(&self, schedule: &Schedule, tick: Timestamp) -> Timestamp {
        let most = std::time::Duration::from_secs(schedule.jitter_seconds.into());
        let jitter = SignedDuration::try_from(jitter(&schedule.id.to_string(), tick, most)).unwrap_or_default();
        to_millisecond(tick.checked_add(jitter).unwrap_or(tick).max(self.now))
    }
}
