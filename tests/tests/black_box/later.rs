//! Sending later: what is due is handed to SQS in time, and what can never be sent holds nothing up.

use std::collections::BTreeSet;

use aws_sdk_sqs::types::QueueAttributeName;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::dynamo::{AttributeValue, Dynamo};
use shared::queue::{HORIZON, LONGEST_DELAY, Message, Sender};
use shared::random::Random;
use shared::telemetry::TraceContext;
use shared::time::{Clock, SignedDuration, Timestamp, rfc3339_millis};
use tests::{FaultProxy, Instance, stack};

use crate::resources::{Queue, attribute, aws, due_table, items};

/// A due index of the test's own, at a time of its own.
struct Later {
    table: String,
    clock: Clock,
    sender: Sender,
    sends: FaultProxy,
    scheduler_calls: FaultProxy,
    scheduler: Instance,
}

impl Later {
    async fn new() -> Self {
        let (table, clock) = (due_table().await, Clock::manual("2030-01-01T00:00:00Z".parse().unwrap()));
        let (sends, scheduler_calls) = (FaultProxy::watching().await, FaultProxy::watching().await);
        let environment = stack().environment("links.api").unwrap().with("AWS_ENDPOINT_URL", sends.url());
        let client = shared::aws::Aws::new(&environment).unwrap();
        let sender = Sender::new(client.sqs, Dynamo::new(client.dynamo), table.clone(), clock.clone());
        let scheduler = Self::scheduler(&table, &clock, &scheduler_calls).await;
        Self { table, clock, sender, sends, scheduler_calls, scheduler }
    }

    async fn scheduler(table: &str, clock: &Clock, proxy: &FaultProxy) -> Instance {
        Instance::with(&platform::SERVICE, "platform.scheduler", clock.clone(), |environment| {
            environment.with("DUE_TABLE", table).with("AWS_ENDPOINT_URL", proxy.url())
        })
        .await
    }

    async fn send_at(&self, queue: &Queue, id: &str, at: Timestamp) {
        let message = Message::json(&queue.url, "tenant", id, &json!({ "id": id })).unwrap();
        self.sender.send_at(&message, at).await.unwrap();
    }

    async fn tick(&self) {
        self.scheduler.invoke(&json!({})).await.unwrap();
    }

    /// The delays of what the scheduler has handed to SQS, in seconds.
    fn delays(&self) -> Vec<u64> {
        let requests = self.scheduler_calls.requests("SendMessageBatch");
        let entries = requests.iter().flat_map(|request| request["Entries"].as_array().unwrap().clone());
        entries.map(|entry| entry["DelaySeconds"].as_u64().unwrap()).collect()
    }

    async fn waiting(&self) -> usize {
        items(&self.table).await.len()
    }
}

fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

