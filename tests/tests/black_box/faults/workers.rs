//! The counting worker and the relay: each of their calls failing, and messages that come twice and out of order.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::events::Event;
use shared::events::links::LinkCreated;
use shared::random::Random;
use shared::time::Clock;
use tests::{Fault, FaultProxy, Instance, Tenant, queue_event};

use super::{at_each_call, behind};
use crate::resources::{Subscriber, failures, name};

/// A link, and clicks of it as the redirect sends them, one for each day.
async fn clicks(tenant: &Tenant, days: &[&str]) -> (String, Vec<String>) {
    let made = tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201);
    let click = |day: &&str| {
        let at = format!("{day}T12:00:00Z");
        let id = links::click::ClickId::new(at.parse().unwrap(), &Random::system());
        json!({
            "id": id, "tenant_id": tenant.id, "link_id": made.json()["id"], "slug": made.json()["slug"], "at": at,
            "day": day, "kind": "human", "device": "desktop", "referrer": "news.example", "country": "AT",
        })
        .to_string()
    };
    (made.header("location").to_owned(), days.iter().map(click).collect())
}

fn event_of(clicks: &[String]) -> (Vec<String>, Value) {
    let ids = (0..clicks.len()).map(|index| index.to_string()).collect();
    (ids, queue_event(clicks.iter().cloned().enumerate()))
}

async fn stats(tenant: &Tenant, path: &str) -> Value {
    tenant.get(&format!("{path}/stats?from=2026-05-01&to=2026-05-31")).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_click_is_counted_once_after_its_redelivery() {
    at_each_call(|outage| async move {
        let (tenant, proxy) = (Tenant::new().await, outage.proxy().await);
        let (path, clicks) = clicks(&tenant, &["2026-05-04", "2026-05-04", "2026-05-05"]).await;
        let (ids, event) = event_of(&clicks);
        let failed = match behind(&proxy, "links.clicks").await.invoke(&event).await {
            Ok(answer) => failures(&answer),
            Err(_) => ids.clone(),
        };
        assert!(failed.iter().all(|id| ids.contains(id)), "{outage:?}: {failed:?}");
        // SQS brings again what was reported, and nothing else.
        let again: Vec<_> = failed.iter().map(|id| clicks[id.parse::<usize>().unwrap()].clone()).collect();
        let healthy = Instance::of(&links::SERVICE, "links.clicks").await;
        assert_eq!(failures(&healthy.invoke(&event_of(&again).1).await.unwrap()), Vec::<String>::new());

        let stats = stats(&tenant, &path).await;
        assert_eq!(stats["total"]["clicks"], 3, "{outage:?}: {stats}");
        assert_eq!(stats["referrers"]["news.example"], 3, "{outage:?}: {stats}");
        let days: Vec<_> = stats["days"].as_array().unwrap().iter().map(|day| day["clicks"].clone()).collect();
        assert_eq!(days, [2, 1], "{outage:?}: {stats}");
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_that_come_twice_and_out_of_order_at_several_workers_count_once_each() {
    let tenant = Tenant::new().await;
    let (path, clicks) = clicks(&tenant, &["2026-05-04"; 12]).await;
    let backwards: Vec<_> = clicks.iter().rev().cloned().collect();
    let doubled: Vec<_> = clicks.iter().chain(&backwards).cloned().collect();
    let deliveries = [clicks, backwards, doubled];
    join_all(deliveries.iter().map(|clicks| async {
        let worker = Instance::of(&links::SERVICE, "links.clicks").await;
        let mut left = clicks.clone();
        while !left.is_empty() {
            let answer = worker.invoke(&event_of(&left).1).await.unwrap();
            left = failures(&answer).iter().map(|id| left[id.parse::<usize>().unwrap()].clone()).collect();
        }
    }))
    .await;
    assert_eq!(stats(&tenant, &path).await["total"]["clicks"], 12);
}

/// A new event about `subject`, and the stream's record of an item that carries it.
fn record(tenant: &Tenant, subject: &str, sequence: &str) -> Value {
    let data = LinkCreated { link_id: subject.into(), slug: "slug".into(), target: "https://example.com/".into() };
    let event = Event::new(tenant.id, subject, data, Clock::system().now(), &Random::system());
    let outbox = event.outbox().unwrap();
    json!({
        "eventID": sequence, "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1", "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/s",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000.0, "SequenceNumber": sequence, "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES", "Keys": {"pk": {"S": subject}, "sk": {"S": "s"}},
            "NewImage": {
                "pk": {"S": subject}, "sk": {"S": "s"},
                "outbox": {"S": outbox.as_s().unwrap()},
            },
        },
    })
}

async fn relay_behind(proxy: &FaultProxy) -> Instance {
    Instance::with(&platform::SERVICE, "platform.relay", Clock::system(), |environment| {
        environment.with("AWS_ENDPOINT_URL", proxy.url())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_an_event_is_published_after_the_record_is_retried() {
    let tenant = Tenant::new().await;
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let subjects = std::sync::Mutex::new(Vec::new());
    at_each_call(|outage| {
        let (tenant, subjects) = (&tenant, &subjects);
        async move {
            let proxy = outage.proxy().await;
            let (first, second) = (name("link"), name("link"));
            let records = [record(tenant, &first, "100"), record(tenant, &second, "200")];
            let answer = relay_behind(&proxy).await.invoke(&json!({"Records": records})).await.unwrap();
            // Lambda goes on from the first record that is named.
            let failed = failures(&answer);
            let from = match failed.first().map(String::as_str) {
                None => 2,
                Some("100") => 0,
                Some("200") => 1,
                other => panic!("{outage:?}: {other:?}"),
            };
            assert!(from == 2 || outage.lasts, "a failure that does not last is retried within: {outage:?}");
            let healthy = Instance::of(&platform::SERVICE, "platform.relay").await;
            let answer = healthy.invoke(&json!({"Records": &records[from..]})).await.unwrap();
            assert_eq!(failures(&answer), Vec::<String>::new());
            subjects.lock().unwrap().extend([first, second]);
            proxy.calls().len()
        }
    })
    .await;
    for subject in subjects.into_inner().unwrap() {
        subscriber.await_event("link.created", &subject).await;
        assert_eq!(subscriber.about("link.created", &subject).len(), 1, "one id, however often it was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_holds_back_those_after_it() {
    let tenant = Tenant::new().await;
    let mut publishes = 0;
    // The first record goes out, the second does not.
    let proxy = FaultProxy::start(move |operation| {
        publishes += usize::from(operation == "PublishBatch");
        (publishes > 1).then_some(Fault::ServerError)
    })
    .await;
    let subjects = [name("link"), name("link"), name("link")];
    let records = [
        record(&tenant, &subjects[0], "100"),
        record(&tenant, &subjects[1], "200"),
        record(&tenant, &subjects[2], "300"),
    ];
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let answer = relay_behind(&proxy).await.invoke(&json!({"Records": records})).await.unwrap();
    assert_eq!(failures(&answer), ["200"], "the first that failed, and only that one");
    subscriber.await_event("link.created", &subjects[0]).await;
    subscriber.look().await;
    for subject in &subjects[1..] {
        assert!(subscriber.about("link.created", subject).is_empty());
    }
}
