//! A function that consumes the stream of a DynamoDB table, one record or one batch at a time.
//!
//! Records come in order for each partition key. The first that fails is reported by its sequence number, so that
//! Lambda retries from there (`ReportBatchItemFailures`), and those before it are not handled again. So is the first for
//! which the function's time does not suffice, where they are taken one at a time.
//!
//! The records of a batch come from many requests, so each batch is a trace of its own and has one line in the log. The
//! trace's id is that of the invocation, a random UUID, by which Lambda's own lines about it are found as well. What a
//! record carries, as the events in an outbox, keeps its own trace.

use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Context;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{Instant, timeout_at};

use super::{Invoke, Runtime, SETTLE_MARGIN, STOP_MARGIN};
use crate::dynamo::Item;
use crate::telemetry::{TraceContext, chain};
use crate::{BoxError, BoxFuture};

/// One change of a table.
#[derive(Clone, Debug)]
pub struct StreamRecord {
    /// Which record: the same however often it comes.
    pub event_id: String,
    /// Its place in its shard.
    pub sequence: String,
    /// The item before the change; empty for an insert.
    pub old: Item,
    /// The item after the change; empty for a removal.
    pub new: Item,
}

/// The first record of a batch that failed. It comes again with all that follow it.
#[derive(Debug)]
pub struct StreamFailure {
    /// Its sequence number.
    pub sequence: String,
    /// Why.
    pub source: BoxError,
}

/// What consumes the records.
pub trait StreamConsumer: Send + Sync + 'static {
    /// Handles one record. It may come more than once.
    fn consume(&self, record: StreamRecord) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// What consumes the records a batch at a time.
pub trait StreamBatchConsumer: Send + Sync + 'static {
    /// Handles the records of one shard, in their order. They may come more than once, and in other batches then.
    fn consume(&self, records: Vec<StreamRecord>) -> impl Future<Output = Result<(), StreamFailure>> + Send;
}

/// Works on a batch: one implementation for each trait above.
pub(super) trait Worker: Send + Sync + 'static {
    /// Handles the records, in a time of `budget`.
    fn work(
        &self,
        records: Vec<StreamRecord>,
        budget: Duration,
    ) -> impl Future<Output = Result<(), StreamFailure>> + Send;
}

/// Takes the records of a batch one by one.
pub(super) struct Singly<C>(pub(super) C);

/// Takes them all at once.
pub(super) struct Together<C>(pub(super) C);

/// Why the records from one on were not begun. It is no fault: they come again.
#[derive(Debug, thiserror::Error)]
#[error("the function's time is ending")]
struct TimeEnding;

impl<C: StreamConsumer> Worker for Singly<C> {
    async fn work(&self, records: Vec<StreamRecord>, budget: Duration) -> Result<(), StreamFailure> {
        let end = Instant::now() + budget;
        for record in records {
            let sequence = record.sequence.clone();
            let left = end.saturating_duration_since(Instant::now());
            let done = if left < STOP_MARGIN {
                Err(TimeEnding.into())
            } else {
                let done = timeout_at(end - SETTLE_MARGIN, self.0.consume(record)).await;
                done.unwrap_or_else(|_| Err("the function's time ended before the record's work".into()))
            };
            done.map_err(|source| StreamFailure { sequence, source })?;
        }
        Ok(())
    }
}

impl<C: StreamBatchConsumer> Worker for Together<C> {
    async fn work(&self, records: Vec<StreamRecord>, _budget: Duration) -> Result<(), StreamFailure> {
        self.0.consume(records).await
    }
}

pub(super) struct Stream<W> {
    function: &'static str,
    stage: String,
    worker: W,
}

impl<W> Stream<W> {
    pub(super) fn new(runtime: &Runtime, worker: W) -> Self {
        let stage = runtime.environment.get("STAGE").unwrap_or_default().to_owned();
        Self { function: runtime.name, stage, worker }
    }
}

fn typed(record: EventRecord) -> StreamRecord {
    let image = |image: serde_dynamo::Item| -> Item {
        let attributes = std::collections::HashMap::<String, serde_dynamo::AttributeValue>::from(image);
        attributes.into_iter().map(|(name, value)| (name, AttributeValue::from(value))).collect()
    };
    StreamRecord {
        event_id: record.event_id,
        sequence: record.change.sequence_number.unwrap_or_default(),
        old: image(record.change.old_image),
        new: image(record.change.new_image),
    }
}

impl<W: Worker> Invoke for Stream<W> {
    #[allow(clippy::cast_possible_truncation)] // a duration in microseconds fits
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let started = Instant::now();
            let event: Event = serde_json::from_str(event.get())?;
            let records: Vec<_> = event.records.into_iter().map(typed).collect();
            let count = records.len();
            let trace = context.request_id.parse().ok().and_then(TraceContext::of_uuid);
            let work = self.worker.work(records, super::remaining(&context));
            let done = match trace {
                Some(trace) => trace.scope(work).await,
                None => work.await,
            };
            let failure = done.err();
            // What was stopped in time is no error.
            let fault = failure.as_ref().filter(|failure| !failure.source.is::<TimeEnding>());
            tracing::info!(
                function = self.function,
                stage = self.stage,
                outcome = match (&failure, fault) {
                    (None, _) => "done",
                    (Some(_), None) => "stopped",
                    (Some(_), Some(_)) => "failed",
                },
                records = count,
                duration_us = started.elapsed().as_micros() as u64,
                trace_id = trace.map(TraceContext::trace_id),
                span_id = trace.map(TraceContext::span_id),
                sequence = failure.as_ref().map(|failure| &*failure.sequence),
                error = fault.map(|failure| chain(&*failure.source)),
                "records"
            );
            let failures: Vec<_> = failure.iter().map(|failure| json!({"itemIdentifier": failure.sequence})).collect();
            Ok(to_raw_value(&json!({"batchItemFailures": failures}))?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its records take so many seconds each, or for ever.
    struct Slow(Option<u64>);

    impl StreamConsumer for Slow {
        async fn consume(&self, _record: StreamRecord) -> Result<(), BoxError> {
            match self.0 {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
            Ok(())
        }
    }

    /// Of ten records that are taken one at a time within a minute, the one that failed, whether for want of time to
    /// begin it, and how long it all took, in seconds.
    async fn of_ten(consumer: Slow) -> (Option<(String, bool)>, u64) {
        let record = |number: u32| StreamRecord {
            event_id: number.to_string(),
            sequence: number.to_string(),
            old: Item::new(),
            new: Item::new(),
        };
        let began = Instant::now();
        let done = Singly(consumer).work((1..=10).map(record).collect(), Duration::from_mins(1)).await;
        let failed = done.err().map(|failure| (failure.sequence, failure.source.is::<TimeEnding>()));
        (failed, began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_in_the_functions_time_is_kept_and_the_rest_comes_again() {
        assert_eq!(of_ten(Slow(Some(5))).await, (None, 50));
        // The third would begin after 58 seconds.
        assert_eq!(of_ten(Slow(Some(29))).await, (Some(("3".to_owned(), true)), 58));
        // The ninth begins after 56 seconds and would end after 63.
        assert_eq!(of_ten(Slow(Some(7))).await, (Some(("9".to_owned(), false)), 59));
        assert_eq!(of_ten(Slow(None)).await, (Some(("1".to_owned(), false)), 59));
    }
}
