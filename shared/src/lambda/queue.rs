//! A queue's consumer: one typed message at a time, partial batch failures, visibility kept while work goes on, a stop
//! before the deadline, and poison to the dead-letter queue with its reason.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue};
use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use lambda_runtime::Context;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::{Invoke, Runtime};
use crate::config::{ConfigError, Environment};
use crate::telemetry::chain;
use crate::{BoxError, BoxFuture};

/// Kept back from the function's time: work that has not begun by then goes back to the queue.
const STOP_MARGIN: Duration = Duration::from_secs(3);

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

/// What consumes a queue.
pub trait Consumer: Send + Sync + 'static {
    /// The message, as JSON.
    type Message: DeserializeOwned + Send;

    /// Handles one message. It may come more than once and out of order.
    fn consume(&self, message: Received<Self::Message>) -> impl Future<Output = Result<(), ConsumeError>> + Send;
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
    queue_url: String,
    dead_letter_url: String,
    /// The queue's own visibility time-out.
    visibility: Duration,
    /// How many messages of a batch are worked on at once.
    concurrency: usize,
}

impl QueueSettings {
    /// Reads `{prefix}_QUEUE_URL`, `{prefix}_DEAD_LETTER_URL` and `{prefix}_VISIBILITY_SECONDS`.
    pub fn read(environment: &Environment, prefix: &str) -> Result<Self, ConfigError> {
        let mut reader = environment.reader();
        let settings = Self {
            queue_url: reader.required(&format!("{prefix}_QUEUE_URL")),
            dead_letter_url: reader.required(&format!("{prefix}_DEAD_LETTER_URL")),
            visibility: Duration::from_secs(reader.required(&format!("{prefix}_VISIBILITY_SECONDS"))),
            concurrency: 10,
        };
        reader.finish()?;
        Ok(settings)
    }
}

pub(super) struct Queue<C> {
    sqs: Client,
    settings: QueueSettings,
    consumer: C,
}

/// What became of one message of a batch.
enum Outcome {
    Done,
    /// It is reported as failed; `later` when it was not begun and may be taken up by another instance at once.
    Failed {
        later: bool,
    },
}

impl<C: Consumer> Queue<C> {
    pub(super) fn new(runtime: &Runtime, settings: QueueSettings, consumer: C) -> Self {
        Self { sqs: runtime.aws.sqs.clone(), settings, consumer }
    }

