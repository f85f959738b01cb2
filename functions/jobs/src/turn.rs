//! The turns of a queue whose backlog is over its rate.
//!
//! A job that the rate holds up is parked, without a message. While there are such jobs, the queue has one next turn
//! ([`Turn`]), which has a message: when it has come, as many jobs are let go as the rate has room for, those of the highest
//! priority first and among them those that were ready first, and the next turn is set for when there is room again. So a
//! job is handled when its time has come and when it is let go, and the queue once for each time at which there is room,
//! however long the backlog is. What comes while others are parked is parked behind them, and does not ask for room. The
//! rate is asked, and counted, when a job begins: whatever comes between, never more begin than it says.
//!
//! A queue may have jobs that are leased beside those. They are in no line, as they have no message; a worker that asks gets
//! those alone that come before the first that is parked, by the same order, and so keeps none of the line from its turn. A
//! turn does not wait for workers, who may never ask: what it lets go begins though an earlier job could be leased.
//!
//! Whoever parks a job looks afterwards whether there is a turn; whoever ends the turns looks afterwards whether a job is
//! parked. A turn whose message was lost is noticed by whoever parks the next job, and by the sweeper.
//!
//! The message goes to the worker's queue of the jobs that are let go last, behind them: where workers are late, turns are
//! late as well, and let nothing go before what was let go before has begun. A job of a higher priority takes it along.

use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use shared::BoxError;
use shared::id::TenantId;
use shared::queue::SendError;
use shared::time::{SignedDuration, Timestamp, to_millisecond};

use crate::engine::Engine;
use crate::job::Priority;
use crate::message::Message;
use crate::name::QueueName;
use crate::rates::Rates;
use crate::store::claim::{mark, rate_scope};
use crate::store::turns::Turn;
use crate::store::{Parked, StoreError};

/// How late a turn may be before another is set: its message is lost, or the workers are late.
const LATE: SignedDuration = SignedDuration::from_mins(2);

/// How long a turn is its worker's own. Less than the time after which the message of a killed one comes again.
const HELD: SignedDuration = SignedDuration::from_secs(30);

/// A turn waits for room that comes so soon: a message is late by up to a second.
const SOON: Duration = Duration::from_secs(1);

/// The most jobs of a turn; the next one is at once then.
const MOST: usize = 200;

/// Jobs that are let go at the same time.
const CONCURRENCY: usize = 16;

/// How often a turn is set that others set at the same time.
const TRIES: usize = 8;

