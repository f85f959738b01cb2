//! What Lambda's event source mappings are when deployed: one poller for each queue and stream of the template, which
//! hands batches to its function and settles them by the answer.

mod batch;
pub(crate) mod filter;
mod position;
mod queue;
mod stream;

use std::path::Path;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clients::Clients;
use crate::instances::Instance;
use crate::running::Running;
use crate::template::{Scope, TemplateError, Trigger};

/// What invokes an instance; tests put something simpler in its place.
pub(crate) trait Target: Send + Sync + 'static {
    /// Handles one event; `None` is any failure.
    fn handle(&self, event: Box<RawValue>) -> impl Future<Output = Option<Box<RawValue>>> + Send;
}

impl Target for Instance {
    async fn handle(&self, event: Box<RawValue>) -> Option<Box<RawValue>> {
        self.invoke(event).await.inspect_err(|error| self.report(error)).ok()
    }
}

/// The pollers that run.
#[derive(Debug, Default)]
pub(crate) struct Pollers {
    /// Those of the queues.
    pub(crate) queues: JoinSet<()>,
    /// Those of the streams.
    pub(crate) streams: JoinSet<()>,
}

/// When pollers end.
#[derive(Clone, Debug)]
pub(crate) struct Stopping {
    /// The queues' pollers take no more messages when this turns true; what they have handed over is settled.
    pub(crate) queues: watch::Receiver<bool>,
    /// The streams' pollers read to the end and stop when this turns true, so it does when nothing writes any more.
    pub(crate) streams: watch::Receiver<bool>,
}

/// Starts the pollers of `instances`.
pub(crate) fn start(
    instances: &[Arc<Instance>],
    clients: &Clients,
    scope: &Scope,
    data: &Path,
    running: &Running,
    stopping: &Stopping,
) -> Result<Pollers, TemplateError> {
    let mut pollers = Pollers::default();
    for instance in instances {
        for trigger in &instance.declared.triggers {
            match trigger {
                Trigger::Queue(settings) => {
                    let queue = scope.resource(&settings.queue)?.clone();
                    let poller = queue::Poller {
                        settings: settings.clone(),
                        queue,
                        sqs: clients.sqs.clone(),
                        target: instance.clone(),
                        running: running.clone(),
                    };
                    pollers.queues.spawn(poller.run(stopping.queues.clone()));
                }
                Trigger::Stream(settings) => {
                    let on_failure = settings.on_failure.as_ref();
                    let poller = stream::Poller {
                        settings: settings.clone(),
                        stream: stream_arn(scope, &settings.table)?,
                        on_failure: on_failure.map(|queue| scope.resource(queue)).transpose()?.map(|q| q.id.clone()),
                        clients: clients.clone(),
                        target: instance.clone(),
                        function_arn: instance.declared.arn(),
                        positions: data.join("streams").join(format!("{}.json", instance.declared.logical_id)),
                    };
                    pollers.streams.spawn(poller.run(stopping.streams.clone()));
                }
                Trigger::Http(_) | Trigger::Schedule(_) => {}
            }
        }
    }
    Ok(pollers)
}

fn stream_arn(scope: &Scope, table: &str) -> Result<String, TemplateError> {
    let arn = scope.resource(table)?.attributes.get("StreamArn");
    arn.cloned().ok_or_else(|| TemplateError::invalid(table, "has no stream"))
}
