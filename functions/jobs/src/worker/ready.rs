//! From the message that a job may be ready to the claim, or to why there is none.

use std::time::Duration;

use shared::BoxError;
use shared::time::SignedDuration;

use super::Worker;
use crate::job::{Job, LEASE, Phase};
use crate::message::Ready;
use crate::queue::RateLimit;
use crate::store::StoreError;
use crate::store::claim::{Claim, Claimant, Slot, mark, queue_scope, rate_scope};

/// A message that comes before its time by less than this is sent again: the clocks of two machines differ. One that comes
/// earlier is of another attempt.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// How long a job waits whose claim met others each time.
const CONTENDED: Duration = Duration::from_secs(1);

impl Worker {
    /// Does the job of a message, if it is there to be done.
    pub(super) async fn run(&self, ready: Ready, remaining: Duration) -> Result<(), BoxError> {
        let engine = &self.engine;
        let settings = engine.queues.settings(&ready.tenant_id, &ready.queue).await?;
        if settings.paused {
            return self.park(&ready, &queue_scope(&ready.queue), Duration::ZERO).await;
        }
        let slots = Slot::all_of(&settings, &ready.queue, ready.concurrency_key.as_ref());
        if let Some(rate) = settings.rate_limit
            && let Some((scope, wait)) = self.held_up(&ready, rate, &slots).await?
        {
            return self.park(&ready, &scope, wait).await;
        }
        let mark = mark(&engine.random);
        let claimant =
            Claimant { worker: &self.name, mark: &mark, now: engine.clock.now(), lease: LEASE, slots: &slots };
        match engine.jobs.claim(&ready, false, &claimant).await {
            Ok(Claim::Claimed(job)) => Box::pin(self.attempt(*job, remaining)).await,
            Ok(Claim::Full(scope)) => self.park(&ready, &scope, Duration::ZERO).await,
            Ok(Claim::Refused(None)) => Ok(()),
            Ok(Claim::Refused(Some(job))) => self.refused(&ready, &job).await,
            // Many claim at once at one limit. The message would come again when its visibility time-out ends.
            Err(StoreError::Conflict) => self.later(&ready, CONTENDED).await,
            Err(error) => Err(error.into()),
        }
    }

    /// What holds a job up in a queue with a rate, and for how long; none when it may begin, which the rate has counted. A
    /// job that a limit of concurrency holds up, or that others wait before, takes nothing of the rate.
    async fn held_up(
        &self,
        ready: &Ready,
        rate: RateLimit,
        slots: &[Slot],
    ) -> Result<Option<(String, Duration)>, BoxError> {
        let engine = &self.engine;
        for slot in slots {
            if engine.jobs.running(&ready.tenant_id, &slot.scope).await? >= slot.limit {
                return Ok(Some((slot.scope.clone(), Duration::ZERO)));
            }
        }
        let scope = rate_scope(&ready.queue);
        if !ready.was_parked && engine.jobs.turn(&ready.tenant_id, &ready.queue).await?.is_some() {
            return Ok(Some((scope, Duration::ZERO)));
        }
        Ok(self.rates.wait(ready, rate).await?.map(|wait| (scope, wait)))
    }

