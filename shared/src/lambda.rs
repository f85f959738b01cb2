//! How a function runs, on Lambda and in the local stack alike.
//!
//! A service is a list of named functions ([`Service`]); each is built from a [`Runtime`] (its environment, clients,
//! clock) into a [`Function`], which is one of: HTTP ([`Function::http`]), a queue's consumer ([`Function::queue`],
//! [`Function::batches`]), a scheduled task ([`Function::schedule`]), a consumer of a table's stream
//! ([`Function::stream`], [`Function::stream_batches`]), or a plain event handler ([`Function::event`]). A service's
//! binary is one line, [`run`], which runs the function that `_HANDLER` names (`links.redirect`, or by one of its
//! endpoints `links.follow_link`); the local stack builds the same functions and calls [`Function::invoke`] with the same
//! events.

mod deferred;
mod http;
mod queue;
mod run;
mod schedule;
mod service;
mod stream;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::Context;
use serde_json::value::RawValue;

pub use deferred::Deferred;
pub use queue::{BatchConsumer, ConsumeError, Consumer, QueueSettings, Received, unreadable};
pub use run::run;
pub use schedule::{Task, Tick};
pub use service::{Build, Service, StartError};
pub use stream::{StreamBatchConsumer, StreamConsumer, StreamFailure, StreamRecord};

use crate::aws::Aws;
use crate::config::{ConfigError, Environment};
use crate::random::Random;
use crate::time::Clock;
use crate::{BoxError, BoxFuture};

/// Kept back from the function's time: work that has not begun by then is not begun.
const STOP_MARGIN: Duration = Duration::from_secs(3);

/// Kept back for what comes after the work: settling, and the answer. Work that has not ended by then has failed.
const SETTLE_MARGIN: Duration = Duration::from_secs(1);

/// Kept back for what comes after the work that was deferred: the line in the log, and the word that the instance rests.
const REST_MARGIN: Duration = Duration::from_millis(500);

/// What a function is built from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The full name, `links.api`, also where `Handler:` in the template names one of its endpoints.
    pub name: &'static str,
    /// The variables of this function.
    pub environment: Environment,
    /// The AWS clients.
    pub aws: Aws,
    /// The clock.
    pub clock: Clock,
    /// The source of randomness.
    pub random: Random,
    /// Work that is done after the answer has gone out.
    pub deferred: Deferred,
    /// How many events the instance may be given at once: one on Lambda, more where one instance stands for all.
    pub concurrency: NonZeroU32,
}

impl Runtime {
    /// A runtime with the system's clock and randomness.
    pub fn new(name: &'static str, environment: Environment) -> Result<Self, ConfigError> {
        let aws = Aws::new(&environment)?;
        Ok(Self {
            name,
            environment,
            aws,
            clock: Clock::system(),
            random: Random::system(),
            deferred: Deferred::default(),
            concurrency: NonZeroU32::MIN,
        })
    }

    /// The same with another clock: how a test reaches next year.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }
}

/// A function that is ready to be invoked. Clones share one instance.
#[derive(Clone)]
pub struct Function {
    kind: Arc<dyn Invoke>,
    deferred: Deferred,
}

/// The one operation of all kinds of function.
trait Invoke: Send + Sync {
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>>;
}

impl std::fmt::Debug for Function {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Function").finish_non_exhaustive()
    }
}

impl Function {
    /// Serves HTTP: API Gateway's events (payload format 2.0) go through the conventions of [`crate::http`] into
    /// `router`.
    pub fn http(runtime: &Runtime, router: axum::Router) -> Self {
        Self::of(runtime, http::Http::new(runtime, router))
    }

    /// The same, with the older versions of the routes that belong to a family of [`crate::http::versions`].
    ///
    /// # Errors
    /// When `IDENTITY_TABLE` is missing.
    pub fn versioned_http(runtime: &Runtime, router: axum::Router) -> Result<Self, ConfigError> {
        Ok(Self::of(runtime, http::Http::versioned(runtime, router)?))
    }

