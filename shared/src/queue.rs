//! Sending messages to queues, now or at any later second.
//!
//! There is one way to send later. Up to 15 minutes ahead SQS itself delays the message; beyond that it waits in the
//! due index, a DynamoDB table which the platform's scheduler drains each minute, handing each message to SQS with the
//! delay that is left, so that it arrives to the second. A message may come twice; its consumer is idempotent.
//!
//! Where the message must not be lost although the sender may die after its own write, the due entry is part of that
//! write's transaction ([`Sender::due_write`]), and [`Sender::nudge`] afterwards sends what is due too soon for the
//! scheduler to be in time.
//!
//! A message belongs to the trace in which it was made, and carries it as the message attribute `traceparent`, however long
//! it waits in the due index.
//!
//! What can never be handled goes to a dead-letter queue with its reason ([`DeadLetters`]).

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde::Serialize;

use crate::dynamo::{Dynamo, DynamoError, Item, Put, TransactWrite, n, s};
use crate::telemetry::{TRACEPARENT, TraceContext};
use crate::time::{Clock, Timestamp};
use crate::{BoxError, BoxFuture};

/// SQS's longest delay.
pub const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// How far the scheduler looks ahead. It runs each minute, so what is due later than this is always seen in time.
pub const HORIZON: Duration = Duration::from_secs(150);

/// The due index is spread over so many partitions, each of which takes 1,000 writes a second.
pub const SHARDS: u32 = 8;

/// A message on its way to a queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// The queue.
    pub queue_url: String,
    /// The body: JSON.
    pub body: String,
    /// The fairness group, normally the tenant: one group's backlog does not delay another's messages
    /// (SQS fair queues).
    pub group: String,
    /// What makes the message one of its kind: a second message with the same id and time replaces the first in the
    /// due index.
    pub id: String,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

impl Message {
    /// A message with `body` as JSON, of the trace of the work at hand.
    #[allow(clippy::needless_pass_by_value)] // ids are passed by value
    pub fn json<B: Serialize>(
        queue_url: &str,
        group: impl ToString,
        id: impl Into<String>,
        body: &B,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            queue_url: queue_url.to_owned(),
            body: serde_json::to_string(body)?,
            group: group.to_string(),
            id: id.into(),
            trace: TraceContext::current(),
        })
    }

    /// The same as part of another trace, where that is known.
    #[must_use]
    pub fn in_trace(self, trace: Option<TraceContext>) -> Self {
        Self { trace: trace.or(self.trace), ..self }
    }
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// SQS did not take it.
    #[error("SQS did not take the message")]
    Sqs(#[source] BoxError),
    /// The due index did not take it.
    #[error("the due index did not take the message")]
    Due(#[from] DynamoError),
}

/// Sends to one queue, now.
#[derive(Clone, Debug)]
pub struct Outbound {
    sqs: Client,
    queue_url: String,
}

impl Outbound {
    /// The queue at `queue_url`.
    pub const fn new(sqs: Client, queue_url: String) -> Self {
        Self { sqs, queue_url }
    }

    /// The queue's address.
    pub fn queue_url(&self) -> &str {
        &self.queue_url
    }

    /// Sends `message`, which names this queue.
    pub fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(send(&self.sqs, message, Duration::ZERO))
    }
}

/// Sends messages to any queue, now or later.
#[derive(Clone, Debug)]
pub struct Sender {
    sqs: Client,
    dynamo: Dynamo,
    due_table: String,
    clock: Clock,
}

impl Sender {
    /// A sender whose due index is `due_table`.
    pub fn new(sqs: Client, dynamo: Dynamo, due_table: String, clock: Clock) -> Self {
        Self { sqs, dynamo, due_table, clock }
    }

