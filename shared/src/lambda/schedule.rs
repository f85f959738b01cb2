//! A function that a schedule fires.

use lambda_runtime::Context;
use serde_json::value::RawValue;

use super::{Invoke, Runtime};
use crate::time::{Clock, Timestamp};
use crate::{BoxError, BoxFuture};

/// One firing of a schedule.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The time the task works by: the clock's when it was fired.
    pub now: Timestamp,
    /// How long the task may run. It stops taking work well before.
    pub remaining: std::time::Duration,
}

/// What a schedule runs. Two ticks may run at once and a tick may come twice: the task is idempotent.
pub trait Task: Send + Sync + 'static {
    /// Does the work of one tick. An error is logged and counted as the function's error; the next tick tries again.
    fn run(&self, tick: Tick) -> impl Future<Output = Result<(), BoxError>> + Send;
}

pub(super) struct Schedule<T> {
    clock: Clock,
    task: T,
}

impl<T> Schedule<T> {
    pub(super) fn new(runtime: &Runtime, task: T) -> Self {
        Self { clock: runtime.clock.clone(), task }
    }
}

impl<T: Task> Invoke for Schedule<T> {
    fn invoke(&self, _event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let tick = Tick { now: self.clock.now(), remaining: super::remaining(&context) };
            self.task.run(tick).await?;
            Ok(RawValue::NULL.to_owned())
        })
    }
}