    /// Consumes a queue, one typed message at a time.
    pub fn queue<C: Consumer>(runtime: &Runtime, settings: QueueSettings, consumer: C) -> Self {
        Self::of(runtime, queue::Queue::singly(runtime, settings, consumer))
    }

    /// Consumes a queue, a batch of typed messages at a time.
    pub fn batches<C: BatchConsumer>(runtime: &Runtime, settings: QueueSettings, consumer: C) -> Self {
        Self::of(runtime, queue::Queue::together(runtime, settings, consumer))
    }

    /// Runs a task on a schedule.
    pub fn schedule<T: Task>(runtime: &Runtime, task: T) -> Self {
        Self::of(runtime, schedule::Schedule::new(runtime, task))
    }

    /// Consumes the stream of a DynamoDB table, in order, one record at a time.
    pub fn stream<C: StreamConsumer>(runtime: &Runtime, consumer: C) -> Self {
        Self::of(runtime, stream::Stream::new(runtime, stream::Singly(consumer)))
    }

    /// Consumes the stream of a DynamoDB table, in order, a batch of records at a time.
    pub fn stream_batches<C: StreamBatchConsumer>(runtime: &Runtime, consumer: C) -> Self {
        Self::of(runtime, stream::Stream::new(runtime, stream::Together(consumer)))
    }

    /// Handles an event of any other shape, as JSON.
    pub fn event<H, F>(deferred: Deferred, handler: H) -> Self
    where
        H: Fn(serde_json::Value, Context) -> F + Send + Sync + 'static,
        F: Future<Output = Result<serde_json::Value, BoxError>> + Send + 'static,
    {
        Self { kind: Arc::new(Plain(handler)), deferred }
    }

    fn of(runtime: &Runtime, kind: impl Invoke + 'static) -> Self {
        Self { kind: Arc::new(kind), deferred: runtime.deferred.clone() }
    }

    /// Handles one event.
    pub async fn invoke(&self, event: Box<RawValue>, context: Context) -> Result<Box<RawValue>, BoxError> {
        self.kind.invoke(event, context).await
    }

    /// Does what was deferred until after the answer. Whoever runs the function calls it once the answer is out.
    pub async fn after_response(&self) {
        self.deferred.flush().await;
    }

    /// The same before a deadline (milliseconds since the Unix epoch), at which the platform would kill the instance.
    pub async fn after_response_before(&self, deadline: u64) {
        self.deferred.flush_within(until(deadline).saturating_sub(REST_MARGIN)).await;
    }
}

struct Plain<H>(H);

impl<H, F> Invoke for Plain<H>
where
    H: Fn(serde_json::Value, Context) -> F + Send + Sync + 'static,
    F: Future<Output = Result<serde_json::Value, BoxError>> + Send + 'static,
{
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let answer = (self.0)(serde_json::from_str(event.get())?, context).await?;
            Ok(serde_json::value::to_raw_value(&answer)?)
        })
    }
}

/// How long an invocation may still run, by its context's deadline (milliseconds since the Unix epoch).
/// A context without a deadline has a minute: that of a direct call in a test, and of `cargo lambda watch`, which tells a
/// length of time where a time belongs.
pub fn remaining(context: &Context) -> Duration {
    until(context.deadline)
}

fn until(deadline: u64) -> Duration {
    // In September 2001; there was no Lambda before.
    if deadline < 1_000_000_000_000 {
        return Duration::from_mins(1);
    }
    // The deadline is the platform's wall clock; the injected clock has no part in it.
    let deadline = std::time::UNIX_EPOCH + Duration::from_millis(deadline);
    #[allow(clippy::disallowed_methods)]
    deadline.duration_since(std::time::SystemTime::now()).unwrap_or(Duration::ZERO)
}
