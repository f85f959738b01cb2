//! The whole of a service's `main`.

use std::process::ExitCode;
use std::time::Duration;

use lambda_extension::{Extension, NextEvent, service_fn as extension_fn};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::{Function, Runtime, Service};
use crate::config::Environment;
use crate::{BoxError, aws, telemetry};

/// How long a start waits for the connection to DynamoDB.
const CONNECT_PATIENCE: Duration = Duration::from_millis(1_500);

/// Runs the function of `service` that `_HANDLER` names, until Lambda ends the instance.
#[must_use]
pub fn run(service: &'static Service) -> ExitCode {
    telemetry::init_logs(std::io::stdout);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the async runtime did not start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(service)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = telemetry::chain(&*error), "the function ended");
            ExitCode::FAILURE
        }
    }
}

async fn serve(service: &'static Service) -> Result<(), BoxError> {
    let environment = Environment::of_process();
    let handler = environment.get("_HANDLER").unwrap_or_default().to_owned();
    let mut dynamo = None;
    let runtime_of = |name| {
        let runtime = Runtime::new(name, environment.collecting())?;
        dynamo = uses_dynamo(&environment).then(|| runtime.aws.dynamo.clone());
        Ok(runtime)
    };
    let function = service.build_with(&handler, runtime_of).await?;
    if let Some(dynamo) = dynamo {
        aws::connect(&dynamo, CONNECT_PATIENCE).await;
    }
    let answered = std::sync::Arc::new(Notify::new());
    register_extension(&function, &answered).await?;

    let flushed = function.clone();
    lambda_runtime::spawn_graceful_shutdown_handler(move || async move { flushed.after_response().await }).await;

    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let answered = Answered(answered.clone());
        let function = &function;
        async move {
            let answer = function.invoke(event.payload, event.context).await;
            drop(answered);
            answer
        }
    }))
    .await
}

/// Whether the function has a table.
fn uses_dynamo(environment: &Environment) -> bool {
    environment.iter().any(|(name, value)| name.ends_with("_TABLE") && !value.is_empty())
}

/// Tells the extension that the handler has ended, also when it panicked.
struct Answered(std::sync::Arc<Notify>);

impl Drop for Answered {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// An internal extension is told of each invocation, and Lambda freezes the instance only when both it and the
/// handler are done. So the work deferred by the handler runs after the answer has gone to the caller
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>).
async fn register_extension(function: &Function, answered: &std::sync::Arc<Notify>) -> Result<(), BoxError> {
    let (function, answered) = (function.clone(), answered.clone());
    let processor = extension_fn(move |event: lambda_extension::LambdaEvent| {
        let (function, answered) = (function.clone(), answered.clone());
        async move {
            if let NextEvent::Invoke(invocation) = event.next {
                answered.notified().await;
                function.after_response_before(invocation.deadline_ms).await;
            }
            Ok::<_, BoxError>(())
        }
    });
    let extension = Extension::new()
        .with_extension_name("tenfold-deferred")
        .with_events(&["INVOKE"])
        .with_events_processor(processor)
        .register()
        .await?;
    tokio::spawn(async move {
        if let Err(error) = extension.run().await {
            tracing::error!(%error, "the extension ended; deferred work waits for the next shutdown");
        }
    });
    Ok(())
}
