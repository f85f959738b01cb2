//! One attempt: the work, its signs of life, its time-out, its end, and its line in the log.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use shared::BoxError;
use shared::telemetry::{TraceContext, chain};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{HEARTBEAT, PROGRESS_EVERY, SETTLE_MARGIN, Worker};
use crate::attempt::{Failure, Outcome};
use crate::delivery::Delivered;
use crate::handlers::Work;
use crate::job::{Job, LEASE, Progress, Runner};
use crate::store::StoreError;

/// How long work may go on after it was asked to stop.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How long the end of an attempt is tried to be written: within what is kept back for it.
const END_WRITTEN_WITHIN: Duration = Duration::from_secs(4);

/// The longest pause before the second try; it doubles for each further one.
const END_PAUSE: Duration = Duration::from_millis(200);

/// How long a job waits whose attempt could not be begun, through no fault of its own.
const PUT_OFF: Duration = Duration::from_secs(10);

/// Why an attempt is given up from outside.
enum Interruption {
    /// The claim is somebody else's.
    Lost,
    /// It was asked to stop, and did not.
    Stop,
}

impl Worker {
    /// Does a job that was claimed, and writes how it ended.
    pub(super) async fn attempt(&self, job: Job, remaining: Duration) -> Result<(), BoxError> {
        let time = job.timeout().min(remaining.saturating_sub(SETTLE_MARGIN));
        let (progress, seen) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let told = seen.clone();
        let work = Work::new(&job, time, progress, stopped);
        let worked = AssertUnwindSafe(tokio::time::timeout(time, self.work(&job, &work))).catch_unwind();
        let delivered = tokio::select! {
            worked = worked => match worked {
                Ok(Ok(delivered)) => delivered.unwrap_or_else(|error| put_off(&job, &error)),
                Ok(Err(_)) => Delivered::Ended(Outcome::failed(Failure::new("timeout", format!("it took over {} s", time.as_secs())))),
                Err(_) => Delivered::Ended(Outcome::failed(Failure::new("panic", "the handler panicked"))),
            },
            interruption = self.keep(&job, seen, &stop) => match interruption {
                Interruption::Lost => return Ok(()),
                Interruption::Stop => Delivered::Ended(Outcome::Cancelled),
            },
        };
        log(&job, &delivered);
        // One that waits to go on shows how far it has come.
        let job = Job { progress: told.borrow().clone(), ..job };
        match self.end(&job, &delivered).await {
            // The claim was lost; whoever has the job now says how it ends.
            Ok(()) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes how an attempt ended. When many jobs of one limit end at once, that is tried for a while: what is not written
    /// is done again.
    async fn end(&self, job: &Job, delivered: &Delivered) -> Result<(), StoreError> {
        let deadline = Instant::now() + END_WRITTEN_WITHIN;
        let mut tried = 0;
        loop {
            tried += 1;
            let ended = match delivered {
                Delivered::Ended(outcome) => self.engine.settle(job, outcome.clone()).await.map(drop),
                Delivered::Accepted => self.engine.jobs.entrust(job, self.engine.clock.now()).await,
            };
            let pause = self.engine.random.pause(END_PAUSE, tried);
            match ended {
                Err(StoreError::Conflict) if Instant::now() + pause < deadline => {
                    tracing::warn!(job_id = %job.id, "the end of an attempt was not written yet");
                    tokio::time::sleep(pause).await;
                }
                ended => return ended,
            }
        }
    }

    /// An error is a failure of ours before the work was begun.
    async fn work(&self, job: &Job, work: &Work) -> Result<Delivered, StoreError> {
        let payload = match self.payloads.of(job).await {
            Err(StoreError::NoPayload) => return Ok(unreadable(&StoreError::NoPayload)),
            Err(StoreError::Encode(error)) => return Ok(unreadable(&error)),
            payload => payload?,
        };
        Ok(match &job.runner {
            Runner::BuiltIn => Delivered::Ended(self.handlers.run(&job.kind, payload.get(), work).await),
            Runner::Http { url } => {
                let parents = self.engine.parents(job).await?;
                tokio::select! {
                    delivered = self.delivery.send(job, url, &payload, &parents, work.time) => delivered?,
                    () = work.stopped() => Delivered::Ended(Outcome::Cancelled),
                }
            }
            Runner::Pull => Delivered::Ended(Outcome::Snoozed(Duration::from_secs(1))),
        })
    }

    /// Keeps the claim, until it is lost or the work has not stopped when it should have.
    async fn keep(
        &self,
        job: &Job,
        mut progress: watch::Receiver<Option<Progress>>,
        stop: &watch::Sender<bool>,
    ) -> Interruption {
        loop {
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = told(&mut progress) => {}
            }
            let seen = progress.borrow_and_update().clone();
            match self.engine.jobs.heartbeat(job, self.engine.clock.now(), LEASE, seen.as_ref()).await {
                Ok(current) if current.cancel_requested => {
                    stop.send_replace(true);
                    tokio::time::sleep(STOP_GRACE).await;
                    return Interruption::Stop;
                }
                Ok(_) => {}
                Err(StoreError::Stale) => return Interruption::Lost,
                Err(error) => {
                    tracing::warn!(job_id = %job.id, error = chain(&error), "a heartbeat was not written");
                }
            }
        }
    }
}

/// By its id and its trace a job's attempts are found. What failed is said by its kind alone: the rest is the tenant's.
fn log(job: &Job, delivered: &Delivered) {
    let (outcome, class) = match delivered {
        Delivered::Ended(Outcome::Succeeded(_)) => ("succeeded", None),
        Delivered::Ended(Outcome::Failed { failure, .. }) => ("failed", Some(&*failure.class)),
        Delivered::Ended(Outcome::Snoozed(_)) => ("snoozed", None),
        Delivered::Ended(Outcome::Cancelled) => ("cancelled", None),
        Delivered::Accepted => ("accepted", None),
    };
    tracing::info!(
        function = "jobs.worker",
        tenant = %job.tenant_id,
        job_id = %job.id,
        kind = %job.kind,
        attempt = job.attempt,
        outcome,
        class,
        trace_id = TraceContext::current().map(TraceContext::trace_id),
        "attempt"
    );
}

/// What comes of a payload that no attempt can read.
fn unreadable(error: &dyn std::error::Error) -> Delivered {
    Delivered::Ended(Outcome::poison(Failure::new("payload", error.to_string())))
}

/// What comes of a failure of ours before the work was begun: the job waits, and the attempt does not count.
fn put_off(job: &Job, error: &StoreError) -> Delivered {
    tracing::error!(job_id = %job.id, error = chain(error), "an attempt was put off that could not be begun");
    Delivered::Ended(Outcome::Snoozed(PUT_OFF))
}

/// Ends when there is something new of the progress, but not at once.
async fn told(progress: &mut watch::Receiver<Option<Progress>>) {
    tokio::time::sleep(PROGRESS_EVERY).await;
    if progress.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
