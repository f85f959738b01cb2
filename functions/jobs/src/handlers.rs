//! The work that is built in: one type of job each, with a typed payload that is checked when the job is asked for.
//!
//! A new one is a type with [`Handler`], in a file of its own, and a line in [`BUILT_IN`] and [`Handlers::new`]. An attempt
//! may come twice (at-least-once), so the work is idempotent or says that it is not.

mod http_request;
mod noop;
mod sleep;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use shared::BoxFuture;
use shared::http::{FieldError, Problem, parse_json};
use shared::outbound::Outbound;
use shared::time::Clock;
use tokio::sync::watch;

use crate::attempt::{Failure, Outcome};
use crate::job::Progress;
use crate::name::JobType;
use http_request::HttpRequest;
use noop::Noop;
use sleep::Sleep;

/// The largest result in bytes of JSON.
pub const LARGEST_RESULT: usize = 16 * 1024;

/// A kind of work.
pub trait Handler: Send + Sync + 'static {
    /// The type of its jobs.
    const TYPE: &'static str;
    /// What its jobs are about.
    type Payload: DeserializeOwned + Send;
    /// What comes of them: at most [`LARGEST_RESULT`].
    type Result: Serialize;

    /// Rules of the payload beyond its type, each broken one as a field error.
    fn check(_payload: &Self::Payload) -> Vec<FieldError> {
        Vec::new()
    }

    /// Does the work once. It is dropped at its time-out, and when it goes on after it was asked to stop.
    fn run(&self, payload: Self::Payload, work: &Work) -> impl Future<Output = Result<Self::Result, Failed>> + Send;
}

/// Why the work was not done.
#[derive(Debug)]
pub enum Failed {
    /// Another attempt may do it, after this wait at least.
    Retry(Failure, Option<Duration>),
    /// No attempt can.
    Poison(Failure),
    /// It stopped because it was asked to.
    Stopped,
}

/// An attempt, as the work sees it.
#[derive(Debug)]
pub struct Work {
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How long it may take.
    pub time: Duration,
    progress: watch::Sender<Option<Progress>>,
    stop: watch::Receiver<bool>,
}

impl Work {
    /// An attempt that tells of its progress by `progress` and is told to stop by `stop`.
    pub const fn new(
        attempt: u32,
        time: Duration,
        progress: watch::Sender<Option<Progress>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self { attempt, time, progress, stop }
    }

    /// Tells how far it is, from 0 to 1. It is seen with the next heartbeat.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        let progress = Progress { fraction: fraction.clamp(0.0, 1.0), message: Some(message.into()) };
        self.progress.send_replace(Some(progress));
    }

    /// Ends when the work is asked to stop.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A type of job that is built in, and how its payload is checked.
struct BuiltIn {
    kind: &'static str,
    check: fn(&RawValue) -> Result<(), Problem>,
}

const fn built_in<H: Handler>() -> BuiltIn {
    BuiltIn { kind: H::TYPE, check: check::<H> }
}

/// All of them.
const BUILT_IN: &[BuiltIn] = &[built_in::<HttpRequest>(), built_in::<Noop>(), built_in::<Sleep>()];

fn check<H: Handler>(payload: &RawValue) -> Result<(), Problem> {
    let payload: H::Payload = parse_json(payload.get().as_bytes()).map_err(|problem| problem.below("/payload"))?;
    let faults = H::check(&payload);
    if faults.is_empty() { Ok(()) } else { Err(Problem::validation(faults).below("/payload")) }
}

/// Whether there is a handler for this type.
pub fn is_built_in(kind: &JobType) -> bool {
    BUILT_IN.iter().any(|built_in| built_in.kind == kind.as_str())
}

/// Refuses a payload that the handler of this type could not read. Types that are not built in take any.
pub fn check_payload(kind: &JobType, payload: &RawValue) -> Result<(), Problem> {
    match BUILT_IN.iter().find(|built_in| built_in.kind == kind.as_str()) {
        Some(built_in) => (built_in.check)(payload),
        None => Ok(()),
    }
}

/// A handler whose payload and result are JSON.
trait Run: Send + Sync {
    fn run<'a>(&'a self, payload: &'a str, work: &'a Work) -> BoxFuture<'a, Outcome>;
}

impl<H: Handler> Run for H {
    fn run<'a>(&'a self, payload: &'a str, work: &'a Work) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let payload = match serde_json::from_str(payload) {
                Ok(payload) => payload,
                Err(error) => return Outcome::poison(Failure::new("payload", error.to_string())),
            };
            match Handler::run(self, payload, work).await {
                Ok(result) => done(&result),
                Err(failed) => failed.into(),
            }
        })
    }
}

fn done<R: Serialize>(result: &R) -> Outcome {
    match serde_json::to_string(result) {
        Ok(result) if result.len() > LARGEST_RESULT => {
            Outcome::poison(Failure::new("result", format!("the result is over {LARGEST_RESULT} bytes")))
        }
        Ok(result) => Outcome::Succeeded(Some(result).filter(|result| result != "null")),
        Err(error) => Outcome::poison(Failure::new("result", error.to_string())),
    }
}

/// The handlers, ready to work.
pub struct Handlers(BTreeMap<&'static str, Box<dyn Run>>);

impl std::fmt::Debug for Handlers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Handlers {
    /// All handlers, those that call out by `outbound`.
    pub fn new(outbound: Outbound, clock: Clock) -> Self {
        let mut all: BTreeMap<&'static str, Box<dyn Run>> = BTreeMap::new();
        all.insert(HttpRequest::TYPE, Box::new(HttpRequest::new(outbound, clock)));
        all.insert(Noop::TYPE, Box::new(Noop));
        all.insert(Sleep::TYPE, Box::new(Sleep));
        Self(all)
    }

    /// Does a job of this type.
    pub async fn run(&self, kind: &JobType, payload: &str, work: &Work) -> Outcome {
        match self.0.get(kind.as_str()) {
            Some(handler) => handler.run(payload, work).await,
            None => Outcome::poison(Failure::new("unknown_type", format!("there is no handler for {kind}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_type_has_its_handler() {
        let handlers = Handlers::new(Outbound::new(shared::outbound::Settings::default()), Clock::system());
        let kinds: Vec<_> = BUILT_IN.iter().map(|built_in| built_in.kind).collect();
        assert_eq!(kinds, handlers.0.keys().copied().collect::<Vec<_>>());
    }
}
