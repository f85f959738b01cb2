//! `platform.scheduler`: hands what is due soon to SQS, with the delay that is left, so that it arrives to the second.
//!
//! Each minute all shards are read in parallel, everything due within [`HORIZON`] is sent, and an entry is removed only
//! after SQS has taken its message. So a crash at any line, and two schedulers at once, lead to duplicates at most.
//! Where SQS or DynamoDB is away, what is left is sent by the next tick. A message that its queue can never take (the
//! queue is gone, the message too large) is set aside with the reason and holds up nothing.
//!
//! # Calls
//! A tick with nothing due: 8 queries, half a read unit each. For each 1,000 messages due: 4 queries or more (a page
//! has 250 entries and at most 1 MB), 100 sends, 1,000 removals.

mod refusal;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::send_message_batch::{SendMessageBatchError, SendMessageBatchOutput};
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use shared::dynamo::{Dynamo, DynamoError};
use shared::lambda::{Function, Runtime, Task, Tick};
use shared::queue::{HORIZON, delay_seconds, text_attribute};
use shared::telemetry::{TRACEPARENT, chain};
use shared::time::{Clock, SignedDuration, Timestamp};
use shared::{BoxError, BoxFuture};

use self::refusal::{Refusal, passes, refusal};
use crate::batch;
use crate::due::{DueIndex, DueMessage};

/// Kept back from the function's time: no page and no batch is begun after that.
const STOP_MARGIN: Duration = Duration::from_secs(10);
/// Batches of one shard that are on their way at once.
const CONCURRENT_BATCHES: usize = 2;
/// Kept free of a batch's bytes for each message's attributes.
const ATTRIBUTE_BYTES: usize = 128;
/// Removals of one batch that are on their way at once.
const CONCURRENT_REMOVALS: usize = 10;

/// Builds the function. It reads `DUE_TABLE`.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table = reader.required("DUE_TABLE");
        reader.finish()?;
        let due = DueIndex::new(Dynamo::new(runtime.aws.dynamo.clone()), table);
        let scheduler = Scheduler { due, sqs: runtime.aws.sqs.clone(), clock: runtime.clock.clone() };
        Ok(Function::schedule(&runtime, scheduler))
    })
}

/// The task.
#[derive(Debug)]
pub struct Scheduler {
    due: DueIndex,
    sqs: Client,
    clock: Clock,
}

/// What a tick came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that SQS took.
    pub sent: usize,
    /// Messages set aside for good.
    pub refused: usize,
    /// Messages that were read and are left for the next tick.
    pub left: usize,
    /// Shards that were not read to their end.
    pub cut_short: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.sent += more.sent;
        self.refused += more.refused;
        self.left += more.left;
        self.cut_short += more.cut_short;
    }
}

