//! What is done to a delivered message whoever consumes it: decoding, visibility, the way to the dead-letter queue, and its
//! line in the log.

use std::time::{Duration, Instant};

use aws_lambda_events::event::sqs::SqsMessage;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::ChangeMessageVisibilityBatchRequestEntry;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::{Batch, ConsumeError, QueueSettings, Received};
use crate::lambda::Runtime;
use crate::queue::DeadLetters;
use crate::random::Random;
use crate::telemetry::{TRACEPARENT, TraceContext, chain};

/// What became of one message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// It is reported as failed; `later` when it was not begun and may be taken up by another instance at once.
    Failed {
        later: bool,
    },
}

/// A message that is worked on.
pub(super) struct Taken<'a> {
    pub(super) message: &'a SqsMessage,
    /// The trace that the work is part of.
    pub(super) trace: TraceContext,
    began: Instant,
}

impl Taken<'_> {
    fn attempt(&self) -> u32 {
        self.message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// The message typed, or why it is poison.
    pub(super) fn decode<M: DeserializeOwned>(&self, remaining: Duration) -> Result<Received<M>, String> {
        let message = self.message;
        let body = serde_json::from_str(message.body.as_deref().unwrap_or_default())
            .map_err(|error| format!("it cannot be decoded: {}", unreadable(&error)))?;
        let message_id = message.message_id.clone().unwrap_or_default();
        Ok(Received { body, message_id, attempt: self.attempt(), remaining })
    }
}

/// What is wrong with a JSON text, for logs and reasons. The error's own text quotes what the text says, such as
/// somebody's address.
pub fn unreadable(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "other JSON than expected",
        Category::Eof => "an early end",
        Category::Io | Category::Syntax => "no JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

/// The queue and its dead-letter queue.
pub(super) struct Delivery {
    function: &'static str,
    stage: String,
    random: Random,
    sqs: Client,
    settings: QueueSettings,
    dead_letters: Option<DeadLetters>,
}

impl Delivery {
    pub(super) fn new(runtime: &Runtime, settings: QueueSettings) -> Self {
        let sqs = runtime.aws.sqs.clone();
        let addresses = settings.addresses.as_ref();
        let dead_letters = addresses.map(|addresses| DeadLetters::new(sqs.clone(), addresses.dead_letters.clone()));
        Self {
            function: runtime.name,
            stage: runtime.environment.get("STAGE").unwrap_or_default().to_owned(),
            random: runtime.random.clone(),
            sqs,
            settings,
            dead_letters,
        }
    }

    /// Takes up a message.
    pub(super) fn take<'a>(&self, message: &'a SqsMessage) -> Taken<'a> {
        let attribute = message.message_attributes.get(TRACEPARENT);
        let traceparent = attribute.and_then(|attribute| attribute.string_value.as_deref());
        let trace = TraceContext::continue_or_start(traceparent, &self.random);
        Taken { message, trace, began: Instant::now() }
    }

    /// What becomes of a message by its consumer's answer.
    pub(super) async fn settle(&self, taken: &Taken<'_>, answer: Result<(), ConsumeError>) -> Outcome {
        match answer {
            Ok(()) => {
                self.log(taken, "done", None);
                Outcome::Done
            }
            Err(ConsumeError::Poison(reason)) => self.poison(taken, &reason).await,
            Err(ConsumeError::Retry(error)) => self.fail(taken, &chain(&*error)),
        }
    }

    /// The message is tried again.
    pub(super) fn fail(&self, taken: &Taken<'_>, error: &str) -> Outcome {
        self.log(taken, "failed", Some(error));
        Outcome::Failed { later: false }
    }

    /// Moves a message to the dead-letter queue. Only when that succeeded is it done here.
    pub(super) async fn poison(&self, taken: &Taken<'_>, reason: &str) -> Outcome {
        let Some(dead_letters) = &self.dead_letters else {
            return self.fail(taken, &format!("poison, left to the redrive policy: {reason}"));
        };
        let body = taken.message.body.as_deref().unwrap_or_default();
        match taken.trace.scope(dead_letters.put(body, reason, taken.message.message_id.as_deref())).await {
            Ok(()) => {
                self.log(taken, "dead", Some(reason));
                Outcome::Done
            }
            Err(error) => self.fail(taken, &format!("poison, which could not be set aside: {}", chain(&error))),
        }
    }

    #[allow(clippy::cast_possible_truncation)] // a duration in microseconds fits
    fn log(&self, taken: &Taken<'_>, outcome: &str, error: Option<&str>) {
        tracing::info!(
            function = self.function,
            stage = self.stage,
            outcome,
            message_id = taken.message.message_id,
            attempt = taken.attempt(),
            duration_us = taken.began.elapsed().as_micros() as u64,
            trace_id = taken.trace.trace_id(),
            span_id = taken.trace.span_id(),
            error,
            "message"
        );
    }

    /// Keeps the messages invisible to others for as long as this runs, but for those that have failed: they come again
    /// after their time-out, however long others of the batch take.
    pub(super) async fn keep_invisible(&self, batch: &Batch) {
        if self.settings.addresses.is_none() {
            return std::future::pending().await;
        }
        if self.settings.shortened {
            self.change_visibility(batch.held(), self.settings.visibility).await;
        }
        loop {
            tokio::time::sleep((self.settings.visibility / 2).max(Duration::from_secs(1))).await;
            self.change_visibility(batch.held(), self.settings.visibility).await;
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
