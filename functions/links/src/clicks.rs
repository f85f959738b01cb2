//! `links.clicks`: counts the clicks that the redirect sends, those of one link and day together.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use shared::dynamo::Dynamo;
use shared::lambda::{BatchConsumer, ConsumeError, Function, QueueSettings, Received, Runtime};
use shared::random::Random;
use shared::{BoxError, BoxFuture};

use crate::click::Click;
use crate::store::counting::MOST_TOGETHER;
use crate::store::{LinkStore, WriteError};

/// How often a count is tried when other counts of the same link are in its way, before the queue brings it again.
const ATTEMPTS: u32 = 6;

/// How many links are counted at once.
const CONCURRENCY: usize = 10;

/// The messages of a group, by their place in the batch, and whether they were counted.
type Counted<'a> = (&'a [usize], Result<(), WriteError>);

struct Clicks {
    links: LinkStore,
    random: Random,
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
        let work: Vec<BoxFuture<'_, Counted<'_>>> = groups
            .values()
            .flat_map(|indexes| indexes.chunks(MOST_TOGETHER))
            .map(|indexes| -> BoxFuture<'_, _> {
                let clicks: Vec<_> = indexes.iter().filter_map(|at| Some(&messages.get(*at)?.body)).collect();
                Box::pin(async move { (indexes, self.count(&clicks).await) })
            })
            .collect();
        let mut counted = stream::iter(work).buffer_unordered(CONCURRENCY);
        let mut failures = BTreeMap::new();
        while let Some((indexes, outcome)) = counted.next().await {
            if let Err(error) = outcome {
                let reason = shared::telemetry::chain(&error);
                failures.extend(indexes.iter().map(|at| (*at, reason.clone())));
            }
        }
        (0..messages.len())
            .map(|at| failures.remove(&at).map_or(Ok(()), |reason| Err(ConsumeError::Retry(reason.into()))))
            .collect()
    }
}

impl Clicks {
    async fn count(&self, clicks: &[&Click]) -> Result<(), WriteError> {
        let mut attempt = 1;
        loop {
            match self.links.count(clicks).await {
                Err(WriteError::Conflict) if attempt < ATTEMPTS => {
                    tokio::time::sleep(self.pause(attempt)).await;
                    attempt += 1;
                }
                counted => return counted,
            }
        }
    }

    /// Full jitter: up to 20 ms, doubled with each attempt
    /// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
    fn pause(&self, attempt: u32) -> Duration {
        let [random] = self.random.bytes::<1>();
        Duration::from_millis(10 << attempt.min(6)) * u32::from(random) / 256
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("LINKS_TABLE");
        reader.finish()?;
        let settings = QueueSettings::read(&runtime.environment, "CLICKS")?;
        let links = LinkStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table);
        Ok(Function::batches(&runtime, settings, Clicks { links, random: runtime.random.clone() }))
    })
}
