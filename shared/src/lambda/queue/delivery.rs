//! What is done to a delivered message whoever consumes it: decoding, visibility, and the way to the dead-letter queue.

use std::time::Duration;

use aws_lambda_events::event::sqs::SqsMessage;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use serde::de::DeserializeOwned;

use super::{ConsumeError, QueueSettings, Received};
use crate::lambda::Runtime;
use crate::queue::DeadLetters;
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
    settings: QueueSettings,
    dead_letters: Option<DeadLetters>,
}

impl Delivery {
    pub(super) fn new(runtime: &Runtime, settings: QueueSettings) -> Self {
        let sqs = runtime.aws.sqs.clone();
        let addresses = settings.addresses.as_ref();
        let dead_letters = addresses.map(|addresses| DeadLetters::new(sqs.clone(), addresses.dead_letters.clone()));
        Self { sqs, settings, dead_letters }
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
        let Some(dead_letters) = &self.dead_letters else {
            tracing::error!(message_id = message.message_id, reason, "poison is left to the redrive policy");
            return Outcome::Failed { later: false };
        };
        let body = message.body.as_deref().unwrap_or_default();
        match dead_letters.put(body, reason, message.message_id.as_deref()).await {
            Ok(()) => Outcome::Done,
            Err(error) => {
                tracing::error!(
                    message_id = message.message_id,
                    error = chain(&error),
                    "a poison message could not be set aside"
                );
                Outcome::Failed { later: false }
            }
        }
    }

    /// Keeps the messages invisible to others for as long as this runs.
    pub(super) async fn keep_invisible(&self, messages: &[SqsMessage]) {
        if self.settings.addresses.is_none() {
            return std::future::pending().await;
        }
        if self.settings.shortened {
            self.change_visibility(messages.iter(), self.settings.visibility).await;
        }
        loop {
            tokio::time::sleep((self.settings.visibility / 2).max(Duration::from_secs(1))).await;
            self.change_visibility(messages.iter(), self.settings.visibility).await;
        }
    }

    pub(super) async fn change_visibility(&self, messages: impl Iterator<Item = &SqsMessage>, timeout: Duration) {
        let Some(addresses) = &self.settings.addresses else { return };
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
                .queue_url(&addresses.queue)
                .set_entries(Some(entries.to_vec()))
                .send()
                .await;
            if let Err(error) = changed {
                tracing::warn!(error = chain(&error), "the visibility of messages could not be changed");
            }
        }
    }
}