fn ids(messages: &[aws_sdk_sqs::types::Message]) -> BTreeSet<String> {
    let id =
        |message: &aws_sdk_sqs::types::Message| -> Value { serde_json::from_str(message.body().unwrap()).unwrap() };
    messages.iter().map(|message| id(message)["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_is_due_within_fifteen_minutes_is_delayed_by_the_queue_itself() {
    let (later, queue, at_once) = (Later::new().await, Queue::new().await, Queue::new().await);
    let now = later.clock.now();
    for (id, at, delay) in [
        ("past", now - seconds(5), 0),
        ("now", now, 0),
        ("soon", now + SignedDuration::from_millis(1), 1),
        ("second", now + seconds(7), 7),
        ("not early", now + SignedDuration::from_millis(7_001), 8),
        ("longest", now + SignedDuration::try_from(LONGEST_DELAY).unwrap(), 900),
    ] {
        later.send_at(if delay == 0 { &at_once } else { &queue }, id, at).await;
        let sent = later.sends.requests("SendMessage").pop().unwrap();
        assert_eq!(sent["DelaySeconds"], delay, "{id}: {sent}");
    }
    assert_eq!(later.waiting().await, 0);
    assert_eq!(ids(&at_once.drain().await), ["past", "now"].map(str::to_owned).into());
    let delayed = queue.attribute(QueueAttributeName::ApproximateNumberOfMessagesDelayed).await;
    assert!(["3", "4"].contains(&&*delayed), "{delayed}: that of a second may have arrived");
}

#[tokio::test]
async fn what_is_due_later_waits_in_the_due_index_and_arrives_to_the_second() {
    let (later, queue) = (Later::new().await, Queue::new().await);
    let start = later.clock.now();
    let in_20_minutes = start + seconds(20 * 60);
    let next_year = start + SignedDuration::from_hours(24 * 365) + SignedDuration::from_millis(500);
    later.send_at(&queue, "minutes", in_20_minutes).await;
    later.send_at(&queue, "years", next_year).await;
    assert!(later.sends.requests("SendMessage").is_empty(), "SQS cannot delay it so long");
    assert_eq!(later.waiting().await, 2);

    let horizon = SignedDuration::try_from(HORIZON).unwrap();
    // A millisecond before it comes into sight nothing moves.
    later.clock.advance(in_20_minutes.duration_since(start) - horizon - SignedDuration::from_millis(1));
    later.tick().await;
    assert_eq!((later.delays(), later.waiting().await), (vec![], 2));
    later.clock.advance(SignedDuration::from_millis(1));
    later.tick().await;
    assert_eq!((later.delays(), later.waiting().await), (vec![150], 1));
    assert!(queue.take().await.is_empty(), "it is not there before its time");

    // Whenever the tick comes within the horizon, the delay makes up for it, rounded up.
    later.clock.advance(next_year.duration_since(later.clock.now()) - seconds(42));
    later.tick().await;
    assert_eq!((later.delays(), later.waiting().await), (vec![150, 42], 0));
    later.clock.advance(seconds(600));
    later.tick().await;
    assert_eq!(later.delays().len(), 2, "it is sent once");
}

#[tokio::test]
async fn a_message_keeps_its_trace_however_long_it_waits() {
    let (later, queue) = (Later::new().await, Queue::new().await);
    let trace = TraceContext::continue_or_start(None, &Random::seeded(7));
    let next_year = later.clock.now() + SignedDuration::from_hours(24 * 365);
    // Each is made as part of the trace, and sent when that has ended.
    for (id, at) in [("now", later.clock.now()), ("next year", next_year)] {
        let message =
            trace.scope(async { Message::json(&queue.url, "tenant", id, &json!({ "id": id })) }).await.unwrap();
        later.sender.send_at(&message, at).await.unwrap();
    }
    later.send_at(&queue, "of none", next_year).await;
    later.clock.advance(next_year.duration_since(later.clock.now()));
    later.tick().await;
    let messages = queue.await_messages(3).await;
    let traced = messages.iter().filter(|message| attribute(message, "traceparent") == trace.to_string());
    assert_eq!(ids(&traced.cloned().collect::<Vec<_>>()), ["now", "next year"].map(str::to_owned).into());
    let bare = messages.iter().filter(|message| attribute(message, "traceparent").is_empty());
    assert_eq!(ids(&bare.cloned().collect::<Vec<_>>()), ["of none".to_owned()].into());
}

#[tokio::test]
async fn what_is_late_is_sent_at_once() {
    let (later, queue) = (Later::new().await, Queue::new().await);
    later.send_at(&queue, "late", later.clock.now() + seconds(1_000)).await;
    // The scheduler was away for an hour.
    later.clock.advance(seconds(3_600));
    later.tick().await;
    assert_eq!(later.delays(), [0]);
    assert_eq!(ids(&queue.await_messages(1).await), ["late".to_owned()].into());
}

#[tokio::test]
async fn a_message_of_the_same_id_and_time_replaces_the_first() {
    let (later, queue) = (Later::new().await, Queue::new().await);
    let at = later.clock.now() + seconds(1_000);
    for text in ["first", "second"] {
        let message = Message::json(&queue.url, "tenant", "one", &json!({ "id": text })).unwrap();
        later.sender.send_at(&message, at).await.unwrap();
    }
    assert_eq!(later.waiting().await, 1);
    later.clock.advance(seconds(1_000));
    later.tick().await;
    assert_eq!(ids(&queue.await_messages(1).await), ["second".to_owned()].into());
}

#[tokio::test]
async fn the_message_of_a_queue_that_is_gone_is_set_aside_and_holds_nothing_up() {
    let (later, queue, gone) = (Later::new().await, Queue::new().await, Queue::new().await);
    let at = later.clock.now() + seconds(1_000);
    for number in 0..12 {
        later.send_at(&gone, &format!("gone {number}"), at).await;
        later.send_at(&queue, &format!("there {number}"), at).await;
    }
    gone.delete().await;
    later.clock.advance(seconds(1_000));
    later.tick().await;
    let expected: BTreeSet<_> = (0..12).map(|number| format!("there {number}")).collect();
    assert_eq!(ids(&queue.await_messages(12).await), expected);

    let left = items(&later.table).await;
    assert_eq!(left.len(), 12);
    for entry in &left {
        let text = |name: &str| entry[name].as_s().unwrap().clone();
        assert_eq!(text("pk"), "due#refused");
        assert!(text("id").starts_with("gone "));
        assert!(text("refused_from").starts_with("due#") && text("refused_from") != "due#refused");
        assert_eq!(text("refused_at"), rfc3339_millis(later.clock.now()));
        assert!(!text("reason").is_empty());
    }
    let calls = later.scheduler_calls.calls().len();
    later.tick().await;
    let again = later.scheduler_calls.calls()[calls..].to_vec();
    assert!(again.iter().all(|operation| operation == "Query"), "what was set aside is not tried again: {again:?}");
}

#[tokio::test]
async fn an_entry_that_is_no_message_is_set_aside_and_holds_nothing_up() {
    let (later, queue) = (Later::new().await, Queue::new().await);
    let at = later.clock.now() + seconds(1_000);
    later.send_at(&queue, "good", at).await;
    let (shard, sort) = shared::queue::due_key("good", at - seconds(1));
    let bad = [("pk", shard), ("sk", sort), ("due_at", "soon".to_owned())];
    let bad = bad.map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
    aws().dynamo.put_item().table_name(&later.table).set_item(Some(bad.into())).send().await.unwrap();
    later.clock.advance(seconds(1_000));
    later.tick().await;
    assert_eq!(ids(&queue.await_messages(1).await), ["good".to_owned()].into());
    let left = items(&later.table).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["pk"], AttributeValue::S("due#refused".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_is_drained_in_one_tick_and_by_several_schedulers_at_once() {
    let (later, queue) = (Later::new().await, Queue::new().await);
    let at = later.clock.now() + seconds(1_000);
    let dynamo = Dynamo::new(aws().dynamo);
    // All in one shard, whose page has 250 entries.
    let all: Vec<_> = (0..)
        .map(|number| format!("{number}"))
        .filter(|id| shared::queue::due_key(id, at).0 == "due#3")
        .take(300)
        .collect();
    for some in all.chunks(100) {
        let writes = some.iter().map(|id| {
            let message = Message::json(&queue.url, "tenant", id, &json!({ "id": id })).unwrap();
            later.sender.due_write(&message, at)
        });
        dynamo.transact(writes.collect()).await.unwrap();
    }
    later.clock.advance(seconds(1_000));
    let second = Later::scheduler(&later.table, &later.clock, &later.scheduler_calls).await;
    join_all([later.scheduler.invoke(&json!({})), second.invoke(&json!({}))]).await.into_iter().for_each(|tick| {
        tick.unwrap();
    });
    assert_eq!(later.waiting().await, 0);
    let arrived = ids(&queue.drain().await);
    assert_eq!(arrived, all.into_iter().collect(), "none is missing; some may have come twice");
}

#[tokio::test]
async fn a_scheduler_that_has_little_time_leaves_the_rest_to_the_next_tick() {
    let (later, queue) = (Later::new().await, Queue::new().await);
    later.send_at(&queue, "one", later.clock.now() + seconds(1_000)).await;
    later.clock.advance(seconds(1_000));
    let mut context = lambda_runtime::Context::default();
    context.deadline = u64::try_from(Clock::system().now().as_millisecond()).unwrap() + 2_000;
    later.scheduler.invoke_in(&json!({}), context).await.unwrap();
    assert!(later.scheduler_calls.calls().is_empty(), "nothing is begun that may not be finished");
    later.tick().await;
    queue.await_messages(1).await;
}