impl Task for Scheduler {
    async fn run(&self, tick: Tick) -> Result<(), BoxError> {
        let until = tick.now + SignedDuration::try_from(HORIZON)?;
        let shards: Vec<_> = DueIndex::shards().collect();
        let drained = join_all(shards.iter().map(|shard| self.drain(shard, until, &tick))).await;
        let mut tally = Tally::default();
        let mut failure = None;
        for (shard, (part, error)) in shards.iter().zip(drained) {
            tally += part;
            if let Some(error) = error {
                tracing::error!(shard, error = chain(&error), "a shard of the due index could not be read");
                failure = Some(error);
            }
        }
        tracing::info!(
            sent = tally.sent,
            refused = tally.refused,
            left = tally.left,
            cut_short = tally.cut_short,
            "the due index was drained"
        );
        // What could be sent is sent; the failure is counted, and the next tick tries again.
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

impl Scheduler {
    /// Sends what is due in one shard, page by page.
    async fn drain(&self, shard: &str, until: Timestamp, tick: &Tick) -> (Tally, Option<DynamoError>) {
        let mut tally = Tally::default();
        let mut after = None;
        loop {
            if !tick.has_time(STOP_MARGIN) {
                tally.cut_short = 1;
                return (tally, None);
            }
            let page = match self.due.due(shard, until, after.take()).await {
                Ok(page) => page,
                Err(error) => {
                    tally.cut_short = 1;
                    return (tally, Some(error));
                }
            };
            for (entry, fault) in &page.malformed {
                tally += self.refuse(entry, fault).await;
            }
            let batches: Vec<BoxFuture<'_, Tally>> = batches(page.messages)
                .into_iter()
                .map(|batch| -> BoxFuture<'_, _> { Box::pin(self.send(batch, tick)) })
                .collect();
            let mut sending = stream::iter(batches).buffer_unordered(CONCURRENT_BATCHES);
            while let Some(part) = sending.next().await {
                tally += part;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return (tally, None),
            }
        }
    }

    /// Sends messages of one queue. A call that is refused as a whole is repeated message by message, so that the one
    /// at fault is found.
    async fn send(&self, messages: Vec<DueMessage>, tick: &Tick) -> Tally {
        let all_left = Tally { left: messages.len(), ..Tally::default() };
        let Some(queue_url) = messages.first().map(|message| message.queue_url.clone()) else { return all_left };
        if !tick.has_time(STOP_MARGIN) {
            return all_left;
        }
        let answer = match self.call(&queue_url, &messages).await {
            Ok(answer) => answer,
            Err(error) => match refusal(&error) {
                Some(Refusal::Queue(reason)) => return self.refuse_all(&messages, &reason).await,
                Some(Refusal::Call(reason)) if messages.len() == 1 => return self.refuse_all(&messages, &reason).await,
                Some(Refusal::Call(_)) => {
                    let mut tally = Tally::default();
                    for message in messages {
                        tally += Box::pin(self.send(vec![message], tick)).await;
                    }
                    return tally;
                }
                None => {
                    tracing::warn!(queue_url, error = chain(&error), "SQS took no messages; the next tick tries again");
                    return all_left;
                }
            },
        };
        self.settle(&messages, &answer).await
    }

    async fn call(
        &self,
        queue_url: &str,
        messages: &[DueMessage],
    ) -> Result<SendMessageBatchOutput, SdkError<SendMessageBatchError>> {
        let now = self.clock.now();
        let entries: Result<Vec<_>, _> =
            messages.iter().enumerate().map(|(index, message)| entry(index, message, now)).collect();
        self.sqs
            .send_message_batch()
            .queue_url(queue_url)
            .set_entries(Some(entries.map_err(SdkError::construction_failure)?))
            .send()
            .await
    }

    /// Removes what SQS took and sets aside what it refused for good.
    async fn settle(&self, messages: &[DueMessage], answer: &SendMessageBatchOutput) -> Tally {
        let of = |id: &str| id.parse().ok().and_then(|index: usize| messages.get(index));
        let taken = answer.successful().iter().filter_map(|entry| of(entry.id()));
        let removals: Vec<BoxFuture<'_, Result<(), DynamoError>>> =
            taken.map(|message| -> BoxFuture<'_, _> { Box::pin(self.due.remove(message)) }).collect();
        let mut tally = Tally { sent: removals.len(), ..Tally::default() };
        let mut removing = stream::iter(removals).buffer_unordered(CONCURRENT_REMOVALS);
        while let Some(removed) = removing.next().await {
            if let Err(error) = removed {
                tracing::warn!(error = chain(&error), "a sent message was not removed and is sent again");
            }
        }
        for failed in answer.failed() {
            match of(failed.id()) {
                Some(message) if failed.sender_fault() && !passes(failed.code()) => {
                    let reason = format!("{}: {}", failed.code(), failed.message().unwrap_or_default());
                    tally += self.refuse(&message.entry, &reason).await;
                }
                _ => tally.left += 1,
            }
        }
        tally
    }

    async fn refuse_all(&self, messages: &[DueMessage], reason: &str) -> Tally {
        let mut tally = Tally::default();
        for message in messages {
            tally += self.refuse(&message.entry, reason).await;
        }
        tally
    }

    async fn refuse(&self, entry: &shared::dynamo::Item, reason: &str) -> Tally {
        let sk = entry.get("sk").and_then(|sk| sk.as_s().ok());
        match self.due.set_aside(entry, reason, self.clock.now()).await {
            Ok(()) => {
                tracing::error!(sk, reason, "a message can never be sent and was set aside");
                Tally { refused: 1, ..Tally::default() }
            }
            Err(error) => {
                tracing::error!(sk, reason, error = chain(&error), "a message can neither be sent nor be set aside");
                Tally { left: 1, ..Tally::default() }
            }
        }
    }
}

/// Groups messages by their queue, in the order of time, into the batches of a call each.
fn batches(messages: Vec<DueMessage>) -> Vec<Vec<DueMessage>> {
    let mut queues: BTreeMap<String, Vec<DueMessage>> = BTreeMap::new();
    for message in messages {
        queues.entry(message.queue_url.clone()).or_default().push(message);
    }
    let size = |message: &DueMessage| message.body.len() + ATTRIBUTE_BYTES;
    queues.into_values().flat_map(|queue| batch::pack(queue, size)).collect()
}

fn entry(
    index: usize,
    message: &DueMessage,
    now: Timestamp,
) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
    let left = Duration::try_from(message.due_at.duration_since(now)).unwrap_or(Duration::ZERO);
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(&message.body)
        .message_group_id(&message.group)
        .delay_seconds(delay_seconds(left));
    if let Some(trace) = message.trace {
        entry = entry.message_attributes(TRACEPARENT, text_attribute(&trace.to_string())?);
    }
    entry.build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(queue_url: &str, body: &str, due_at: i64) -> DueMessage {
        DueMessage {
            queue_url: queue_url.to_owned(),
            body: body.to_owned(),
            group: "tenant".to_owned(),
            due_at: Timestamp::from_millisecond(due_at).unwrap(),
            trace: None,
            entry: shared::dynamo::Item::new(),
        }
    }

    #[test]
    fn a_batch_holds_messages_of_one_queue_in_the_order_of_time() {
        let messages = (0..24).map(|at| message(if at % 2 == 0 { "a" } else { "b" }, "{}", at)).collect();
        let batches = batches(messages);
        let shape: Vec<_> = batches.iter().map(|batch| (batch[0].queue_url.as_str(), batch.len())).collect();
        assert_eq!(shape, [("a", 10), ("a", 2), ("b", 10), ("b", 2)]);
        for batch in &batches {
            assert!(batch.iter().all(|message| message.queue_url == batch[0].queue_url));
            assert!(batch.is_sorted_by_key(|message| message.due_at));
        }
    }

    #[test]
    fn a_message_never_arrives_early_and_what_is_late_goes_at_once() {
        let now = Timestamp::from_millisecond(10_000).unwrap();
        let delay = |due_at| entry(0, &message("a", "{}", due_at), now).unwrap().delay_seconds().unwrap();
        assert_eq!([delay(9_000), delay(10_000), delay(10_001), delay(70_000)], [0, 0, 1, 60]);
    }
}
