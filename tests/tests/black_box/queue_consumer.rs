//! A queue's consumer: what it may rely on, whatever it does with its messages.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lambda_runtime::Context;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::BoxFuture;
use shared::lambda::{ConsumeError, Consumer, Function, QueueSettings, Received, Runtime};
use shared::time::Clock;
use tests::{Fault, FaultProxy, Instance, eventually, queue_event, stack};
use tokio::sync::{Notify, Semaphore};

use crate::resources::{Queue, attribute, failures, received_event};

#[derive(Debug, Deserialize)]
struct Order {
    number: u32,
}

type Outcome = BoxFuture<'static, Result<(), ConsumeError>>;

/// A consumer that does what its test says.
struct Each<F>(F);

impl<F: Fn(Received<Order>) -> Outcome + Send + Sync + 'static> Consumer for Each<F> {
    type Message = Order;

    async fn consume(&self, message: Received<Order>) -> Result<(), ConsumeError> {
        (self.0)(message).await
    }
}

/// A function of this consumer, with its own dead-letter queue.
struct Consuming {
    function: Instance,
    dead_letters: Queue,
}

impl Consuming {
    async fn new(consumer: impl Fn(Received<Order>) -> Outcome + Send + Sync + 'static) -> Self {
        Self::of("http://127.0.0.1/none", 30, None, consumer).await
    }

    async fn of(
        queue_url: &str,
        visibility_seconds: u32,
        proxy: Option<&FaultProxy>,
        consumer: impl Fn(Received<Order>) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let dead_letters = Queue::new().await;
        let environment = stack()
            .environment("links.clicks")
            .unwrap()
            .with("ORDERS_QUEUE_URL", queue_url)
            .with("ORDERS_DEAD_LETTER_URL", &dead_letters.url)
            .with("ORDERS_VISIBILITY_SECONDS", &visibility_seconds.to_string());
        let environment = match proxy {
            Some(proxy) => environment.with("AWS_ENDPOINT_URL", proxy.url()),
            None => environment,
        };
        let runtime = Runtime::new("orders.consumer", environment).unwrap();
        let settings = QueueSettings::read(&runtime.environment, "ORDERS").unwrap();
        let function = Instance::from_function(Function::queue(&runtime, settings, Each(consumer)));
        Self { function, dead_letters }
    }

    /// What the function reports as failed.
    async fn failed(&self, event: &Value) -> Vec<String> {
        failures(&self.function.invoke(event).await.unwrap())
    }

    async fn failed_within(&self, event: &Value, time: Duration) -> Vec<String> {
        let deadline = Clock::system().now().as_millisecond() + i64::try_from(time.as_millis()).unwrap();
        let mut context = Context::default();
        context.deadline = u64::try_from(deadline).unwrap();
        failures(&self.function.invoke_in(event, context).await.unwrap())
    }
}

const NONE: [&str; 0] = [];

fn order(number: u32) -> String {
    json!({ "number": number }).to_string()
}

fn orders<const N: usize>(ids: [&str; N]) -> Value {
    queue_event(ids.map(|id| (id, order(id.parse().unwrap()))))
}

#[tokio::test]
async fn each_message_comes_alone_with_its_id_and_the_number_of_its_attempt() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let consuming = Consuming::new(move |message| {
        noted.lock().unwrap().push((message.message_id, message.body.number, message.attempt));
        Box::pin(async { Ok(()) })
    })
    .await;
    let mut event = orders(["1", "2", "3"]);
    event["Records"][1]["attributes"]["ApproximateReceiveCount"] = json!("4");
    assert_eq!(consuming.failed(&event).await, NONE);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let expected =
        [("1", 1, 1), ("2", 2, 4), ("3", 3, 1)].map(|(id, number, attempt)| (id.to_owned(), number, attempt));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_message_that_fails_is_reported_and_the_others_are_done() {
    let consuming = Consuming::new(|message| {
        Box::pin(async move { if message.body.number % 2 == 1 { Err("odd".into()) } else { Ok(()) } })
    })
    .await;
    let event = orders(["1", "2", "3", "4", "5"]);
    assert_eq!(consuming.failed(&event).await, ["1", "3", "5"]);
    assert!(consuming.dead_letters.take().await.is_empty(), "SQS itself moves what has failed too often");
}

