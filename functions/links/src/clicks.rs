//! `links.clicks`: counts the clicks that the redirect sends, those of one link and day together.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};
use shared::dynamo::Dynamo;
use shared::lambda::{BatchConsumer, ConsumeError, Function, QueueSettings, Received, Runtime};
use shared::time::Clock;
use shared::{BoxError, BoxFuture};

use crate::click::Click;
use crate::store::LinkStore;
use crate::store::counting::MOST_TOGETHER;

/// How many links are counted at once.
const CONCURRENCY: usize = 10;

/// The messages that were not counted, by their place in the batch, and why.
type Failures = BTreeMap<usize, String>;

struct Clicks {
    links: LinkStore,
    clock: Clock,
}

impl BatchConsumer for Clicks {
    type Message = Click;

    async fn consume(&self, messages: Vec<Received<Click>>) -> Vec<Result<(), ConsumeError>> {
        let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            let click = &message.body;
            groups.entry((click.tenant_id, click.link_id, click.day)).or_default().push(index);
        }
        let messages = &messages;
        // Boxed one by one: a stream of closures over borrowed messages does not satisfy the compiler's Send check.
        let work: Vec<BoxFuture<'_, Failures>> = groups
            .into_values()
            .map(|indexes| -> BoxFuture<'_, _> { Box::pin(self.count_group(messages, indexes)) })
            .collect();
        let counted: Vec<Failures> = stream::iter(work).buffer_unordered(CONCURRENCY).collect().await;
        let mut failures: Failures = counted.into_iter().flatten().collect();
        (0..messages.len())
            .map(|at| failures.remove(&at).map_or(Ok(()), |reason| Err(ConsumeError::Retry(reason.into()))))
            .collect()
    }
}

impl Clicks {
    /// Counts the clicks of one link and day, part after part: at once they would be in one another's way.
    async fn count_group(&self, messages: &[Received<Click>], indexes: Vec<usize>) -> Failures {
        let mut failures = Failures::new();
        for part in indexes.chunks(MOST_TOGETHER) {
            let clicks: Vec<_> = part.iter().filter_map(|at| Some(&messages.get(*at)?.body)).collect();
            if let Err(error) = self.links.count(&clicks, self.clock.now()).await {
                let reason = shared::telemetry::chain(&error);
                failures.extend(part.iter().map(|at| (*at, reason.clone())));
            }
        }
        failures
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("LINKS_TABLE");
        reader.finish()?;
        let settings = QueueSettings::read(&runtime.environment, "CLICKS")?;
        let links = LinkStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table);
        Ok(Function::batches(&runtime, settings, Clicks { links, clock: runtime.clock.clone() }))
    })
}
