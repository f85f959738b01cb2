//! A queue's consumer: typed messages, partial batch failures, visibility kept while work goes on, a stop before the
//! deadline, and poison to the dead-letter queue with its reason.
//!
//! A [`Consumer`] gets one message at a time. A [`BatchConsumer`] gets all of a batch at once, for work that is cheaper
//! done together; it answers for each message all the same.
//!
//! Each message has one line in the log, with the trace that its attribute `traceparent` continues, or a new one. The work
//! on one message is part of that trace; the work on a batch, whose messages may be of many, is part of none.

mod delivery;
mod singly;
mod together;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use lambda_runtime::Context;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

pub use self::delivery::unreadable;
use self::delivery::{Delivery, Outcome};
use super::{Invoke, Runtime, SETTLE_MARGIN, STOP_MARGIN};
use crate::config::{ConfigError, Environment};
use crate::{BoxError, BoxFuture};

/// How many messages of a batch are worked on, or settled, at once.
const CONCURRENCY: usize = 10;

/// A message that is being worked on.
#[derive(Debug)]
pub struct Received<M> {
    /// The message.
    pub body: M,
    /// SQS's id of it; the same for each delivery of one send.
    pub message_id: String,
    /// How often it was delivered, this time included.
    pub attempt: u32,
    /// How long the work may take.
    pub remaining: Duration,
}

/// What consumes a queue, one message at a time.
pub trait Consumer: Send + Sync + 'static {
    /// The message, as JSON.
    type Message: DeserializeOwned + Send;

    /// Handles one message. It may come more than once and out of order.
    fn consume(&self, message: Received<Self::Message>) -> impl Future<Output = Result<(), ConsumeError>> + Send;
}

/// What consumes a queue, a batch at a time.
pub trait BatchConsumer: Send + Sync + 'static {
    /// The message, as JSON.
    type Message: DeserializeOwned + Send;

    /// Handles messages that came together, at most a batch. Each may come more than once, also in one batch, and out
    /// of order. Answers for each message, in their order; a message without an answer is tried again.
    fn consume(
        &self,
        messages: Vec<Received<Self::Message>>,
    ) -> impl Future<Output = Vec<Result<(), ConsumeError>>> + Send;
}

/// Why a message was not handled. It is no [`std::error::Error`] itself, so that any error turns into one by `?`.
#[derive(Debug)]
pub enum ConsumeError {
    /// It may succeed later: it comes again after the visibility time-out, and after the queue's `maxReceiveCount` it
    /// goes to the dead-letter queue.
    Retry(BoxError),
    /// It can never succeed, for this reason: it goes to the dead-letter queue at once.
    Poison(String),
}

impl<E: Into<BoxError>> From<E> for ConsumeError {
    fn from(error: E) -> Self {
        Self::Retry(error.into())
    }
}

/// The queue of a consumer.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// None where SQS is out of reach.
    addresses: Option<Addresses>,
    /// How long a message stays invisible without a sign of life.
    visibility: Duration,
    /// Whether that is less than the queue's own time-out, so that each message is given it when it comes.
    shortened: bool,
}

/// Where the queue and its dead-letter queue are.
#[derive(Clone, Debug)]
struct Addresses {
    queue: String,
    dead_letters: String,
}

impl QueueSettings {
    /// For a consumer inside a VPC, which reaches neither the queue nor its dead-letter queue: Lambda itself polls and
    /// deletes for it. Its work ends within the queue's visibility time-out, and poison is set aside by the redrive
    /// policy, after `maxReceiveCount` tries.
    pub const fn out_of_reach() -> Self {
        Self { addresses: None, visibility: Duration::MAX, shortened: false }
    }

    /// Reads `{prefix}_QUEUE_URL`, `{prefix}_DEAD_LETTER_URL` and `{prefix}_VISIBILITY_SECONDS`, the queue's own time-out.
    pub fn read(environment: &Environment, prefix: &str) -> Result<Self, ConfigError> {
        let mut reader = environment.reader();
        let addresses = Addresses {
            queue: reader.required(&format!("{prefix}_QUEUE_URL")),
            dead_letters: reader.required(&format!("{prefix}_DEAD_LETTER_URL")),
        };
        let settings = Self {
            addresses: Some(addresses),
            visibility: Duration::from_secs(reader.required(&format!("{prefix}_VISIBILITY_SECONDS"))),
            shortened: false,
        };
        reader.finish()?;
        Ok(settings)
    }

