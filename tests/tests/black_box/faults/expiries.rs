//! The worker that tells of ends: each of its calls failing, and messages that come twice and out of order.

use links::click::ClickId;
use serde_json::{Value, json};
use shared::dynamo::AttributeValue;
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp, rfc3339_millis};
use tests::{Answer, FaultProxy, Instance, Tenant, queue_event, stack};

use super::{at_each_call, behind};
use crate::resources::{Queue, Subscriber, aws, due_table, failures, items};

/// A place where ends are told by the test's own workers alone.
struct Shop {
    tenant: Tenant,
    due_table: String,
    queue: Queue,
    subscriber: Subscriber,
}

impl Shop {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let subscriber = Subscriber::of(&tenant.id).await;
        Self { due_table: due_table().await, queue: Queue::new().await, tenant, subscriber }
    }

    async fn call(&self, clock: &Clock, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.ask(clock, method, path, Some(body)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.json()
    }

    async fn ask(&self, clock: &Clock, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let api = Instance::with(&links::SERVICE, "links.api", clock.clone(), |environment| {
            environment.with("DUE_TABLE", &self.due_table).with("EXPIRIES_QUEUE_URL", &self.queue.url)
        })
        .await;
        let bearer = format!("Bearer {}", self.tenant.api_key);
        api.http(method, path, &[("authorization", &bearer)], body).await
    }

    /// A link that was made an hour ago and ended at `end`.
    async fn ended(&self, end: Timestamp) -> Value {
        let clock = Clock::manual(end - SignedDuration::from_hours(1));
        let body = json!({"target": "https://example.com/", "expires_at": rfc3339_millis(end)});
        self.call(&clock, "POST", "/v1/links", &body).await
    }

    /// Waits until all events that are on their way have come: those of one tenant come in their order.
    async fn settle(&mut self) {
        let last = self.tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201).json();
        self.subscriber.await_event("link.created", last["id"].as_str().unwrap()).await;
    }

    fn told(&self, link: &Value) -> Vec<&Value> {
        self.subscriber.about("link.expired", link["id"].as_str().unwrap())
    }
}

/// The message of a link's end.
fn message(tenant: &Tenant, link: &Value) -> String {
    json!({"tenant_id": tenant.id, "link_id": link["id"], "expires_at": link["expires_at"]}).to_string()
}

