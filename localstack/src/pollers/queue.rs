//! Polls one queue. Messages are deleted when the function has handled them; the others come back after the queue's
//! visibility time-out, and go to its dead-letter queue by its redrive policy: both are the queue's own doing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Target;
use super::batch::{self, Outcome};
use crate::running::Running;
use crate::template::{QueueTrigger, REGION, Resource};

/// `ReceiveMessage` gives and `DeleteMessageBatch` takes at most this many.
const PER_CALL: usize = 10;
/// The longest that one call waits for a message, in seconds.
const LONG_POLL: i32 = 20;
/// How often an incomplete batch is looked after when less than a second is left of its window.
const SHORT_POLL: Duration = Duration::from_millis(50);
/// After a call that failed (the endpoint is restarted, for example).
const BACKOFF: Duration = Duration::from_millis(500);

/// One event source mapping.
#[derive(Debug)]
pub(super) struct Poller<T> {
    pub(super) settings: QueueTrigger,
    pub(super) queue: Resource,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) target: Arc<T>,
    pub(super) running: Running,
}

impl<T: Target> Poller<T> {
    /// Polls until `stop` turns true.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let concurrency = usize::try_from(self.settings.concurrency).unwrap_or(1);
        let places = Arc::new(Semaphore::new(concurrency));
        let poller = Arc::new(self);
        loop {
            let next = async {
                let place = places.clone().acquire_owned().await;
                (place, poller.gather().await)
            };
            let (place, batch) = tokio::select! {
                next = next => next,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let poller = poller.clone();
            tokio::spawn(async move {
                poller.settle(batch).await;
                drop(place);
            });
        }
    }

    /// The next batch: full, or what came within the window after its first message.
    async fn gather(&self) -> Vec<Message> {
        let size = usize::try_from(self.settings.batch_size).unwrap_or(PER_CALL);
        let mut batch = Vec::new();
        while batch.is_empty() {
            batch = self.receive(size, LONG_POLL).await;
        }
        let end = Instant::now() + self.settings.window;
        while batch.len() < size && Instant::now() < end {
            let left = end - Instant::now();
            let seconds = i32::try_from(left.as_secs()).unwrap_or(LONG_POLL).min(LONG_POLL);
            let more = self.receive(size - batch.len(), seconds).await;
            if more.is_empty() && seconds == 0 {
                tokio::time::sleep(left.min(SHORT_POLL)).await;
            }
            batch.extend(more);
        }
        batch
    }

    async fn receive(&self, most: usize, wait_seconds: i32) -> Vec<Message> {
        let answer = self
            .sqs
            .receive_message()
            .queue_url(&self.queue.id)
            .max_number_of_messages(i32::try_from(most.min(PER_CALL)).unwrap_or(1))
            .wait_time_seconds(wait_seconds)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await;
        match answer {
            Ok(answer) => answer.messages.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(error = shared::telemetry::chain(&error), queue = self.queue.id, "a queue was not read");
                tokio::time::sleep(BACKOFF).await;
                Vec::new()
            }
        }
    }

    /// Hands the batch over and deletes what has been handled.
    async fn settle(&self, batch: Vec<Message>) {
        let running = self.running.begin();
        let Ok(event) = event(&batch, self.arn()) else { return };
        let Some(answer) = self.target.handle(event).await else { return };
        let ids: BTreeSet<&str> = batch.iter().filter_map(Message::message_id).collect();
        let outcome = if self.settings.partial_failures { batch::outcome(&answer, &ids) } else { Outcome::Done };
        let failed = match outcome {
            Outcome::Done => BTreeSet::new(),
            Outcome::Failed(failed) => failed,
            Outcome::AllFailed => return,
        };
        let done = batch.iter().filter(|message| message.message_id().is_none_or(|id| !failed.contains(id)));
        let done: Vec<&str> = done.filter_map(Message::receipt_handle).collect();
        for receipts in done.chunks(PER_CALL) {
            self.delete(receipts).await;
        }
        drop(running);
    }

    async fn delete(&self, receipts: &[&str]) {
        let entries = receipts.iter().enumerate().map(|(index, receipt)| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(*receipt).build()
        });
        let Ok(entries) = entries.collect::<Result<Vec<_>, _>>() else { return };
        let deleted = self.sqs.delete_message_batch().queue_url(&self.queue.id).set_entries(Some(entries)).send().await;
        if let Err(error) = deleted {
            // They come again, which every consumer must bear.
            tracing::warn!(
                error = shared::telemetry::chain(&error),
                queue = self.queue.id,
                "messages were not deleted"
            );
        }
    }

    fn arn(&self) -> &str {
        self.queue.attributes.get("Arn").map(String::as_str).unwrap_or_default()
    }
}