    /// The same, with so much visibility at a time for each message that is worked on: what a killed instance held comes
    /// again sooner than after the queue's own time-out. It costs a call for each batch.
    pub fn with_lease(self, lease: Duration) -> Self {
        if lease < self.visibility { Self { visibility: lease, shortened: true, ..self } } else { self }
    }
}

/// A queue and what works on its batches.
pub(super) struct Queue {
    delivery: Delivery,
    worker: Box<dyn Worker>,
}

/// Messages that came together.
struct Batch {
    messages: Vec<SqsMessage>,
    /// By the same index, whether its work has failed.
    failed: Vec<AtomicBool>,
}

impl Batch {
    fn new(messages: Vec<SqsMessage>) -> Self {
        let failed = messages.iter().map(|_| AtomicBool::new(false)).collect();
        Self { messages, failed }
    }

    /// Notes that a message failed, for as long as others are still worked on.
    fn note_failed(&self, index: usize) {
        if let Some(failed) = self.failed.get(index) {
            failed.store(true, Ordering::Relaxed);
        }
    }

    /// Those that are not to come again yet: what is done is deleted with the whole batch only.
    fn held(&self) -> impl Iterator<Item = &SqsMessage> {
        self.messages
            .iter()
            .zip(&self.failed)
            .filter(|(_, failed)| !failed.load(Ordering::Relaxed))
            .map(|(held, _)| held)
    }
}

/// Works on a batch: one implementation for each trait above.
trait Worker: Send + Sync {
    /// What became of each message, by its index.
    fn work<'a>(
        &'a self,
        delivery: &'a Delivery,
        batch: &'a Batch,
        budget: Duration,
    ) -> BoxFuture<'a, Vec<(usize, Outcome)>>;
}

impl Queue {
    pub(super) fn singly<C: Consumer>(runtime: &Runtime, settings: QueueSettings, consumer: C) -> Self {
        Self { delivery: Delivery::new(runtime, settings), worker: Box::new(singly::Singly(consumer)) }
    }

    pub(super) fn together<C: BatchConsumer>(runtime: &Runtime, settings: QueueSettings, consumer: C) -> Self {
        Self { delivery: Delivery::new(runtime, settings), worker: Box::new(together::Together(consumer)) }
    }
}

impl Invoke for Queue {
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let event: SqsEvent = serde_json::from_str(event.get())?;
            let batch = Batch::new(event.records);
            let outcomes = tokio::select! {
                outcomes = self.worker.work(&self.delivery, &batch, super::remaining(&context)) => outcomes,
                () = self.delivery.keep_invisible(&batch) => Vec::new(),
            };
            let messages = &batch.messages;
            let failed = |wanted: fn(bool) -> bool| {
                outcomes.iter().filter_map(move |(index, outcome)| match outcome {
                    Outcome::Failed { later } if wanted(*later) => Some(*index),
                    _ => None,
                })
            };
            let not_begun = failed(|later| later).filter_map(|index| messages.get(index));
            self.delivery.change_visibility(not_begun, Duration::ZERO).await;
            let failures: Vec<_> = failed(|_| true)
                .filter_map(|index| messages.get(index))
                .map(|message| json!({"itemIdentifier": message.message_id}))
                .collect();
            Ok(to_raw_value(&json!({ "batchItemFailures": failures }))?)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Counter;

    impl Consumer for Counter {
        type Message = u32;

        async fn consume(&self, message: Received<u32>) -> Result<(), ConsumeError> {
            match message.body {
                0 => panic!("zero"),
                1 => Err(ConsumeError::Retry("one".into())),
                _ => Ok(()),
            }
        }
    }

    impl BatchConsumer for Counter {
        type Message = u32;

        async fn consume(&self, messages: Vec<Received<u32>>) -> Vec<Result<(), ConsumeError>> {
            let answer = |message: Received<u32>| match message.body {
                0 => panic!("zero"),
                1 => Err(ConsumeError::Retry("one".into())),
                _ => Ok(()),
            };
            // The last message is left without an answer.
            let answered = messages.len() - 1;
            messages.into_iter().take(answered).map(answer).collect()
        }
    }

