//! Clicks: counted once each, told apart, and of nobody in particular.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sqs::types::Message;
use http::Method;
use links::click::ClickId;
use serde_json::{Value, json};
use shared::random::Random;
use shared::time::Clock;
use tests::{Ask as _, Fault, FaultProxy, Instance, Tenant, anonymous, eventually, http_event, queue_event, stack};

use crate::link::{door_of, link, path_of};
use crate::resources::{Queue, attribute, failures, items};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1";

/// A link and the worker that counts its clicks, with a dead-letter queue of its own.
struct Counting {
    tenant: Tenant,
    link: Value,
    worker: Instance,
    dead_letters: Queue,
}

impl Counting {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (link, dead_letters) = (link(&tenant, json!({})).await, Queue::new().await);
        let url = dead_letters.url.clone();
        let worker = Instance::with(&links::SERVICE, "links.clicks", Clock::system(), |environment| {
            environment.with("CLICKS_DEAD_LETTER_URL", &url)
        });
        Self { worker: worker.await, tenant, link, dead_letters }
    }

    /// A click as the redirect sends it, with some of its members replaced.
    fn click(&self, changes: Value) -> String {
        let mut click = json!({
            "id": ClickId::new(Clock::system().now(), &Random::system()).to_string(),
            "tenant_id": self.tenant.id.to_string(), "link_id": self.link["id"], "day": "2026-05-04",
            "kind": "human", "device": "desktop", "referrer": "direct", "country": null,
        });
        let Value::Object(changes) = changes else { panic!("{changes} names no members") };
        click.as_object_mut().unwrap().extend(changes);
        click.to_string()
    }

    /// Gives the worker a batch, and what it reports as failed again, as SQS does.
    async fn work(&self, messages: &[(String, String)]) {
        let mut left: Vec<(String, String)> = messages.to_vec();
        for _ in 0..20 {
            let event = queue_event(left.iter().map(|(id, body)| (id.as_str(), body.clone())));
            let failed = failures(&self.worker.invoke(&event).await.unwrap());
            left.retain(|(id, _)| failed.contains(id));
            if left.is_empty() {
                return;
            }
        }
        panic!("{left:?} fails again and again");
    }

    async fn stats(&self) -> Value {
        self.stats_of("2026-05-01", "2026-05-31").await
    }

    async fn stats_of(&self, from: &str, to: &str) -> Value {
        self.tenant.get(&format!("{}/stats?from={from}&to={to}", path_of(&self.link))).await.expect(200).json()
    }
}

fn numbered(bodies: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    bodies.into_iter().enumerate().map(|(index, body)| (format!("m{index}"), body)).collect()
}

#[tokio::test]
async fn a_click_counts_once_however_often_and_in_whatever_order_it_comes() {
    let counting = Counting::new().await;
    let clicks: Vec<_> = (0..6).map(|_| counting.click(json!({}))).collect();
    let forward: Vec<_> = clicks.iter().chain(&clicks).cloned().collect();
    counting.work(&numbered(forward)).await;
    let backward: Vec<_> = clicks.iter().rev().cloned().collect();
    counting.work(&numbered(backward)).await;
    for click in &clicks {
        counting.work(&numbered([click.clone()])).await;
    }
    let stats = counting.stats().await;
    assert_eq!(stats["total"], json!({"clicks": 6, "bots": 0, "previews": 0}));
    assert_eq!(stats["days"], json!([{"day": "2026-05-04", "clicks": 6, "bots": 0, "previews": 0}]));
}

#[tokio::test]
async fn a_click_that_waited_for_months_is_known_as_counted_from_its_counting_on() {
    let counting = Counting::new().await;
    let proxy = FaultProxy::watching().await;
    let worker = Instance::with(&links::SERVICE, "links.clicks", Clock::system(), |environment| {
        environment.with("AWS_ENDPOINT_URL", proxy.url())
    })
    .await;
    let before = Clock::system().now().as_second();
    worker.invoke(&queue_event([("late", counting.click(json!({})))])).await.unwrap();
    let [counted] = proxy.requests("TransactWriteItems").try_into().unwrap();
    let removed_at: i64 =
        counted["TransactItems"][0]["Put"]["Item"]["removed_at"]["N"].as_str().unwrap().parse().unwrap();
    assert!(removed_at >= before + 30 * 24 * 60 * 60, "{counted}");
}