/// The event that Lambda makes of messages.
fn event(batch: &[Message], arn: &str) -> serde_json::Result<Box<RawValue>> {
    let records: Vec<Value> = batch.iter().map(|message| record(message, arn)).collect();
    to_raw_value(&json!({ "Records": records }))
}

fn record(message: &Message, arn: &str) -> Value {
    let attributes: BTreeMap<&str, &String> =
        message.attributes().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
    let message_attributes: BTreeMap<&str, Value> = message
        .message_attributes()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), attribute(value)))
        .collect();
    let mut record = json!({
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body().unwrap_or_default(),
        "attributes": attributes,
        "messageAttributes": message_attributes,
        "md5OfBody": message.md5_of_body(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    });
    if let (Some(md5), Some(fields)) = (message.md5_of_message_attributes(), record.as_object_mut()) {
        fields.insert("md5OfMessageAttributes".to_owned(), json!(md5));
    }
    record
}

fn attribute(value: &MessageAttributeValue) -> Value {
    let mut attribute = json!({"dataType": value.data_type(), "stringListValues": [], "binaryListValues": []});
    if let Some(fields) = attribute.as_object_mut() {
        if let Some(text) = value.string_value() {
            fields.insert("stringValue".to_owned(), json!(text));
        }
        if let Some(bytes) = value.binary_value() {
            fields.insert("binaryValue".to_owned(), json!(BASE64_STANDARD.encode(bytes)));
        }
    }
    attribute
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_lambda_events::event::sqs::SqsEvent;
    use aws_sdk_sqs::primitives::Blob;

    use super::*;

    #[test]
    fn messages_become_the_event_that_lambda_sends() {
        let text = MessageAttributeValue::builder().data_type("String").string_value("x").build().unwrap();
        let bytes =
            MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([1_u8, 2])).build().unwrap();
        let message = Message::builder()
            .message_id("m-1")
            .receipt_handle("r-1")
            .body("hello")
            .md5_of_body("5d41402abc4b2a76b9719d911017c592")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "2")
            .attributes(MessageSystemAttributeName::SentTimestamp, "1545082649183")
            .message_attributes("kind", text)
            .message_attributes("raw", bytes)
            .build();
        let raw = event(&[message], "arn:aws:sqs:us-east-1:000000000000:clicks").unwrap();
        let expected = json!({"Records": [{
            "messageId": "m-1",
            "receiptHandle": "r-1",
            "body": "hello",
            "attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "1545082649183"},
            "messageAttributes": {
                "kind": {"dataType": "String", "stringValue": "x", "stringListValues": [], "binaryListValues": []},
                "raw": {"dataType": "Binary", "binaryValue": "AQI=", "stringListValues": [], "binaryListValues": []},
            },
            "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:clicks",
            "awsRegion": "us-east-1",
        }]});
        assert_eq!(serde_json::from_str::<Value>(raw.get()).unwrap(), expected);
        let typed: SqsEvent = serde_json::from_str(raw.get()).unwrap();
        assert_eq!(typed.records.first().unwrap().message_id.as_deref(), Some("m-1"));
    }
}