    /// What a message means whose job cannot be claimed.
    async fn refused(&self, ready: &Ready, job: &Job) -> Result<(), BoxError> {
        let now = self.engine.clock.now();
        match job.phase {
            // Its server has it, perhaps for long, and the sweeper sees to the end of the lease.
            Phase::Running if job.is_leased(now) && job.acknowledged == job.claims => Ok(()),
            Phase::Running if job.is_leased(now) => Err("another worker has the job".into()),
            Phase::Running => match self.engine.give_up(job).await {
                // Somebody else has noticed as well, or the worker came back in time.
                Ok(_) | Err(StoreError::Stale) => Ok(()),
                Err(error) => Err(error.into()),
            },
            // Its worker was killed perhaps, before it saw to the turn.
            Phase::Waiting if job.parked.as_ref() == Some(&rate_scope(&job.queue)) => {
                let of = (&job.tenant_id, &job.queue);
                self.engine.see_to_turn(of, job.priority, now, false).await
            }
            Phase::Waiting if job.parked.is_some() => Ok(()),
            Phase::Waiting if job.ready_at > now => {
                if job.ready_at.duration_since(now) < SKEW {
                    self.engine.send(&Ready::of(job), job.trace, job.priority, job.ready_at).await?;
                }
                // It may have been put off after it was let go, and does not take the place that it was let go for.
                self.let_others_go_on(ready).await
            }
            Phase::Waiting => Err("the job was changed at this moment".into()),
            Phase::Succeeded | Phase::Dead | Phase::Cancelled => {
                if job.has_children {
                    self.engine.tell_family_or_leave(job).await;
                }
                self.let_others_go_on(ready).await
            }
        }
    }

    /// The message of a job that has ended comes again when its worker was killed: perhaps before it let a parked job go on.
    async fn let_others_go_on(&self, ready: &Ready) -> Result<(), BoxError> {
        let engine = &self.engine;
        let settings = engine.queues.settings(&ready.tenant_id, &ready.queue).await?;
        for slot in Slot::all_of(&settings, &ready.queue, ready.concurrency_key.as_ref()) {
            if engine.jobs.running(&ready.tenant_id, &slot.scope).await? < slot.limit {
                engine.release(&ready.tenant_id, &ready.queue, &slot.scope).await?;
            }
        }
        Ok(())
    }

    /// Puts a job aside until `scope` has room, which a rate is known to have after `wait`. Whoever makes room looks for
    /// parked jobs afterwards; what was made before the job was parked is seen here.
    async fn park(&self, ready: &Ready, scope: &str, wait: Duration) -> Result<(), BoxError> {
        let (engine, by_rate) = (&self.engine, scope == rate_scope(&ready.queue));
        let Some(job) = engine.jobs.get(&ready.tenant_id, &ready.job_id).await? else { return Ok(()) };
        if job.phase != Phase::Waiting || job.parked.is_some() || job.ready_at > engine.clock.now() {
            // Another message was faster, and its worker answers for the job: this one is not needed again.
            let is_held = !by_rate && job.is_leased(engine.clock.now());
            return if is_held { Ok(()) } else { self.refused(ready, &job).await };
        }
        match engine.jobs.park(&job, scope).await {
            Ok(()) => {}
            // It was claimed, parked or called off meanwhile.
            Err(StoreError::Stale) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if by_rate {
            let at = engine.clock.now().checked_add(wait)?;
            engine.see_to_turn((&ready.tenant_id, &ready.queue), job.priority, at, false).await?;
            // A job that a limit of concurrency has let go leaves its place there to another.
            return if ready.was_parked { self.let_others_go_on(ready).await } else { Ok(()) };
        }
        engine.queues.forget(&ready.tenant_id, &ready.queue).await;
        let settings = engine.queues.settings(&ready.tenant_id, &ready.queue).await?;
        let of_queue = settings.concurrency.map(|_| queue_scope(&ready.queue)).filter(|of_queue| of_queue != scope);
        // A job that the queue has let go, and that its key holds up, leaves the queue's place to another.
        for scope in std::iter::once(scope).chain(of_queue.as_deref()) {
            if engine.has_room(ready, scope).await? {
                engine.release(&ready.tenant_id, &ready.queue, scope).await?;
            }
        }
        Ok(())
    }

    async fn later(&self, ready: &Ready, wait: Duration) -> Result<(), BoxError> {
        let Some(job) = self.engine.jobs.get(&ready.tenant_id, &ready.job_id).await? else { return Ok(()) };
        if job.phase == Phase::Waiting {
            let at = self.engine.clock.now().checked_add(wait)?;
            self.engine.send(ready, job.trace, job.priority, at).await?;
        }
        Ok(())
    }
}