#[tokio::test]
async fn a_poison_message_is_set_aside_with_its_reason_and_holds_up_no_other() {
    let counting = Counting::new().await;
    let poison = ["not json".to_owned(), "{}".to_owned(), counting.click(json!({"kind": 7}))];
    let mut batch = numbered((0..3).map(|_| counting.click(json!({}))));
    batch.extend(poison.iter().enumerate().map(|(index, body)| (format!("poison{index}"), body.clone())));
    batch.extend(
        numbered((0..3).map(|_| counting.click(json!({})))).into_iter().map(|(id, body)| (format!("late-{id}"), body)),
    );
    let event = queue_event(batch.iter().map(|(id, body)| (id.as_str(), body.clone())));
    let answer = counting.worker.invoke(&event).await.unwrap();
    // Poison is done with: were it reported as failed, it would come again.
    assert_eq!(failures(&answer).iter().filter(|id| id.starts_with("poison")).count(), 0);
    counting.work(&batch[..3]).await;
    counting.work(&batch[6..]).await;
    assert_eq!(counting.stats().await["total"]["clicks"], 6);

    let mut set_aside = counting.dead_letters.await_messages(poison.len()).await;
    set_aside.sort_by_key(|message| attribute(message, "source_message_id").to_owned());
    assert_eq!(set_aside.len(), poison.len());
    for (index, message) in set_aside.iter().enumerate() {
        assert_eq!(message.body().unwrap(), poison[index]);
        assert_eq!(attribute(message, "source_message_id"), format!("poison{index}"));
        assert!(attribute(message, "reason").starts_with("it cannot be decoded: "), "{message:?}");
    }
}

#[tokio::test]
async fn visits_are_told_apart_by_kind_day_country_and_device() {
    let counting = Counting::new().await;
    let clicks = [
        json!({"country": "AT", "device": "mobile", "referrer": "news.example"}),
        json!({"country": "AT", "device": "desktop", "referrer": "news.example"}),
        json!({"country": "DE", "device": "mobile", "day": "2026-05-05", "at": "2026-05-05T00:00:00Z"}),
        json!({"kind": "bot", "country": "US", "device": "other", "referrer": "bots.example"}),
        json!({"kind": "preview", "referrer": "chat.example"}),
        json!({"kind": "preview", "day": "2026-05-06", "at": "2026-05-06T00:00:00Z"}),
        json!({"day": "2026-06-01", "at": "2026-06-01T00:00:00Z"}),
    ];
    counting.work(&numbered(clicks.map(|click| counting.click(click)))).await;
    let stats = counting.stats().await;
    assert_eq!(stats["total"], json!({"clicks": 4, "bots": 1, "previews": 2}));
    assert_eq!(
        stats["days"],
        json!([
            {"day": "2026-05-04", "clicks": 2, "bots": 1, "previews": 1},
            {"day": "2026-05-05", "clicks": 1, "bots": 0, "previews": 0},
            {"day": "2026-05-06", "clicks": 0, "bots": 0, "previews": 1},
        ])
    );
    // Where people come from, not programs.
    assert_eq!(stats["referrers"], json!({"direct": 1, "news.example": 2}));
    assert_eq!(stats["countries"], json!({"AT": 2, "DE": 1}));
    assert_eq!(stats["devices"], json!({"desktop": 1, "mobile": 2}));
}

