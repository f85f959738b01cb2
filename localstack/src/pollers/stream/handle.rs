//! Hands the records of a shard over in order, and tries again what failed.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::super::batch::{self, Outcome};
use super::super::position::{Position, Positions};
use super::super::{Target, filter};
use super::{Pending, Poller};

/// The pause before the first retry; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What became of the head of a shard's pending records.
enum Attempt {
    /// So many have been handled.
    Handled(usize),
    /// So many have been handled, and the next one failed.
    FailedAfter(usize),
    /// The event was too large or the function failed.
    AllFailed,
}

impl<T: Target> Poller<T> {
    /// Hands `records` over in order; returns when each has been handled or given up.
    pub(super) async fn handle(&self, shard: &str, records: VecDeque<Pending>, positions: &mut Positions) {
        let last = records.back().map(|record| record.sequence.clone());
        let admitted = records.into_iter().filter(|record| filter::admits(&self.settings.filters, &record.event));
        let mut pending: VecDeque<Pending> = admitted.collect();
        let size = usize::try_from(self.settings.batch_size).unwrap_or(1);
        let (mut most, mut retries, mut pause) = (size, 0_u64, FIRST_PAUSE);
        while !pending.is_empty() {
            let taken = pending.len().min(most);
            let attempt = self.attempt(pending.iter().take(taken)).await;
            let done = match attempt {
                Attempt::Handled(done) | Attempt::FailedAfter(done) => done,
                Attempt::AllFailed => 0,
            };
            let mut settled = done;
            if matches!(attempt, Attempt::Handled(_)) {
                (most, retries, pause) = (size, 0, FIRST_PAUSE);
            } else {
                if done > 0 {
                    (retries, pause) = (0, FIRST_PAUSE);
                }
                if self.settings.retries.is_some_and(|limit| retries >= limit) {
                    self.give_up(shard, pending.iter().skip(done).take(taken - done), retries).await;
                    settled = taken;
                    (most, retries, pause) = (size, 0, FIRST_PAUSE);
                } else {
                    retries += 1;
                    if self.settings.bisect {
                        most = ((taken - done) / 2).max(1);
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            if let Some(sequence) = pending.drain(..settled).next_back().map(|record| record.sequence) {
                positions.keep(shard, Position::After(sequence));
            }
        }
        if let Some(sequence) = last {
            positions.keep(shard, Position::After(sequence));
        }
    }

    async fn attempt(&self, batch: impl Iterator<Item = &Pending> + Clone) -> Attempt {
        let Ok(event) = event(batch.clone()) else { return Attempt::AllFailed };
        let Some(answer) = self.target.handle(event).await else { return Attempt::AllFailed };
        let sequences: Vec<&str> = batch.map(|record| record.sequence.as_str()).collect();
        if !self.settings.partial_failures {
            return Attempt::Handled(sequences.len());
        }
        match batch::outcome(&answer, &sequences.iter().copied().collect()) {
            Outcome::Done => Attempt::Handled(sequences.len()),
            // Of several, the first counts: all after it come again.
            Outcome::Failed(failed) => {
                let first = sequences.iter().position(|sequence| failed.contains(*sequence));
                first.map_or(Attempt::AllFailed, Attempt::FailedAfter)
            }
            Outcome::AllFailed => Attempt::AllFailed,
        }
    }

    /// Tells the failure queue which records were given up, as Lambda does: where they are, not what they hold
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>).
    async fn give_up(&self, shard: &str, batch: impl Iterator<Item = &Pending>, retries: u64) {
        let sequences: Vec<&str> = batch.map(|record| record.sequence.as_str()).collect();
        tracing::error!(shard, count = sequences.len(), stream = self.stream, "stream records were given up");
        let Some(queue) = &self.on_failure else { return };
        let message = json!({
            "version": "1.0",
            "timestamp": shared::time::rfc3339_millis(shared::time::Clock::system().now()),
            "requestContext": {
                "requestId": crate::request_id::fresh(),
                "functionArn": self.function_arn,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": retries + 1,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": sequences.first(),
                "endSequenceNumber": sequences.last(),
                "batchSize": sequences.len(),
                "streamArn": self.stream,
            },
        });
        let sent = self.clients.sqs.send_message().queue_url(queue).message_body(message.to_string()).send().await;
        if let Err(error) = sent {
            tracing::error!(error = shared::telemetry::chain(&error), queue, "the failure queue was not told");
        }
    }
}

fn event<'a>(batch: impl Iterator<Item = &'a Pending>) -> serde_json::Result<Box<RawValue>> {
    let records: Vec<&Value> = batch.map(|record| &record.event).collect();
    to_raw_value(&json!({ "Records": records }))
}