    /// Sends now.
    pub fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(send(&self.sqs, message, Duration::ZERO))
    }

    /// Sends so that the message arrives at `at`, to the second and never before; what lies in the past is sent now.
    pub fn send_at<'a>(&'a self, message: &'a Message, at: Timestamp) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let delay = self.delay_until(at);
            if delay <= LONGEST_DELAY {
                return send(&self.sqs, message, delay).await;
            }
            let TransactWrite::Put(put) = self.due_write(message, at) else { return Ok(()) };
            Ok(self.dynamo.put(put).await?)
        })
    }

    /// The entry in the due index, to be part of a transaction. Follow it with [`Self::nudge`].
    pub fn due_write(&self, message: &Message, at: Timestamp) -> TransactWrite {
        let (pk, sk) = due_key(&message.id, at);
        let mut item: Item = [
            ("pk".to_owned(), s(pk)),
            ("sk".to_owned(), s(sk)),
            ("due_at".to_owned(), n(at.as_millisecond())),
            ("queue_url".to_owned(), s(&message.queue_url)),
            ("body".to_owned(), s(&message.body)),
            ("group".to_owned(), s(&message.group)),
            ("id".to_owned(), s(&message.id)),
        ]
        .into();
        item.extend(message.trace.map(|trace| (TRACEPARENT.to_owned(), s(trace.to_string()))));
        TransactWrite::Put(Put::new(&self.due_table, item))
    }

    /// Sends a message whose entry was written when it is due before the scheduler would be sure to see it.
    pub fn nudge<'a>(&'a self, message: &'a Message, at: Timestamp) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let delay = self.delay_until(at);
            if delay > HORIZON {
                return Ok(());
            }
            send(&self.sqs, message, delay).await
        })
    }

    fn delay_until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.clock.now())).unwrap_or(Duration::ZERO)
    }
}

/// A dead-letter queue: where what can never be handled is kept for a person to look at.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    sqs: Client,
    queue_url: String,
}

impl DeadLetters {
    /// The queue at `queue_url`.
    pub const fn new(sqs: Client, queue_url: String) -> Self {
        Self { sqs, queue_url }
    }

    /// Keeps `body`, with why it is there as the message attribute `reason` (without control characters, and at most 500
    /// characters of it), and where it has one, the id of its message as `source_message_id`.
    pub fn put<'a>(
        &'a self,
        body: &'a str,
        reason: &'a str,
        message_id: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            // SQS refuses control characters in attributes, and a reason may quote the message.
            let reason: String = reason.chars().filter(|character| !character.is_control()).take(500).collect();
            let attribute = |text: &str| text_attribute(text).map_err(|error| SendError::Sqs(error.into()));
            let mut call = self
                .sqs
                .send_message()
                .queue_url(&self.queue_url)
                // An empty body is refused.
                .message_body(if body.is_empty() { "(empty)" } else { body })
                .message_attributes("reason", attribute(&reason)?);
            if let Some(id) = message_id {
                call = call.message_attributes("source_message_id", attribute(id)?);
            }
            if let Some(trace) = TraceContext::current() {
                call = call.message_attributes(TRACEPARENT, attribute(&trace.to_string())?);
            }
            call.send().await.map_err(|error| SendError::Sqs(error.into()))?;
            tracing::error!(message_id, reason, "what can never be handled went to the dead-letter queue");
            Ok(())
        })
    }
}

/// The key of a due entry: a shard by the message's id, and the time, so that a shard's entries are in their order.
pub fn due_key(id: &str, at: Timestamp) -> (String, String) {
    let shard = crc32fast::hash(id.as_bytes()) % SHARDS;
    (format!("due#{shard}"), format!("{}#{id}", crate::time::rfc3339_millis(at)))
}

/// Whole seconds, rounded up, so that nothing arrives early.
pub fn delay_seconds(delay: Duration) -> i32 {
    let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
    i32::try_from(seconds.min(LONGEST_DELAY.as_secs())).unwrap_or(0)
}

/// A message attribute that is a text.
pub fn text_attribute(text: &str) -> Result<MessageAttributeValue, BuildError> {
    MessageAttributeValue::builder().data_type("String").string_value(text).build()
}

async fn send(sqs: &Client, message: &Message, delay: Duration) -> Result<(), SendError> {
    let mut call = sqs
        .send_message()
        .queue_url(&message.queue_url)
        .message_body(&message.body)
        .message_group_id(&message.group)
        .delay_seconds(delay_seconds(delay));
    if let Some(trace) = message.trace {
        let attribute = text_attribute(&trace.to_string()).map_err(|error| SendError::Sqs(error.into()))?;
        call = call.message_attributes(TRACEPARENT, attribute);
    }
    call.send().await.map_err(|error| SendError::Sqs(error.into()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_and_bounded() {
        assert_eq!(delay_seconds(Duration::ZERO), 0);
        assert_eq!(delay_seconds(Duration::from_millis(1)), 1);
        assert_eq!(delay_seconds(Duration::from_secs(899)), 899);
        assert_eq!(delay_seconds(Duration::from_hours(1)), 900);
    }

    #[test]
    fn a_shards_entries_sort_by_time() {
        let at = |second| due_key("one", Timestamp::from_second(second).unwrap_or_default()).1;
        assert!(at(9) < at(10) && at(999_999_999) < at(1_000_000_000));
    }
}