#[tokio::test]
async fn past_the_hundredth_of_a_day_referrers_are_counted_together() {
    let counting = Counting::new().await;
    let from = |host: String| counting.click(json!({ "referrer": host }));
    for batch in numbered((0..105).map(|number| from(format!("host{number}.example")))).chunks(50) {
        counting.work(batch).await;
    }
    // A host that is known goes on to be counted, and the next day begins anew.
    let known = counting.stats().await["referrers"]
        .as_object()
        .unwrap()
        .keys()
        .find(|name| *name != "(other)")
        .unwrap()
        .clone();
    counting.work(&numbered([from(known.clone()), from("late.example".to_owned())])).await;
    counting.work(&numbered([counting.click(json!({"referrer": "late.example", "day": "2026-05-05"}))])).await;
    let (first, second) =
        (counting.stats_of("2026-05-04", "2026-05-04").await, counting.stats_of("2026-05-05", "2026-05-05").await);
    let referrers = first["referrers"].as_object().unwrap();
    assert_eq!(referrers.len(), 101, "a hundred hosts and the rest: {first}");
    assert_eq!((&referrers["(other)"], &referrers[&known]), (&json!(6), &json!(2)));
    assert_eq!(second["referrers"], json!({"late.example": 1}));
    // Over several days the hosts with the most clicks are named, and none is lost.
    let both = counting.stats().await;
    let referrers = both["referrers"].as_object().unwrap();
    assert_eq!((referrers.len(), &referrers[&known], &both["total"]["clicks"]), (101, &json!(2), &json!(108)));
    assert_eq!(referrers.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 108);
}

#[tokio::test]
async fn visits_of_the_running_stack_are_counted_by_what_they_are() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({})).await;
    let visit = async |method: Method, agent: &str, headers: &[(&str, &str)]| {
        let request = anonymous(method, &door_of(&made)).header("user-agent", agent);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).answer().await.expect(302);
    };
    visit(Method::GET, FIREFOX, &[("referer", "https://News.example/path?secret=1")]).await;
    visit(Method::GET, IPHONE, &[("cloudfront-viewer-country", "AT")]).await;
    visit(Method::GET, "Mozilla/5.0 (compatible; bingbot/2.0)", &[("referer", "https://bing.example/")]).await;
    visit(Method::GET, "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", &[]).await;
    visit(Method::GET, FIREFOX, &[("sec-purpose", "prefetch")]).await;
    visit(Method::HEAD, FIREFOX, &[]).await;
    let stats = eventually("six visits to be counted", || async {
        let stats = tenant.get(&format!("{}/stats", path_of(&made))).await.expect(200).json();
        let sum = |counts: &Value| -> u64 {
            ["clicks", "bots", "previews"].iter().map(|kind| counts[kind].as_u64().unwrap()).sum()
        };
        // The days are read beside the total, and may be a count behind it.
        let of_days: u64 = stats["days"].as_array().unwrap().iter().map(sum).sum();
        (sum(&stats["total"]) >= 6 && of_days >= 6).then_some(stats)
    })
    .await;
    assert_eq!(stats["total"], json!({"clicks": 2, "bots": 1, "previews": 3}));
    assert_eq!(stats["referrers"], json!({"direct": 1, "news.example": 1}));
    assert_eq!((&stats["countries"], &stats["devices"]), (&json!({"AT": 1}), &json!({"desktop": 1, "mobile": 1})));
}

#[tokio::test]
async fn what_leads_nowhere_is_no_click() {
    let tenant = Tenant::new().await;
    let queue = Queue::new().await;
    let url = queue.url.clone();
    let redirect = Instance::with(&links::SERVICE, "links.redirect", Clock::system(), |environment| {
        environment.with("CLICKS_QUEUE_URL", &url)
    })
    .await;
    let (plain, locked) = (link(&tenant, json!({})).await, link(&tenant, json!({"password": "correct horse"})).await);
    let archived = link(&tenant, json!({})).await;
    tenant.patch(&path_of(&archived), &json!({"archived": true})).await.expect(200);
    for (method, path) in [
        ("GET", format!("{}+", door_of(&plain))),
        ("GET", door_of(&locked)),
        ("POST", door_of(&locked)),
        ("GET", door_of(&archived)),
        ("GET", "/l/never-made".to_owned()),
    ] {
        assert_ne!(redirect.http(method, &path, &[], None).await.status.as_u16() / 100, 3, "{path}");
    }
    redirect.http("GET", &door_of(&plain), &[], None).await.expect(302);
    let clicks = queue.await_messages(1).await;
    assert_eq!(clicks.len(), 1);
    assert!(clicks[0].body().unwrap().contains(plain["id"].as_str().unwrap()));
}