#[tokio::test]
async fn what_cannot_be_decoded_goes_to_the_dead_letters_with_the_reason_and_holds_nothing_up() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let consuming = Consuming::new(move |message| {
        noted.lock().unwrap().push(message.body.number);
        Box::pin(async { Ok(()) })
    })
    .await;
    let bodies = ["not JSON at all\u{e4}", r#"{"number": "seven"}"#, "{}"];
    let poison = bodies.iter().enumerate().map(|(index, body)| (["p0", "p1", "p2"][index], (*body).to_owned()));
    let good = [("1", order(1)), ("2", order(2))];
    assert_eq!(consuming.failed(&queue_event(poison.chain(good))).await, NONE, "it must never come again");

    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [1, 2]);
    let mut dead = consuming.dead_letters.await_messages(3).await;
    dead.sort_by_key(|message| attribute(message, "source_message_id").to_owned());
    for (index, message) in dead.iter().enumerate() {
        assert_eq!(message.body(), Some(bodies[index]), "as it came");
        assert_eq!(attribute(message, "source_message_id"), format!("p{index}"));
    }
    // Not what they say: it may be somebody's address.
    let reasons: Vec<_> = dead.iter().map(|message| attribute(message, "reason")).collect();
    let expected = [
        "it cannot be decoded: no JSON at line 1 column 2",
        "it cannot be decoded: other JSON than expected at line 1 column 18",
        "it cannot be decoded: other JSON than expected at line 1 column 2",
    ];
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn what_the_consumer_calls_poison_goes_to_the_dead_letters_with_its_reason() {
    let consuming = Consuming::new(|message| {
        let reason = format!("there is no order {}:\u{0}\n{}", message.body.number, "x".repeat(2_000));
        Box::pin(async move { if message.body.number == 2 { Err(ConsumeError::Poison(reason)) } else { Ok(()) } })
    })
    .await;
    assert_eq!(consuming.failed(&orders(["1", "2", "3"])).await, NONE);
    let dead = consuming.dead_letters.await_messages(1).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].body(), Some(order(2).as_str()));
    assert!(attribute(&dead[0], "reason").starts_with("there is no order 2:"), "{:?}", dead[0]);
}

