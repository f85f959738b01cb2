//! A function that consumes the stream of a DynamoDB table, one record or one batch at a time.
//!
//! Records come in order for each partition key. The first that fails is reported by its sequence number, so that
//! Lambda retries from there (`ReportBatchItemFailures`), and those before it are not handled again.
//!
//! The records of a batch come from many requests, so each batch is a trace of its own and has one line in the log. The
//! trace's id is that of the invocation, a random UUID, by which Lambda's own lines about it are found as well. What a
//! record carries, as the events in an outbox, keeps its own trace.

use std::time::Instant;

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Context;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::Invoke;
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

/// Takes the records of a batch one by one.
pub(super) struct Singly<C>(pub(super) C);

impl<C: StreamConsumer> StreamBatchConsumer for Singly<C> {
    async fn consume(&self, records: Vec<StreamRecord>) -> Result<(), StreamFailure> {
        for record in records {
            let sequence = record.sequence.clone();
            self.0.consume(record).await.map_err(|source| StreamFailure { sequence, source })?;
        }
        Ok(())
    }
}

pub(super) struct Stream<C>(C);

impl<C> Stream<C> {
    pub(super) const fn new(consumer: C) -> Self {
        Self(consumer)
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

impl<C: StreamBatchConsumer> Invoke for Stream<C> {
    #[allow(clippy::cast_possible_truncation)] // a duration in microseconds fits
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let started = Instant::now();
            let event: Event = serde_json::from_str(event.get())?;
            let records: Vec<_> = event.records.into_iter().map(typed).collect();
            let count = records.len();
            let trace = context.request_id.parse().ok().and_then(TraceContext::of_uuid);
            let work = self.0.consume(records);
            let done = match trace {
                Some(trace) => trace.scope(work).await,
                None => work.await,
            };
            let failure = done.err();
            tracing::info!(
                function = context.invoked_function_arn.rsplit(':').next(),
                outcome = if failure.is_none() { "done" } else { "failed" },
                records = count,
                duration_us = started.elapsed().as_micros() as u64,
                trace_id = trace.map(TraceContext::trace_id),
                span_id = trace.map(TraceContext::span_id),
                sequence = failure.as_ref().map(|failure| &*failure.sequence),
                error = failure.as_ref().map(|failure| chain(&*failure.source)),
                "records"
            );
            let failures: Vec<_> = failure.iter().map(|failure| json!({"itemIdentifier": failure.sequence})).collect();
            Ok(to_raw_value(&json!({"batchItemFailures": failures}))?)
        })
    }
}
