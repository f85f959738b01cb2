//! The functions, built in this process from the same code that their Lambdas run, and invoked as Lambda would:
//! with a deadline, one failure at a time, and what they deferred done after the answer.
//!
//! One difference is kept on purpose: Lambda gives an instance one event at a time and starts more instances when
//! more events come; here one instance of each function handles all of its events at once.

mod environment;

use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use lambda_runtime::Context;
use serde_json::value::RawValue;
use shared::config::Environment;
use shared::lambda::{Function, Runtime, Service};
use tokio::sync::oneshot;

pub(crate) use environment::{Addresses, environment_of, parameters, parameters_at};

use crate::running::Running;
use crate::template::DeclaredFunction;
use crate::terminal;

/// The most that a function may be sent and may answer, in bytes
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub(crate) const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

/// The services whose functions the template may name. Whoever starts a stack passes them in, so that this crate
/// depends on no service.
pub type Functions = &'static [&'static Service];

/// One function, ready.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) declared: DeclaredFunction,
    pub(crate) environment: Environment,
    function: Function,
    running: Running,
}

/// Why an invocation gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The function's own failure.
    #[error("{handler} failed: {message}")]
    Failed {
        /// Which function.
        handler: String,
        /// Its error with its causes.
        message: String,
    },
    /// It panicked.
    #[error("{0} panicked")]
    Panicked(String),
    /// It ran longer than its `Timeout`.
    #[error("{handler} did not answer within its time-out of {} s", timeout.as_secs())]
    TimedOut {
        /// Which function.
        handler: String,
        /// Its time-out.
        timeout: Duration,
    },
    /// The event is over Lambda's limit of 6 MB.
    #[error("the event for {0} is over 6 MB")]
    EventTooLarge(String),
    /// The answer is over Lambda's limit of 6 MB.
    #[error("the answer of {0} is over 6 MB")]
    AnswerTooLarge(String),
}

/// How many events one instance is told to expect at once, as it stands for all that Lambda would start.
const CONCURRENCY: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// Builds the function called `handler`, of whichever service it is.
async fn build(functions: Functions, handler: &str, environment: Environment) -> anyhow::Result<Function> {
    let name = handler.split('.').next().unwrap_or_default();
    let service = functions.iter().find(|service| service.name == name);
    let service = service.ok_or_else(|| anyhow::anyhow!("template.yaml: no service has the function {handler:?}"))?;
    let runtime = |name| Ok(Runtime { concurrency: CONCURRENCY, ..Runtime::new(name, environment.collecting())? });
    Ok(service.build_with(handler, runtime).await?)
}

impl Instance {
    /// Builds the one of `functions` that `declared` names. With `policies` it calls AWS as the user that is deployed for
    /// it, who may do what its policies allow; else, as its environment says, as the one who may do all.
    pub(crate) async fn start(
        functions: Functions,
        declared: DeclaredFunction,
        environment: Environment,
        policies: bool,
        running: Running,
    ) -> anyhow::Result<Arc<Self>> {
        let own =
            if policies { environment.with("AWS_ACCESS_KEY_ID", &declared.logical_id) } else { environment.clone() };
        let function = build(functions, &declared.handler, own).await?;
        Ok(Arc::new(Self::of(declared, environment, function, running)))
    }

    /// An instance of a function that has been built.
    pub(crate) fn of(
        declared: DeclaredFunction,
        environment: Environment,
        function: Function,
        running: Running,
    ) -> Self {
        Self { declared, environment, function, running }
    }

    /// Handles one event within the function's time-out. It runs to its end also when the caller stops waiting.
    pub(crate) async fn invoke(&self, event: Box<RawValue>) -> Result<Box<RawValue>, InvokeError> {
        let handler = self.declared.handler.clone();
        if event.get().len() > PAYLOAD_LIMIT {
            return Err(InvokeError::EventTooLarge(handler));
        }
        let (function, running, timeout) = (self.function.clone(), self.running.begin(), self.declared.timeout);
        let context = self.context();
        let (answered, answer) = oneshot::channel();
        let name = handler.clone();
        tokio::spawn(async move {
            let work = tokio::time::timeout(timeout, function.invoke(event, context));
            let result = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(Ok(Ok(answer))) if answer.get().len() > PAYLOAD_LIMIT => Err(InvokeError::AnswerTooLarge(name)),
                Ok(Ok(Ok(answer))) => Ok(answer),
                Ok(Ok(Err(error))) => {
                    Err(InvokeError::Failed { handler: name, message: shared::telemetry::chain(&*error) })
                }
                Ok(Err(_)) => Err(InvokeError::TimedOut { handler: name, timeout }),
                Err(_) => Err(InvokeError::Panicked(name)),
            };
            let _ = answered.send(result);
            if AssertUnwindSafe(function.after_response()).catch_unwind().await.is_err() {
                tracing::error!("work that was deferred until after the answer panicked");
            }
            drop(running);
        });
        let result = answer.await.unwrap_or(Err(InvokeError::Panicked(handler)));
        if let Err(error) = &result {
            tracing::error!(%error, function = self.declared.handler, "an invocation failed");
        }
        result
    }

    /// Says in the terminal that an invocation which nobody waits for has failed.
    pub(crate) fn report(&self, error: &InvokeError) {
        terminal::note(&format!("{}: {error}", self.declared.handler));
    }

    fn context(&self) -> Context {
        let mut context = Context::default();
        let now = shared::time::Clock::system().now().as_millisecond();
        let timeout = i64::try_from(self.declared.timeout.as_millis()).unwrap_or(i64::MAX);
        context.deadline = u64::try_from(now.saturating_add(timeout)).unwrap_or_default();
        context.request_id = crate::request_id::fresh();
        context.invoked_function_arn = self.declared.arn();
        context
    }
}