#[tokio::test]
async fn poison_that_cannot_be_set_aside_is_not_lost() {
    for fault in [Fault::LostRequest, Fault::ServerError] {
        let proxy = FaultProxy::start(move |operation| (operation == "SendMessage").then_some(fault)).await;
        let consumer = |_| -> Outcome { Box::pin(async { Ok(()) }) };
        let consuming = Consuming::of("http://127.0.0.1/none", 30, Some(&proxy), consumer).await;
        let event = queue_event([("1", order(1)), ("p", "{".to_owned())]);
        assert_eq!(consuming.failed(&event).await, ["p"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_panic_in_the_consumer_loses_nothing() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let consuming = Consuming::new(move |message| {
        let noted = noted.clone();
        Box::pin(async move {
            assert!(message.body.number != 2, "a fault of the consumer");
            tokio::task::yield_now().await;
            noted.lock().unwrap().push(message.body.number);
            Ok(())
        })
    })
    .await;
    assert_eq!(consuming.failed(&orders(["1", "2", "3"])).await, ["2"], "it comes again; the others are done");
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [1, 3]);
}

#[tokio::test]
async fn what_was_not_begun_before_the_deadline_is_free_for_others_at_once() {
    let queue = Queue::with_visibility(600).await;
    for number in 1..=4 {
        queue.send(&order(number)).await;
    }
    let mut received = Vec::new();
    while received.len() < 4 {
        received.extend(queue.receive().await);
    }
    let begun = Arc::new(Mutex::new(0));
    let counted = begun.clone();
    let consuming = Consuming::of(&queue.url, 600, None, move |_| {
        *counted.lock().unwrap() += 1;
        Box::pin(async { Ok(()) })
    })
    .await;
    let failed = consuming.failed_within(&received_event(&received), Duration::from_secs(2)).await;
    let mut ids: Vec<_> = received.iter().map(|message| message.message_id().unwrap().to_owned()).collect();
    ids.sort();
    assert_eq!((failed, *begun.lock().unwrap()), (ids, 0));
    // Long before their visibility time-out.
    queue.await_messages(4).await;
}

#[tokio::test]
async fn work_that_was_begun_is_finished_and_what_was_not_is_reported() {
    let begun = Arc::new(AtomicUsize::new(0));
    let finish = Arc::new(Semaphore::new(0));
    let (counted, finished) = (begun.clone(), finish.clone());
    let consuming = Consuming::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let finished = finished.clone();
        Box::pin(async move {
            finished.acquire().await?.forget();
            Ok(())
        })
    })
    .await;
    // Ten are worked on at once; they end when there is no time for an eleventh, which needs three seconds.
    let (time, needed) = (Duration::from_secs(5), Duration::from_secs(3));
    let started = std::time::Instant::now();
    let event = orders(["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"]);
    let working = consuming.failed_within(&event, time);
    let finishing = async {
        eventually("ten to be begun and the time for more to be over", || async {
            let is_over = started.elapsed() > time.saturating_sub(needed);
            (begun.load(Ordering::SeqCst) == 10 && is_over).then_some(())
        })
        .await;
        finish.add_permits(12);
    };
    let (failed, ()) = tokio::join!(working, finishing);
    assert_eq!(failed, ["11", "12"]);
    assert_eq!(begun.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn work_that_does_not_end_is_reported_before_the_deadline() {
    let consuming = Consuming::new(|message| {
        Box::pin(async move {
            if message.body.number == 1 {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    })
    .await;
    let time = Duration::from_millis(3_300);
    let started = std::time::Instant::now();
    assert_eq!(consuming.failed_within(&orders(["1", "2"]), time).await, ["1"]);
    assert!(started.elapsed() < time, "the answer goes out within the function's time");
}

#[tokio::test]
async fn a_message_that_failed_comes_again_while_others_of_its_batch_are_worked_on() {
    let proxy = FaultProxy::watching().await;
    let finish = Arc::new(Notify::new());
    let finished = finish.clone();
    let consuming = Consuming::of("http://127.0.0.1/none", 2, Some(&proxy), move |message| {
        let finished = finished.clone();
        Box::pin(async move {
            match message.body.number {
                1 => Err("it does not work".into()),
                2 => Ok(()),
                _ => {
                    finished.notified().await;
                    Ok(())
                }
            }
        })
    })
    .await;
    let mut event = orders(["1", "2", "3"]);
    for number in 0..3 {
        event["Records"][number]["receiptHandle"] = json!(format!("handle {}", number + 1));
    }
    let working = consuming.failed(&event);
    let watching = async {
        eventually("the visibility to be extended", || async { (!proxy.calls().is_empty()).then_some(()) }).await;
        finish.notify_one();
    };
    let (failed, ()) = tokio::join!(working, watching);
    assert_eq!(failed, ["1"]);
    // What is done is deleted at the end of the batch only, so it must not come again before that.
    let request = &proxy.requests("ChangeMessageVisibilityBatch")[0];
    let handles: Vec<_> = request["Entries"].as_array().unwrap().iter().map(|entry| &entry["ReceiptHandle"]).collect();
    assert_eq!(handles, ["handle 2", "handle 3"]);
}

#[tokio::test]
async fn a_message_stays_invisible_for_as_long_as_it_is_worked_on() {
    let queue = Queue::with_visibility(4).await;
    queue.send(&order(1)).await;
    let received = eventually("the message", || async {
        let received = queue.receive().await;
        (!received.is_empty()).then_some(received)
    })
    .await;
    let proxy = FaultProxy::watching().await;
    let finish = Arc::new(Notify::new());
    let finished = finish.clone();
    let consuming = Consuming::of(&queue.url, 4, Some(&proxy), move |_| {
        let finished = finished.clone();
        Box::pin(async move {
            finished.notified().await;
            Ok(())
        })
    })
    .await;
    let event = received_event(&received);
    let working = consuming.failed(&event);
    let watching = async {
        eventually("the visibility time-out to be over but for its extension", || async {
            (proxy.calls().len() >= 2).then_some(())
        })
        .await;
        assert!(queue.receive().await.is_empty(), "another consumer sees it");
        finish.notify_one();
    };
    let (failed, ()) = tokio::join!(working, watching);
    assert_eq!(failed, NONE);
    for request in proxy.requests("ChangeMessageVisibilityBatch") {
        let entry = &request["Entries"][0];
        assert_eq!(entry["VisibilityTimeout"], 4, "{request}");
        assert_eq!(entry["ReceiptHandle"], received[0].receipt_handle().unwrap(), "{request}");
    }
    assert!(proxy.calls().iter().all(|operation| operation == "ChangeMessageVisibilityBatch"));
}

#[tokio::test]
async fn what_nobody_can_read_in_the_queue_of_clicks_ends_in_its_dead_letters() {
    let environment = stack().environment("links.clicks").unwrap();
    let sqs = crate::resources::aws().sqs;
    let body = crate::resources::name("no click");
    let queue_url = environment.get("CLICKS_QUEUE_URL").unwrap();
    sqs.send_message().queue_url(queue_url).message_body(&body).send().await.unwrap();
    let dead = eventually("the message among the dead letters", || async {
        let dead_letters = environment.get("CLICKS_DEAD_LETTER_URL").unwrap();
        let received = sqs.receive_message().queue_url(dead_letters).max_number_of_messages(10).visibility_timeout(1);
        let received = received.message_attribute_names("All").send().await.unwrap();
        received.messages.unwrap_or_default().into_iter().find(|message| message.body() == Some(&body))
    })
    .await;
    assert!(attribute(&dead, "reason").starts_with("it cannot be decoded: "), "{dead:?}");
}
