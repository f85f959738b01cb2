//! `links.clicks`: counts the clicks that the redirect sends.

use std::time::Duration;

use shared::dynamo::Dynamo;
use shared::lambda::{ConsumeError, Consumer, Function, QueueSettings, Received, Runtime};
use shared::random::Random;
use shared::{BoxError, BoxFuture};

use crate::click::Click;
use crate::store::{LinkStore, WriteError};

/// How often a count is tried when other counts of the same link are in its way, before the queue brings it again.
const ATTEMPTS: u32 = 6;

struct Clicks {
    links: LinkStore,
    random: Random,
}

impl Consumer for Clicks {
    type Message = Click;

    async fn consume(&self, message: Received<Click>) -> Result<(), ConsumeError> {
        let mut attempt = 1;
        loop {
            match self.links.count(&message.body).await {
                Err(WriteError::Conflict) if attempt < ATTEMPTS => {
                    tokio::time::sleep(self.pause(attempt)).await;
                    attempt += 1;
                }
                counted => return counted.map(|_| ()).map_err(ConsumeError::from),
            }
        }
    }
}

impl Clicks {
    /// Full jitter: up to 10 ms, doubled with each attempt
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
        Ok(Function::queue(&runtime, settings, Clicks { links, random: runtime.random.clone() }))
    })
}
