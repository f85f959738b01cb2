//! `jobs.sweeper`: looks each minute at the jobs of which nothing was heard when something should have been. Before that
//! it makes the jobs of schedules ([`scheduler`]), for which it has half of its time.
//!
//! A waiting job whose message may be lost (written, and never sent; or sent and gone) is sent again; a message too many
//! does no harm. A running job whose lease has ended has lost its worker: the attempt has failed. A parked job that could
//! go on is let go on. Two sweepers at once do no harm: each write is conditional.
//!
//! # Calls
//! A run with nothing to see: one query for each of the [`shards`], half a read unit each, and as many for schedules.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use shared::lambda::{Function, Runtime, Task, Tick};
use shared::telemetry::chain;
use shared::time::{SignedDuration, Timestamp};
use shared::{BoxError, BoxFuture};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::job::{Job, Phase};
use crate::message::Ready;
use crate::scheduler;
use crate::store::StoreError;
use crate::store::attention::{Found, GRACE, shards};
use crate::store::claim::rate_scope;

/// Kept back from the function's time: nothing is begun with less.
pub(crate) const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Jobs that are read at once in a shard.
const PAGE: usize = 100;

/// Jobs that are looked at at the same time.
const CONCURRENCY: usize = 8;

/// For how long those that depend on one job are told in a run.
const ONE_FAMILY: Duration = Duration::from_secs(15);

/// The longest time between two looks at one job.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);

#[derive(Debug)]
struct Sweeper {
    engine: Engine,
}

impl Task for Sweeper {
    async fn run(&self, tick: Tick) -> Result<(), BoxError> {
        let fired = scheduler::fire_due(&self.engine, &tick).await;
        let seen = self.look_around(&tick).await?;
        // What failed above is no reason to leave the jobs alone.
        let fired = fired?;
        tracing::info!(seen, fired, "jobs were looked at");
        Ok(())
    }
}

impl Sweeper {
    /// Looks at all jobs that are due, while there is time. Answers how many these were.
    async fn look_around(&self, tick: &Tick) -> Result<usize, BoxError> {
        let mut seen = 0;
        for shard in shards(tick.now) {
            let mut start = None;
            loop {
                if !tick.has_time(STOP_MARGIN) {
                    tracing::warn!(shard, "the jobs of further shards are left to the next run");
                    return Ok(seen);
                }
                let page = self.engine.jobs.to_sweep(shard, tick.now, start, PAGE).await?;
                seen += page.found.len();
                let looks: Vec<_> = page.found.into_iter().map(|found| self.look(found, tick)).collect();
                stream::iter(looks).buffer_unordered(CONCURRENCY).collect::<()>().await;
                start = page.next;
                if start.is_none() {
                    break;
                }
            }
        }
        Ok(seen)
    }

    /// Looks at one job. What there is no time for, or fails, the next run will try again.
    async fn look(&self, found: Found, tick: &Tick) {
        if tick.has_time(STOP_MARGIN)
            && let Err(error) = self.mend(&found, tick).await
        {
            tracing::error!(job_id = %found.job_id, error = chain(&*error), "a job could not be looked at");
        }
    }

    /// A job that is parked for the rate of its queue has its turn, if the queue has turns and the job has a place.
    async fn see_to_turn(&self, job: &Job, now: Timestamp) -> Result<(), BoxError> {
        let (engine, scope) = (&self.engine, rate_scope(&job.queue));
        if engine.jobs.parked(&job.tenant_id, &job.queue, &scope, 1).await?.is_empty() {
            return engine.release_alone(job, &scope).await;
        }
        let settings = engine.queues.settings(&job.tenant_id, &job.queue).await?;
        if settings.paused {
            return Ok(());
        }
        engine.see_to_turn((&job.tenant_id, &job.queue), job.priority, now, false).await
    }

    async fn mend(&self, found: &Found, tick: &Tick) -> Result<(), BoxError> {
        let (engine, now) = (&self.engine, tick.now);
        let until = Instant::now() + ONE_FAMILY;
        let has_time = || Instant::now() < until && tick.has_time(STOP_MARGIN);
        // The index is behind the table: what was found may be over.
        let Some(job) = engine.jobs.get(&found.tenant_id, &found.job_id).await? else { return Ok(()) };
        let done = match job.phase {
            Phase::Running if job.is_leased(now) => {
                engine.jobs.sweep_again(&job, &found.at, job.lease_until.unwrap_or(now)).await
            }
            Phase::Running => engine.give_up(&job).await.map(drop),
            Phase::Waiting => {
                if !job.waits_for.is_empty() {
                    engine.ask_parents(&job, &has_time).await?;
                } else if job.parked.as_ref() == Some(&rate_scope(&job.queue)) {
                    self.see_to_turn(&job, now).await?;
                } else if let Some(scope) = &job.parked {
                    let has_room = engine.has_room(&Ready::of(&job), scope).await?;
                    if has_room && !engine.release(&job.tenant_id, &job.queue, scope).await? {
                        engine.release_alone(&job, scope).await?;
                    }
                } else if job.ready_at <= now {
                    engine.send(&Ready::of(&job), job.trace, job.priority, now).await?;
                    tracing::warn!(job_id = %job.id, "a waiting job was sent again");
                }
                engine.jobs.sweep_again(&job, &found.at, next_look(&job, now)).await
            }
            // Those whom there is no time for are told by the next run: the job keeps its place.
            Phase::Succeeded | Phase::Dead | Phase::Cancelled if job.has_children => {
                engine.tell_family(job, &has_time).await.map(drop)
            }
            Phase::Succeeded | Phase::Dead | Phase::Cancelled => return Ok(()),
        };
        match done {
            // Something has happened to it meanwhile, which is all that is asked.
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Twice as long after its time as now, so that a long backlog is looked at a few times only.
fn next_look(job: &Job, now: Timestamp) -> Timestamp {
    let waited = now.duration_since(job.ready_at);
    now.max(job.ready_at).checked_add(waited.clamp(GRACE, LONGEST)).unwrap_or(Timestamp::MAX)
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move { Ok(Function::schedule(&runtime, Sweeper { engine: Engine::new(&runtime)? })) })
}