    async fn batch(&self, messages: &[SqsMessage], budget: Duration) -> Vec<(usize, Outcome)> {
        let started = Instant::now();
        // Boxed one by one: a stream of closures over borrowed messages does not satisfy the compiler's Send check.
        let work: Vec<BoxFuture<'_, (usize, Outcome)>> = messages
            .iter()
            .enumerate()
            .map(|(index, message)| -> BoxFuture<'_, _> {
                Box::pin(async move { (index, self.within(message, started, budget).await) })
            })
            .collect();
        stream::iter(work).buffer_unordered(self.settings.concurrency).collect().await
    }

    /// Works on a message when there is time for it.
    async fn within(&self, message: &SqsMessage, started: Instant, budget: Duration) -> Outcome {
        let left = budget.saturating_sub(started.elapsed());
        if left < STOP_MARGIN {
            return Outcome::Failed { later: true };
        }
        // A panic fails its own message, not the batch.
        let work = AssertUnwindSafe(self.one(message, left)).catch_unwind();
        match tokio::time::timeout(left.saturating_sub(STOP_MARGIN / 3), work).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                tracing::error!(message_id = message.message_id, "the consumer panicked; the message is tried again");
                Outcome::Failed { later: false }
            }
            Err(_) => {
                tracing::error!(message_id = message.message_id, "the function's time ended before the message's work");
                Outcome::Failed { later: false }
            }
        }
    }

    async fn one(&self, message: &SqsMessage, remaining: Duration) -> Outcome {
        let id = message.message_id.as_deref().unwrap_or_default();
        let body = match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
            Ok(body) => body,
            Err(error) => return self.poison(message, &format!("it cannot be decoded: {error}")).await,
        };
        let attempt =
            message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
        let received = Received { body, message_id: id.to_owned(), attempt, remaining };
        match self.consumer.consume(received).await {
            Ok(()) => Outcome::Done,
            Err(ConsumeError::Poison(reason)) => self.poison(message, &reason).await,
            Err(ConsumeError::Retry(error)) => {
                tracing::warn!(message_id = id, attempt, error = chain(&*error), "a message failed and is tried again");
                Outcome::Failed { later: false }
            }
        }
    }

    /// Moves a message to the dead-letter queue. Only when that succeeded is it done here.
    async fn poison(&self, message: &SqsMessage, reason: &str) -> Outcome {
        let id = message.message_id.as_deref().unwrap_or_default();
        // SQS refuses control characters in attributes, and an error text may quote the message.
        let reason: String = reason.chars().filter(|character| !character.is_control()).take(500).collect();
        let attribute =
            |text: &str| MessageAttributeValue::builder().data_type("String").string_value(text).build().ok();
        let sent = self
            .sqs
            .send_message()
            .queue_url(&self.settings.dead_letter_url)
            .message_body(message.body.as_deref().unwrap_or_default())
            .set_message_attributes(Some(
                [("reason", attribute(&reason)), ("source_message_id", attribute(id))]
                    .into_iter()
                    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                    .collect(),
            ))
            .send()
            .await;
        match sent {
            Ok(_) => {
                tracing::error!(message_id = id, reason, "a poison message went to the dead-letter queue");
                Outcome::Done
            }
            Err(error) => {
                tracing::error!(
                    message_id = id,
                    reason,
                    error = chain(&error),
                    "a poison message could not be set aside"
                );
                Outcome::Failed { later: false }
            }
        }
    }

    /// Keeps the messages invisible to others for as long as this runs.
    async fn keep_invisible(&self, messages: &[SqsMessage]) {
        loop {
            tokio::time::sleep((self.settings.visibility / 2).max(Duration::from_secs(1))).await;
            self.change_visibility(messages.iter(), self.settings.visibility).await;
        }
    }

    async fn change_visibility(&self, messages: impl Iterator<Item = &SqsMessage>, timeout: Duration) {
        let entries: Vec<_> = messages
            .enumerate()
            .filter_map(|(index, message)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(message.receipt_handle.clone()?)
                    .visibility_timeout(i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX))
                    .build()
                    .ok()
            })
            .collect();
        for entries in entries.chunks(10) {
            let changed = self
                .sqs
                .change_message_visibility_batch()
                .queue_url(&self.settings.queue_url)
                .set_entries(Some(entries.to_vec()))
                .send()
                .await;
            if let Err(error) = changed {
                tracing::warn!(error = chain(&error), "the visibility of messages could not be changed");
            }
        }
    }
}

impl<C: Consumer> Invoke for Queue<C> {
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let event: SqsEvent = serde_json::from_str(event.get())?;
            let messages = event.records;
            let outcomes = tokio::select! {
                outcomes = self.batch(&messages, super::remaining(&context)) => outcomes,
                () = self.keep_invisible(&messages) => Vec::new(),
            };
            let failed = |wanted: fn(bool) -> bool| {
                outcomes.iter().filter_map(move |(index, outcome)| match outcome {
                    Outcome::Failed { later } if wanted(*later) => Some(*index),
                    _ => None,
                })
            };
            let not_begun = failed(|later| later).filter_map(|index| messages.get(index));
            self.change_visibility(not_begun, Duration::ZERO).await;
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

    #[tokio::test]
    async fn a_failure_or_panic_fails_its_own_message_alone() {
        let names = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "A_QUEUE_URL", "A_DEAD_LETTER_URL"];
        let environment: Environment = names
            .map(|name| (name.to_owned(), "x".to_owned()))
            .into_iter()
            .chain([("A_VISIBILITY_SECONDS".to_owned(), "60".to_owned())])
            .collect();
        let settings = QueueSettings::read(&environment, "A").unwrap();
        let runtime = Runtime::new("a.b", environment).unwrap();
        let queue = Queue::new(&runtime, settings, Counter);
        let records: Vec<_> =
            (0..4).map(|body| json!({"messageId": format!("m{body}"), "body": body.to_string()})).collect();
        let event = to_raw_value(&json!({ "Records": records })).unwrap();
        let answer = queue.invoke(event, Context::default()).await.unwrap();
        let failed = json!({"batchItemFailures": [{"itemIdentifier": "m0"}, {"itemIdentifier": "m1"}]});
        let mut answer: serde_json::Value = serde_json::from_str(answer.get()).unwrap();
        answer["batchItemFailures"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
        assert_eq!(answer, failed);
    }
}
