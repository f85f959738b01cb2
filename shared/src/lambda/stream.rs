//! A function that consumes the stream of a DynamoDB table.
//!
//! Records come in order for each partition key. The first that fails is reported by its sequence number, so that
//! Lambda retries from there (`ReportBatchItemFailures`), and those before it are not handled again.

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::Context;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::Invoke;
use crate::dynamo::Item;
use crate::{BoxError, BoxFuture};

/// One change of a table.
#[derive(Debug)]
pub struct StreamRecord {
    /// The item before the change; empty for an insert.
    pub old: Item,
    /// The item after the change; empty for a removal.
    pub new: Item,
}

/// What consumes the records.
pub trait StreamConsumer: Send + Sync + 'static {
    /// Handles one record. It may come more than once.
    fn consume(&self, record: StreamRecord) -> impl Future<Output = Result<(), BoxError>> + Send;
}

pub(super) struct Stream<C>(C);

impl<C> Stream<C> {
    pub(super) fn new(consumer: C) -> Self {
        Self(consumer)
    }
}

fn typed(record: &EventRecord) -> Result<StreamRecord, serde_dynamo::Error> {
    let image = |image: &serde_dynamo::Item| -> Result<Item, serde_dynamo::Error> {
        let attributes = std::collections::HashMap::<String, serde_dynamo::AttributeValue>::from(image.clone());
        Ok(attributes.into_iter().map(|(name, value)| (name, AttributeValue::from(value))).collect())
    };
    Ok(StreamRecord { old: image(&record.change.old_image)?, new: image(&record.change.new_image)? })
}

impl<C: StreamConsumer> Invoke for Stream<C> {
    fn invoke(&self, event: Box<RawValue>, _context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let event: Event = serde_json::from_str(event.get())?;
            for record in &event.records {
                let handled = match typed(record) {
                    Ok(typed) => self.0.consume(typed).await,
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = handled {
                    let sequence = record.change.sequence_number.as_deref().unwrap_or_default();
                    tracing::error!(sequence, error = crate::telemetry::chain(&*error), "a stream record failed");
                    let failures = json!({"batchItemFailures": [{"itemIdentifier": sequence}]});
                    return Ok(to_raw_value(&failures)?);
                }
            }
            Ok(to_raw_value(&json!({"batchItemFailures": []}))?)
        })
    }
}
