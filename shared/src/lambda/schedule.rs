//! A function that a schedule fires. Each tick is a trace of its own, and a line in the log.

use std::time::{Duration, Instant};

use lambda_runtime::Context;
use serde_json::value::RawValue;

use super::{Invoke, Runtime};
use crate::random::Random;
use crate::telemetry::{TraceContext, chain};
use crate::time::{Clock, Timestamp};
use crate::{BoxError, BoxFuture};

/// One firing of a schedule.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The time the task works by: the clock's when it was fired.
    pub now: Timestamp,
    began: Instant,
    /// How long the task may run from then on.
    remaining: Duration,
}

impl Tick {
    /// A tick that fires at `now`, whose task may run for `remaining` from this call on.
    pub fn new(now: Timestamp, remaining: Duration) -> Self {
        Self { now, began: Instant::now(), remaining }
    }

    /// Whether more than `margin` of the function's time is left. A task asks before each piece of work that it begins,
    /// with a margin in which a piece certainly ends.
    pub fn has_time(&self, margin: Duration) -> bool {
        self.began.elapsed() + margin < self.remaining
    }
}

/// What a schedule runs. Two ticks may run at once and a tick may come twice: the task is idempotent.
pub trait Task: Send + Sync + 'static {
    /// Does the work of one tick. An error is logged and counted as the function's error; the next tick tries again.
    fn run(&self, tick: Tick) -> impl Future<Output = Result<(), BoxError>> + Send;
}

pub(super) struct Schedule<T> {
    function: &'static str,
    stage: String,
    clock: Clock,
    random: Random,
    task: T,
}

impl<T> Schedule<T> {
    pub(super) fn new(runtime: &Runtime, task: T) -> Self {
        Self {
            function: runtime.name,
            stage: runtime.environment.get("STAGE").unwrap_or_default().to_owned(),
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
            task,
        }
    }
}

impl<T: Task> Invoke for Schedule<T> {
    #[allow(clippy::cast_possible_truncation)] // a duration in microseconds fits
    fn invoke(&self, _event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let tick = Tick::new(self.clock.now(), super::remaining(&context));
            let trace = TraceContext::continue_or_start(None, &self.random);
            let done = trace.scope(self.task.run(tick)).await;
            tracing::info!(
                function = self.function,
                stage = self.stage,
                outcome = if done.is_ok() { "done" } else { "failed" },
                duration_us = tick.began.elapsed().as_micros() as u64,
                trace_id = trace.trace_id(),
                span_id = trace.span_id(),
                error = done.as_ref().err().map(|error| chain(&**error)),
                "tick"
            );
            done?;
            Ok(RawValue::NULL.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_begins_nothing_that_might_not_end() {
        let tick = |remaining| Tick::new(Timestamp::UNIX_EPOCH, remaining);
        let margin = Duration::from_secs(10);
        assert!(tick(Duration::from_mins(1)).has_time(margin));
        assert!(!tick(Duration::from_secs(9)).has_time(margin));
        assert!(!tick(Duration::ZERO).has_time(Duration::ZERO));
    }
}