    fn runtime() -> (Runtime, QueueSettings) {
        let names = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "A_QUEUE_URL", "A_DEAD_LETTER_URL"];
        let environment: Environment = names
            .map(|name| (name.to_owned(), "x".to_owned()))
            .into_iter()
            .chain([("A_VISIBILITY_SECONDS".to_owned(), "60".to_owned())])
            .collect();
        let settings = QueueSettings::read(&environment, "A").unwrap();
        let runtime = Runtime::new("a.b", environment).unwrap();
        (runtime, settings)
    }

    /// The ids of the messages that `queue` reports as failed, of messages with these bodies.
    async fn failed(queue: &Queue, bodies: &[u32]) -> Vec<String> {
        let records: Vec<_> =
            bodies.iter().map(|body| json!({"messageId": format!("m{body}"), "body": body.to_string()})).collect();
        let event = to_raw_value(&json!({ "Records": records })).unwrap();
        let answer = queue.invoke(event, Context::default()).await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(answer.get()).unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap();
        let mut ids: Vec<_> =
            failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }

    #[tokio::test]
    async fn a_failure_or_panic_fails_its_own_message_alone() {
        let (runtime, settings) = runtime();
        let queue = Queue::singly(&runtime, settings, Counter);
        assert_eq!(failed(&queue, &[0, 1, 2, 3]).await, ["m0", "m1"]);
    }

    #[test]
    fn what_cannot_be_read_is_told_without_what_it_says() {
        let told = |text: &str| unreadable(&serde_json::from_str::<u32>(text).unwrap_err());
        assert_eq!(told("\n \"ann@example.com\""), "other JSON than expected at line 2 column 18");
        assert_eq!(told("ann@example.com"), "no JSON at line 1 column 1");
        assert_eq!(told(""), "an early end at line 1 column 0");
    }

    #[tokio::test]
    async fn a_consumer_out_of_reach_leaves_poison_to_the_redrive_policy() {
        let (runtime, _) = runtime();
        let queue = Queue::singly(&runtime, QueueSettings::out_of_reach(), Counter);
        assert_eq!(failed(&queue, &[1, 2]).await, ["m1"]);
        let event = json!({"Records": [{"messageId": "m", "body": "no number"}]});
        let answer = queue.invoke(to_raw_value(&event).unwrap(), Context::default()).await.unwrap();
        assert_eq!(answer.get(), r#"{"batchItemFailures":[{"itemIdentifier":"m"}]}"#);
    }

    /// Notes how long after the making of this it gets its batch, and never ends.
    struct Hanging(tokio::time::Instant, Arc<Mutex<Vec<(usize, Duration)>>>);

    impl BatchConsumer for Hanging {
        type Message = u32;

        async fn consume(&self, messages: Vec<Received<u32>>) -> Vec<Result<(), ConsumeError>> {
            self.1.lock().unwrap().push((messages.len(), self.0.elapsed()));
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn poison_that_nobody_takes_delays_no_work_and_no_answer() {
        // It takes connections and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", silent.local_addr().unwrap());
        let (runtime, settings) = runtime();
        let runtime = Runtime::new("a.b", runtime.environment.with("AWS_ENDPOINT_URL", &endpoint)).unwrap();
        let (began, batches) = (tokio::time::Instant::now(), Arc::default());
        let queue = Queue::together(&runtime, settings, Hanging(began, Arc::clone(&batches)));

        let bodies = (0..20).map(|number| if number == 7 { number.to_string() } else { "no number".to_owned() });
        let records: Vec<_> = bodies.map(|body| json!({"messageId": body, "body": body})).collect();
        let event = to_raw_value(&json!({ "Records": records })).unwrap();
        // The function has a minute.
        let answer = queue.invoke(event, Context::default()).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 59);
        assert_eq!(*batches.lock().unwrap(), [(1, Duration::ZERO)]);
        let answer: serde_json::Value = serde_json::from_str(answer.get()).unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 20, "all come again");
    }

    #[tokio::test]
    async fn a_batch_consumer_answers_for_each_message() {
        let (runtime, settings) = runtime();
        let queue = Queue::together(&runtime, settings, Counter);
        assert_eq!(failed(&queue, &[1, 2, 3]).await, ["m1", "m3"]);
        assert_eq!(failed(&queue, &[0, 2, 3]).await, ["m0", "m2", "m3"]);
    }
}
