//! Domain events: what happened, as CloudEvents 1.0 on the SNS topic `events`.
//!
//! An event is published in one of two ways. *Through the outbox*, so that it is never lost and never sent for a write
//! that did not happen: the events are an attribute ([`OUTBOX`]) of the very item that the write changes, and the
//! platform's relay reads the table's stream and publishes them. It costs no call and no further write. *Directly*
//! ([`Events::publish`]) where there is no item to carry them. Either way an event may come twice, with the same id.
//!
//! An event belongs to the trace in which it was made, by the extension attribute `traceparent`
//! (<https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md>); `tracestate` is left out.
//!
//! Subscribers filter by the message attributes `type` and `tenant`; a third is `traceparent`, as of any message.

pub mod export;
pub mod identity;
pub mod jobs;
pub mod links;
pub mod notes;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::dynamo::{AttributeValue, s};
use crate::id::{Id, Kind, TenantId};
use crate::random::Random;
use crate::telemetry::{TRACEPARENT, TraceContext};
use crate::time::Timestamp;
use crate::{BoxError, BoxFuture};

/// The attribute that carries an item's events to the relay: a JSON array of CloudEvents, as one text, because the filter
/// of the relay's trigger looks at scalar attributes alone.
pub const OUTBOX: &str = "outbox";

/// The data of one type of event: a contract between services, so its types live here.
pub trait EventData: Serialize + DeserializeOwned {
    /// The type, `noun.verb` in the past tense.
    const TYPE: &'static str;
    /// The service that it comes from.
    const SOURCE: &'static str;
}

/// The kind of an event's id.
#[derive(Debug)]
pub enum EventKind {}
impl Kind for EventKind {
    const PREFIX: &'static str = "event";
}

/// An event in CloudEvents' JSON format (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event<D = serde_json::Value> {
    specversion: String,
    /// The same each time this event is delivered.
    pub id: Id<EventKind>,
    /// `/tenfold/` and the service.
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it happened to: an id.
    pub subject: String,
    /// When.
    pub time: Timestamp,
    datacontenttype: String,
    /// Whose it is (an extension attribute).
    pub tenantid: TenantId,
    /// The trace that it belongs to (an extension attribute); none when no invocation made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceContext>,
    /// The details.
    pub data: D,
}

impl<D: EventData> Event<D> {
    /// What happened to `subject` of `tenant` just now, by the work at hand.
    #[allow(clippy::needless_pass_by_value)] // ids are passed by value
    pub fn new(tenant: TenantId, subject: impl ToString, data: D, now: Timestamp, random: &Random) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: Id::new(now, random),
            source: format!("/tenfold/{}", D::SOURCE),
            kind: D::TYPE.to_owned(),
            subject: subject.to_string(),
            time: now,
            datacontenttype: "application/json".to_owned(),
            tenantid: tenant,
            traceparent: TraceContext::current(),
            data,
        }
    }

    /// The outbox attribute that carries this event.
    pub fn outbox(&self) -> Result<AttributeValue, serde_json::Error> {
        Ok(s(serde_json::to_string(&[self])?))
    }
}

/// The topic.
#[derive(Clone, Debug)]
pub struct Events {
    sns: Client,
    topic_arn: String,
}

/// Why events were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// SNS did not take the call.
    #[error("SNS did not take the events")]
    Sns(#[source] BoxError),
    /// SNS took the call but not all events.
    #[error("SNS refused {count} event(s), the first with {code}")]
    Refused {
        /// How many.
        count: usize,
        /// The first one's code.
        code: String,
    },
    /// An event could not be written as JSON.
    #[error("the event could not be written")]
    Encode(#[from] serde_json::Error),
}

impl Events {
    /// The topic at `topic_arn`.
    pub fn new(sns: Client, topic_arn: String) -> Self {
        Self { sns, topic_arn }
    }

    /// Publishes events, ten for each call. When some are refused the rest are out all the same, so all may be sent
    /// again.
    pub fn publish<'a, D: Serialize + Sync>(
        &'a self,
        events: &'a [Event<D>],
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            for batch in events.chunks(10) {
                let entries = batch.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
                let answer = self
                    .sns
                    .publish_batch()
                    .topic_arn(&self.topic_arn)
                    .set_publish_batch_request_entries(Some(entries))
                    .send()
                    .await
                    .map_err(|error| PublishError::Sns(error.into()))?;
                if let [first, ..] = answer.failed() {
                    return Err(PublishError::Refused { count: answer.failed().len(), code: first.code().to_owned() });
                }
            }
            Ok(())
        })
    }
}

fn entry<D: Serialize>((index, event): (usize, &Event<D>)) -> Result<PublishBatchRequestEntry, PublishError> {
    let attribute = |text: &str| {
        MessageAttributeValue::builder()
            .data_type("String")
            .string_value(text)
            .build()
            .map_err(|error| PublishError::Sns(error.into()))
    };
    let mut entry = PublishBatchRequestEntry::builder()
        .id(index.to_string())
        .message(serde_json::to_string(event)?)
        .message_attributes("type", attribute(&event.kind)?)
        .message_attributes("tenant", attribute(&event.tenantid.to_string())?);
    if let Some(trace) = event.traceparent {
        entry = entry.message_attributes(TRACEPARENT, attribute(&trace.to_string())?);
    }
    entry.build().map_err(|error| PublishError::Sns(error.into()))
}