#[tokio::test]
async fn an_instance_whose_time_ends_while_it_sends_its_clicks_loses_none() {
    let (tenant, queue) = (Tenant::new().await, Queue::new().await);
    let made = link(&tenant, json!({})).await;
    // The queue takes one, and is silent then.
    let silent = Arc::new(AtomicBool::new(true));
    let (silence, mut sends) = (silent.clone(), 0);
    let network = FaultProxy::start(move |operation| {
        sends += usize::from(operation == "SendMessage");
        (operation == "SendMessage" && sends > 1 && silence.load(Ordering::SeqCst)).then_some(Fault::Silence)
    })
    .await;
    let environment = stack().environment("links.redirect").unwrap();
    let environment = environment.with("CLICKS_QUEUE_URL", &queue.url).with("AWS_ENDPOINT_URL", network.url());
    let door = links::SERVICE.build("links.redirect", environment).await.unwrap();
    let visit = serde_json::value::to_raw_value(&http_event("GET", &door_of(&made), &[], None)).unwrap();
    for _ in 0..30 {
        door.invoke(visit.clone(), lambda_runtime::Context::default()).await.unwrap();
    }
    tokio::select! {
        () = door.after_response() => panic!("it waits for the queue"),
        () = eventually("several to be on their way", || async {
            (network.requests("SendMessage").len() == 11).then_some(())
        }) => {}
    }

    silent.store(false, Ordering::SeqCst);
    door.after_response().await;
    let mut ids: Vec<_> = queue.await_messages(30).await.iter().map(click_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 30);
    let sent = network.requests("SendMessage").len();
    door.after_response().await;
    assert_eq!(network.requests("SendMessage").len(), sent, "none is left");
}

fn click_id(message: &Message) -> String {
    let click: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    click["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_personal_is_sent_or_stored() {
    let tenant = Tenant::new().await;
    let made = link(&tenant, json!({})).await;
    let (queue, dead_letters) = (Queue::new().await, Queue::new().await);
    let (url, dead) = (queue.url.clone(), dead_letters.url.clone());
    let redirect = Instance::with(&links::SERVICE, "links.redirect", Clock::system(), |environment| {
        environment.with("CLICKS_QUEUE_URL", &url)
    })
    .await;
    let headers = [
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) PersonalBrowser/7"),
        ("referer", "https://news.example/personal?personal=1"),
        ("x-forwarded-for", "203.0.113.7"),
        ("cookie", "personal=1"),
        ("accept-language", "gsw-LI"),
    ];
    let mut event = http_event("GET", &door_of(&made), &headers, None);
    event["requestContext"]["http"]["sourceIp"] = json!("203.0.113.7");
    event["requestContext"]["http"]["userAgent"] = json!("PersonalBrowser/7");
    assert_eq!(redirect.invoke(&event).await.unwrap()["statusCode"], 302);
    let message = queue.await_messages(1).await.remove(0);
    let is_personal =
        |text: &str| ["personal", "203.0.113.7", "gsw"].iter().any(|trace| text.to_lowercase().contains(trace));
    assert!(!is_personal(&format!("{message:?}")), "{message:?}");

    let worker = Instance::with(&links::SERVICE, "links.clicks", Clock::system(), |environment| {
        environment.with("CLICKS_DEAD_LETTER_URL", &dead)
    })
    .await;
    let answer = worker.invoke(&queue_event([("m", message.body().unwrap().to_owned())])).await.unwrap();
    assert!(failures(&answer).is_empty());
    let table = stack().environment("links.clicks").unwrap().get("LINKS_TABLE").unwrap().to_owned();
    let own: Vec<_> =
        items(&table).await.into_iter().filter(|item| format!("{item:?}").contains(&tenant.id.to_string())).collect();
    assert!(own.len() >= 5, "the link's two items, the click, the day and the total: {own:?}");
    assert!(!is_personal(&format!("{own:?}")), "{own:?}");
}