impl Engine {
    /// Sees to it that the queue has a turn, at `at` if there is none, for a job of this priority that is parked for the
    /// rate. `hurry`: `at` is the latest, though there is one.
    pub async fn see_to_turn(
        &self,
        of: (&TenantId, &QueueName),
        priority: Priority,
        at: Timestamp,
        hurry: bool,
    ) -> Result<(), BoxError> {
        for _ in 0..TRIES {
            let known = self.jobs.turn(of.0, of.1).await?;
            let late = known.as_ref().is_some_and(|turn| turn.at.duration_since(self.clock.now()) < -LATE);
            let turn = match &known {
                Some(turn) if !late && turn.priority <= priority && (!hurry || turn.at <= at) => return Ok(()),
                Some(turn) if !late && !hurry => self.new_turn(turn.at, priority),
                Some(turn) => self.new_turn(at, turn.priority.min(priority)),
                None => self.new_turn(at, priority),
            };
            match self.jobs.set_turn(of, known.as_ref(), &turn).await {
                Ok(()) => return Ok(self.send_turn(of, &turn).await?),
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    fn new_turn(&self, at: Timestamp, priority: Priority) -> Turn {
        Turn { at: to_millisecond(at), priority, mark: mark(&self.random) }
    }

    async fn send_turn(&self, (tenant, queue): (&TenantId, &QueueName), turn: &Turn) -> Result<(), SendError> {
        let message = Message::Turn { tenant_id: *tenant, queue: queue.clone(), at: turn.at };
        self.send_as(&message, *tenant, format!("turn#{tenant}#{queue}"), turn.priority, turn.at).await
    }

    /// Has the turn of a queue whose message has come, if it is due: lets go as many jobs as there is room for, and sets the
    /// next one. `at` is the turn of the message.
    pub async fn have_turn(&self, rates: &Rates, of: (&TenantId, &QueueName), at: Timestamp) -> Result<(), BoxError> {
        let Some(turn) = self.jobs.turn(of.0, of.1).await? else { return Ok(()) };
        let now = self.clock.now();
        if turn.at > now {
            // The clocks of two machines differ. Or it was set otherwise, and has another message.
            return if turn.at == at { Ok(self.send_turn(of, &turn).await?) } else { Ok(()) };
        }
        let held = self.new_turn(now.checked_add(HELD)?, turn.priority);
        match self.jobs.set_turn(of, Some(&turn), &held).await {
            Ok(()) => {}
            // Another message was faster.
            Err(StoreError::Stale) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if let Some(next) = self.let_go(rates, of, &held).await? {
            return match self.jobs.set_turn(of, Some(&held), &next).await {
                Ok(()) => Ok(self.send_turn(of, &next).await?),
                // Whoever has set it otherwise has sent a message.
                Err(StoreError::Stale) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        self.jobs.end_turns(of, &held).await?;
        match self.jobs.parked(of.0, of.1, &rate_scope(of.1), 1).await?.first() {
            Some(parked) if !self.is_paused(of).await? => {
                self.see_to_turn(of, parked.priority, self.clock.now(), false).await
            }
            _ => Ok(()),
        }
    }

    async fn is_paused(&self, (tenant, queue): (&TenantId, &QueueName)) -> Result<bool, StoreError> {
        Ok(self.queues.settings(tenant, queue).await?.paused)
    }

    /// Lets go the jobs whose turn it is. Answers the next turn; none when no job is left, or the queue is paused: it has a
    /// turn when it goes on.
    async fn let_go(
        &self,
        rates: &Rates,
        (tenant, queue): (&TenantId, &QueueName),
        held: &Turn,
    ) -> Result<Option<Turn>, BoxError> {
        // A queue that has gone on since has a turn, which this one may have met.
        self.queues.forget(tenant, queue).await;
        let settings = self.queues.settings(tenant, queue).await?;
        if settings.paused {
            return Ok(None);
        }
        let (mut room, mut next_after) = (usize::MAX, Duration::ZERO);
        if let Some(rate) = settings.rate_limit {
            (room, next_after) = rates.room(tenant, queue, rate).await?;
            if room == 0 && next_after <= SOON {
                tokio::time::sleep(next_after).await;
                (room, next_after) = rates.room(tenant, queue, rate).await?;
            }
        }
        let (most, scope) = (room.min(MOST), rate_scope(queue));
        let mut parked = self.jobs.parked(tenant, queue, &scope, most + 1).await?;
        let are_all = parked.len() <= most;
        parked.truncate(most);
        let last = parked.last().map_or(held.priority, |parked| parked.priority);
        let each: Vec<_> = parked.iter().map(|parked| self.unpark(tenant, &scope, parked)).collect();
        stream::iter(each).buffered(CONCURRENCY).try_for_each(|_| std::future::ready(Ok(()))).await?;
        if are_all {
            return Ok(None);
        }
        let after = if room > most { Duration::ZERO } else { next_after };
        Ok(Some(self.new_turn(self.clock.now().checked_add(SignedDuration::try_from(after)?)?, last)))
    }

    /// Lets a parked job go on; false when somebody else has, or it was called off.
    pub(crate) async fn unpark(&self, tenant: &TenantId, scope: &str, parked: &Parked) -> Result<bool, BoxError> {
        match self.jobs.unpark(tenant, scope, parked, self.clock.now()).await {
            Ok(()) => {
                self.send(&parked.ready.let_go(), parked.trace, parked.priority, self.clock.now()).await?;
                Ok(true)
            }
            Err(StoreError::Stale | StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
