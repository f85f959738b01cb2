//! What is done to a delivered message whoever consumes it: decoding, visibility, and the way to the dead-letter queue.

use std::time::Duration;

use aws_lambda_events::event::sqs::SqsMessage;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue};
use serde::de::DeserializeOwned;

use super::{ConsumeError, QueueSettings, Received};
use crate::lambda::Runtime;
use crate::telemetry::chain;

/// What became of one message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It is reported as failed; `later` when it was not begun and may be taken up by another instance at once.
    Failed {
        later: bool,
    },
}

/// The queue and its dead-letter queue.
pub(super) struct Delivery {
    sqs: Client,
    pub(super) settings: QueueSettings,
}

impl Delivery {
    pub(super) fn new(runtime: &Runtime, settings: QueueSettings) -> Self {
        Self { sqs: runtime.aws.sqs.clone(), settings }
    }

    /// The message typed, or why it is poison.
    pub(super) fn decode<M: DeserializeOwned>(
        message: &SqsMessage,
        remaining: Duration,
    ) -> Result<Received<M>, String> {
        let body = serde_json::from_str(message.body.as_deref().unwrap_or_default())
            .map_err(|error| format!("it cannot be decoded: {error}"))?;
        let attempt =
            message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1);
        Ok(Received { body, message_id: message.message_id.clone().unwrap_or_default(), attempt, remaining })
    }

    /// What becomes of a message by its consumer's answer.
    pub(super) async fn settle(&self, message: &SqsMessage, answer: Result<(), ConsumeError>) -> Outcome {
        match answer {
            Ok(()) => Outcome::Done,
            Err(ConsumeError::Poison(reason)) => self.poison(message, &reason).await,
            Err(ConsumeError::Retry(error)) => {
                let attempt = message.attributes.get("ApproximateReceiveCount");
                tracing::warn!(
                    message_id = message.message_id,
                    attempt,
                    error = chain(&*error),
                    "a message failed and is tried again"
                );
                Outcome::Failed { later: false }
            }
        }
    }

    /// Moves a message to the dead-letter queue. Only when that succeeded is it done here.
    pub(super) async fn poison(&self, message: &SqsMessage, reason: &str) -> Outcome {
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
    pub(super) async fn keep_invisible(&self, messages: &[SqsMessage]) {
        loop {
            tokio::time::sleep((self.settings.visibility / 2).max(Duration::from_secs(1))).await;
            self.change_visibility(messages.iter(), self.settings.visibility).await;
        }
    }

    pub(super) async fn change_visibility(&self, messages: impl Iterator<Item = &SqsMessage>, timeout: Duration) {
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
