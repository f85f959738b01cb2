//! `platform.relay`: publishes the events that a write put into its item, from the table's stream.
//!
//! The stream's record is there if and only if the write took place, so an event is neither lost nor sent for nothing.
//! It may be published twice, with the same id. A failure of SNS fails the record, which the platform retries from
//! there. What can never be published (no event, or too large for SNS) goes to the dead-letter queue with the reason,
//! and the stream goes on. An event keeps the trace that it was made in, and its line in the log says so.
//!
//! # Calls
//! One publish for each changed item with new events (up to ten of them); none for an item without.

use shared::events::{Event, Events};
use shared::lambda::{Function, Runtime, StreamConsumer, StreamRecord};
use shared::queue::DeadLetters;
use shared::telemetry::TraceContext;
use shared::{BoxError, BoxFuture};

use crate::batch;
use crate::outbox::new_events;

/// Kept free of SNS's 256 KiB for an event's message attributes.
const ATTRIBUTE_BYTES: usize = 512;

/// Builds the function. It reads `EVENTS_TOPIC_ARN` and `RELAY_DEAD_LETTER_URL`.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let topic = reader.required("EVENTS_TOPIC_ARN");
        let dead_letter_url = reader.required("RELAY_DEAD_LETTER_URL");
        reader.finish()?;
        let relay = Relay {
            function: runtime.name,
            stage: runtime.environment.get("STAGE").unwrap_or_default().to_owned(),
            events: Events::new(runtime.aws.sns.clone(), topic),
            dead_letters: DeadLetters::new(runtime.aws.sqs.clone(), dead_letter_url),
        };
        Ok(Function::stream(&runtime, relay))
    })
}

/// The consumer of the stream.
#[derive(Debug)]
pub struct Relay {
    function: &'static str,
    stage: String,
    events: Events,
    dead_letters: DeadLetters,
}

impl StreamConsumer for Relay {
    async fn consume(&self, record: StreamRecord) -> Result<(), BoxError> {
        let found = new_events(&record.old, &record.new);
        for (text, fault) in &found.undecodable {
            self.dead_letters.put(text, &format!("it is no event: {fault}"), None).await?;
        }
        let (fitting, too_large): (Vec<_>, Vec<_>) = found
            .events
            .into_iter()
            .map(|(event, length)| (event, length + ATTRIBUTE_BYTES))
            .partition(|(_, size)| *size <= batch::MAX_BYTES);
        for (event, _) in too_large {
            self.dead_letters.put(&serde_json::to_string(&event)?, "it is too large for SNS", None).await?;
        }
        for batch in batch::pack(fitting, |(_, size)| *size) {
            let events: Vec<Event> = batch.into_iter().map(|(event, _)| event).collect();
            self.events.publish(&events).await?;
            for event in &events {
                self.log(event);
            }
        }
        Ok(())
    }
}

impl Relay {
    fn log(&self, event: &Event) {
        tracing::info!(
            function = self.function,
            stage = self.stage,
            event_id = %event.id,
            kind = event.kind,
            tenant = %event.tenantid,
            trace_id = event.traceparent.map(TraceContext::trace_id),
            "event"
        );
    }
}
