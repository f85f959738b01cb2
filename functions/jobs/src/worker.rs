//! `jobs.worker`: does jobs. It is fed by three queues, one for each priority.
//!
//! A message says that a job may be ready. The worker looks at its queue (paused? a rate? limits of concurrency?), claims
//! the job, does it with heartbeats, and writes how it ended, in one write each. The message is done then, however the job
//! went: a further attempt has a message of its own. A message whose worker is killed comes again when its visibility
//! ends; whoever gets it finds the lease ended, counts the attempt as failed, and the job goes on from there.
//!
//! # Calls
//! A job without limits: 1 write to claim, 1 to end, and the queue's settings every few seconds. While it runs, 1 write
//! each [`HEARTBEAT`], or each [`PROGRESS_EVERY`] while it tells of its progress. With limits of concurrency: a transaction
//! and a read to claim, a transaction to end, and a query for each of these limits.
//! With a rate: a read for each of these limits, one whether others wait for the rate, and a write at its limiter. A job that the
//! rate holds up: 2 reads and a transaction to be parked, and one to be let go, which writes the index as well when it has waited for
//! more than 5 minutes. A turn ([`crate::turn`]): 3 reads or 4, a
//! query and 2 writes, for all that it lets go.

mod attempt;
mod ready;

use std::time::Duration;

use shared::id::TenantId;
use shared::lambda::{ConsumeError, Consumer, Function, QueueSettings, Received, Runtime};
use shared::outbound::{Outbound, Settings as OutboundSettings};
use shared::{BoxError, BoxFuture};

use crate::delivery::Delivery;
use crate::engine::Engine;
use crate::files::Files;
use crate::handlers::{Dependencies, Exports, Handlers, Mails};
use crate::job::Priority;
use crate::message::Message;
use crate::name::QueueName;
use crate::payload::Payloads;
use crate::queue::Settings;
use crate::rates::Rates;
use crate::scheduler;
use crate::store::StoreError;
use crate::store::claim::{queue_scope, rate_scope};

/// How often a running job gives a sign of life, and hears whether it is to stop.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How often the progress that a job tells is written, besides.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// Kept back from the function's time for the write that ends an attempt.
const SETTLE_MARGIN: Duration = Duration::from_secs(5);

/// How many parked jobs one message lets go on, before it sends itself again.
const MOST_RELEASED: u32 = 200;

/// What works.
#[derive(Debug)]
pub struct Worker {
    engine: Engine,
    payloads: Payloads,
    rates: Rates,
    delivery: Delivery,
    handlers: Handlers,
    /// Who it is, for the history.
    name: String,
}

impl Worker {
    fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let engine = Engine::new(runtime)?;
        let outbound = Outbound::new(OutboundSettings::read(&runtime.environment)?);
        let random = runtime.random.clone();
        Ok(Self {
            payloads: Payloads::new(runtime)?,
            rates: Rates::new(runtime)?,
            delivery: Delivery::new(outbound.clone(), engine.jobs.clone(), runtime.clock.clone(), random.clone()),
            handlers: Handlers::new(Dependencies {
                outbound,
                clock: runtime.clock.clone(),
                files: Files::new(runtime)?,
                jobs: engine.jobs.clone(),
                mails: Mails::new(runtime)?,
                exports: Exports::new(runtime)?,
            }),
            name: format!("worker-{}", random.word(8)),
            engine,
        })
    }

    /// Lets the parked jobs of a queue go on after a change of its settings: of the queue and of each key as many as there is
    /// room for; as these end, they let the others go on. What is left when this has gone on for long has a message of its own.
    async fn release(&self, tenant: TenantId, queue: QueueName, after: Option<String>) -> Result<(), BoxError> {
        let engine = &self.engine;
        engine.queues.forget(&tenant, &queue).await;
        let settings = engine.queues.settings(&tenant, &queue).await?;
        let (mut scope, mut left) = (after.unwrap_or_default(), MOST_RELEASED);
        while let Some(next) = engine.jobs.next_scope(&tenant, &queue, &scope).await?.filter(|_| !settings.paused) {
            if next == rate_scope(&queue) {
                // There may be room at once by another rate, or by none.
                engine.see_to_turn((&tenant, &queue), Priority::High, engine.clock.now(), true).await?;
                scope = next;
                continue;
            }
            let room = self.room(&tenant, &queue, &settings, &next).await?;
            let mut released = 0;
            while released < room.min(left) && engine.release(&tenant, &queue, &next).await? {
                released += 1;
            }
            // To look at a key counts as well.
            left = left.saturating_sub(released + 1);
            if left == 0 {
                let rest = Message::Release { tenant_id: tenant, queue, after: Some(scope) };
                return Ok(engine.send_release(&rest, tenant).await?);
            }
            scope = next;
        }
        Ok(())
    }

    /// How many more jobs of a scope may run.
    async fn room(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        settings: &Settings,
        scope: &str,
    ) -> Result<u32, StoreError> {
        let limit = if scope == queue_scope(queue) { settings.concurrency } else { Some(settings.concurrency_per_key) };
        match limit {
            Some(limit) => Ok(limit.saturating_sub(self.engine.jobs.running(tenant, scope).await?)),
            None => Ok(u32::MAX),
        }
    }
}

impl Consumer for Worker {
    type Message = Message;

    async fn consume(&self, message: Received<Message>) -> Result<(), ConsumeError> {
        match message.body {
            Message::Run(ready) => self.run(ready, message.remaining).await?,
            Message::Tick { tenant_id, schedule_id, tick_at } => {
                scheduler::fire_tick(&self.engine, &tenant_id, &schedule_id, tick_at).await?;
            }
            Message::Turn { tenant_id, queue, at } => {
                self.engine.have_turn(&self.rates, (&tenant_id, &queue), at).await?;
            }
            Message::Release { tenant_id, queue, after } => self.release(tenant_id, queue, after).await?,
        }
        Ok(())
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let lease_seconds: u64 = reader.required("WORKER_LEASE_SECONDS");
        reader.finish()?;
        let settings =
            QueueSettings::read(&runtime.environment, "WORKER")?.with_lease(Duration::from_secs(lease_seconds));
        let worker = Worker::new(&runtime)?;
        Ok(Function::queue(&runtime, settings, worker))
    })
}