fn a_minute_ago() -> Timestamp {
    Clock::system().now() - SignedDuration::from_mins(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_an_end_is_told_once_after_its_redelivery() {
    let mut shop = Shop::new().await;
    let links = std::sync::Mutex::new(Vec::new());
    at_each_call(|outage| {
        let (shop, links) = (&shop, &links);
        async move {
            let proxy = outage.proxy().await;
            let link = shop.ended(a_minute_ago()).await;
            let event = queue_event([("m", message(&shop.tenant, &link))]);
            let answer = behind(&proxy, "links.expiries").await.invoke(&event).await.unwrap();
            assert!(outage.lasts || failures(&answer).is_empty(), "{outage:?}");
            let healthy = Instance::of(&links::SERVICE, "links.expiries").await;
            if !failures(&answer).is_empty() {
                let again = healthy.invoke(&event).await.unwrap();
                assert_eq!(failures(&again), Vec::<String>::new(), "{outage:?}");
            }
            links.lock().unwrap().push((outage, link));
            proxy.calls().len()
        }
    })
    .await;
    shop.settle().await;
    for (outage, link) in links.into_inner().unwrap() {
        assert_eq!(shop.told(&link).len(), 1, "{outage:?}: {:?}", shop.told(&link));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_message_comes_many_times_is_told_once() {
    let mut shop = Shop::new().await;
    let link = shop.ended(a_minute_ago()).await;
    let worker = Instance::of(&links::SERVICE, "links.expiries").await;
    let message = message(&shop.tenant, &link);
    let event = queue_event(["1", "2", "3", "4"].map(|id| (id, message.clone())));
    for _ in 0..2 {
        assert_eq!(failures(&worker.invoke(&event).await.unwrap()), Vec::<String>::new());
    }
    // An edit in between does not make it forget.
    let path = format!("/v1/links/{}", link["id"].as_str().unwrap());
    shop.call(&Clock::system(), "PATCH", &path, &json!({"title": "ended"})).await;
    assert_eq!(failures(&worker.invoke(&event).await.unwrap()), Vec::<String>::new());
    shop.settle().await;
    assert_eq!(shop.told(&link).len(), 1, "{:?}", shop.told(&link));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_end_that_is_told_in_the_middle_of_an_edit_is_told_once() {
    let mut shop = Shop::new().await;
    let link = shop.ended(a_minute_ago()).await;
    // The edit has read the link and waits before its write until the end has been told.
    let (reached, waiting) = tokio::sync::oneshot::channel();
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let mut reached = Some(reached);
    let proxy = FaultProxy::start(move |operation| {
        if let Some(reached) = reached.take_if(|_| operation == "TransactWriteItems") {
            reached.send(()).unwrap();
            tokio::task::block_in_place(|| held.recv().unwrap());
        }
        None
    })
    .await;
    let api = behind(&proxy, "links.api").await;
    let path = format!("/v1/links/{}", link["id"].as_str().unwrap());
    let bearer = format!("Bearer {}", shop.tenant.api_key);
    let editing = tokio::spawn(async move {
        api.http("PATCH", &path, &[("authorization", &bearer)], Some(&json!({"title": "ended"}))).await
    });
    waiting.await.unwrap();
    let worker = Instance::of(&links::SERVICE, "links.expiries").await;
    let event = queue_event([("m", message(&shop.tenant, &link))]);
    assert_eq!(failures(&worker.invoke(&event).await.unwrap()), Vec::<String>::new());
    go_on.send(()).unwrap();
    let edited = editing.await.unwrap().status.as_u16();
    assert!([200, 412].contains(&edited), "{edited}");

    assert_eq!(failures(&worker.invoke(&event).await.unwrap()), Vec::<String>::new());
    shop.settle().await;
    assert_eq!(shop.told(&link).len(), 1, "{:?}", shop.told(&link));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_moved_is_told_when_it_comes_and_the_old_one_never() {
    let mut shop = Shop::new().await;
    let (old, new) = (a_minute_ago(), a_minute_ago() + SignedDuration::from_secs(30));
    let link = shop.ended(old).await;
    let path = format!("/v1/links/{}", link["id"].as_str().unwrap());
    let clock = Clock::manual(old - SignedDuration::from_secs(5));
    let moved = shop.call(&clock, "PATCH", &path, &json!({"expires_at": rfc3339_millis(new)})).await;

    let worker = Instance::of(&links::SERVICE, "links.expiries").await;
    // The later message first, then the earlier one, then both again.
    let messages = [&moved, &link, &link, &moved].map(|link| message(&shop.tenant, link));
    for message in messages {
        assert_eq!(failures(&worker.invoke(&queue_event([("m", message)])).await.unwrap()), Vec::<String>::new());
    }
    shop.settle().await;
    let told = shop.told(&link);
    assert_eq!(told.len(), 1, "{told:?}");
    let told_end: Timestamp = told[0]["data"]["expired_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(rfc3339_millis(told_end), rfc3339_millis(new));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_before_its_time_is_tried_again() {
    let mut shop = Shop::new().await;
    let end = a_minute_ago();
    let link = shop.ended(end).await;
    let clock = Clock::manual(end - SignedDuration::from_millis(1));
    let worker = Instance::with(&links::SERVICE, "links.expiries", clock.clone(), |environment| environment).await;
    let event = queue_event([("m", message(&shop.tenant, &link))]);
    assert_eq!(failures(&worker.invoke(&event).await.unwrap()), ["m"]);
    clock.advance(SignedDuration::from_millis(1));
    assert_eq!(failures(&worker.invoke(&event).await.unwrap()), Vec::<String>::new());
    shop.settle().await;
    assert_eq!(shop.told(&link).len(), 1);
}

/// What is counted of a link: how many items.
async fn counted(tenant: &Tenant, link: &str) -> usize {
    let table = stack().environment("links.api").unwrap().get("LINKS_TABLE").unwrap().to_owned();
    let counts = AttributeValue::S(format!("{}#{link}", tenant.id));
    let query = aws().dynamo.query().table_name(table).key_condition_expression("pk = :counts");
    query.expression_attribute_values(":counts", counts).send().await.unwrap().items().len()
}

#[tokio::test]
async fn the_statistics_of_a_deleted_link_go_when_no_click_can_come_any_more() {
    let shop = Shop::new().await;
    let clock = Clock::manual(Clock::system().now());
    let made = json!({"target": "https://example.com/"});
    let (link, other) =
        (shop.call(&clock, "POST", "/v1/links", &made).await, shop.call(&clock, "POST", "/v1/links", &made).await);
    let (id, other) = (link["id"].as_str().unwrap(), other["id"].as_str().unwrap());
    for (link, click) in [(id, 1), (id, 2), (other, 3)] {
        let visit = json!({
            "id": ClickId::new(clock.now(), &Random::seeded(click)), "tenant_id": shop.tenant.id, "link_id": link,
            "day": format!("2026-05-0{click}"), "kind": "human", "device": "mobile", "referrer": "direct", "country": null,
        });
        let clicks = Instance::of(&links::SERVICE, "links.clicks").await;
        let answer = clicks.invoke(&queue_event([("m", visit.to_string())])).await.unwrap();
        assert_eq!(failures(&answer), Vec::<String>::new());
    }
    assert_eq!((counted(&shop.tenant, id).await, counted(&shop.tenant, other).await), (3, 2));

    let deleted = shop.ask(&clock, "DELETE", &format!("/v1/links/{id}"), None).await;
    assert_eq!(deleted.status, 204);
    let due: Vec<_> = items(&shop.due_table).await;
    let [entry] = &due[..] else { panic!("{due:?}") };
    let message = queue_event([("m", entry["body"].as_s().unwrap().clone())]);
    let erase = async || {
        let at = clock.clone();
        let worker = Instance::with(&links::SERVICE, "links.expiries", at, |environment| environment).await;
        failures(&worker.invoke(&message).await.unwrap())
    };
    clock.advance(SignedDuration::from_hours(15 * 24) - SignedDuration::from_secs(1));
    assert_eq!(erase().await, ["m"], "it is too early");
    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(entry["due_at"].as_n().unwrap(), &clock.now().as_millisecond().to_string());
    for _ in 0..2 {
        assert_eq!(erase().await, Vec::<String>::new());
        assert_eq!((counted(&shop.tenant, id).await, counted(&shop.tenant, other).await), (0, 2));
    }
}
