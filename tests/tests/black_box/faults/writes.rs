//! The endpoints that write, with each of their calls failing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration, rfc3339_millis};
use tests::{Answer, Ask as _, Fault, FaultProxy, Instance, Tenant, anonymous, http_event, stack};
use tokio::sync::Notify;

use super::{at_each_call, behind, done_or_unavailable, unavailable};
use crate::resources::{Subscriber, due_table, items};

async fn call(api: &Instance, tenant: &Tenant, method: &str, path: &str, body: Option<&Value>) -> Answer {
    api.http(method, path, &[("authorization", &format!("Bearer {}", tenant.api_key))], body).await
}

/// Where a visitor is sent who comes to an instance that remembers nothing: a status and a location.
async fn followed(slug: &str) -> (u16, String) {
    let door = Instance::of(&links::SERVICE, "links.redirect").await;
    let answer = door.http("GET", &format!("/l/{slug}"), &[], None).await;
    (answer.status.as_u16(), answer.header("location").to_owned())
}

/// The tenant's links, each of which is whole: found by its id as in the list, and followed to its target.
async fn whole_links(tenant: &Tenant) -> Vec<Value> {
    let list = tenant.get("/v1/links").await.expect(200).json();
    let links = list["data"].as_array().unwrap().clone();
    for link in &links {
        let found = tenant.get(&format!("/v1/links/{}", link["id"].as_str().unwrap())).await.expect(200).json();
        assert_eq!(found["target"], link["target"]);
        let target = link["target"].as_str().unwrap().to_owned();
        assert_eq!(followed(link["slug"].as_str().unwrap()).await, (302, target));
    }
    links
}

fn in_an_hour() -> String {
    rfc3339_millis(Clock::system().now() + SignedDuration::from_hours(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_create_that_is_sent_again_with_its_key_is_done_once() {
    at_each_call(|outage| async move {
        let (tenant, proxy) = (Tenant::new().await, outage.proxy().await);
        let body = json!({"target": "https://example.com/once", "expires_at": in_an_hour()});
        let bearer = format!("Bearer {}", tenant.api_key);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", "once")];

        let first = behind(&proxy, "links.api").await.http("POST", "/v1/links", &headers, Some(&body)).await;
        done_or_unavailable(&first, 201, outage);
        let again = Instance::of(&links::SERVICE, "links.api").await;
        let again = again.http("POST", "/v1/links", &headers, Some(&body)).await.expect(201);

        if first.status == 201 {
            assert_eq!(again.json(), first.json(), "{outage:?}");
            assert_eq!(again.header("idempotency-replayed"), "true");
            assert_eq!(again.header("location"), first.header("location"));
        }
        let links = whole_links(&tenant).await;
        assert_eq!(links.len(), 1, "{outage:?}");
        assert_eq!(links[0]["id"], again.json()["id"]);
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_create_makes_a_whole_link_or_none() {
    let due = due_table().await;
    let due = due.as_str();
    at_each_call(|outage| async move {
        let (tenant, proxy) = (Tenant::new().await, outage.proxy().await);
        let api = Instance::with(&links::SERVICE, "links.api", Clock::system(), |environment| {
            environment.with("AWS_ENDPOINT_URL", proxy.url()).with("DUE_TABLE", due)
        })
        .await;
        let body = json!({"target": "https://example.com/", "expires_at": in_an_hour()});
        let answer = call(&api, &tenant, "POST", "/v1/links", Some(&body)).await;
        done_or_unavailable(&answer, 201, outage);

        let links = whole_links(&tenant).await;
        if answer.status == 201 {
            assert_eq!(links.len(), 1, "{outage:?}");
            assert_eq!(links[0]["id"], answer.json()["id"]);
        }
        assert!(links.len() <= 1, "{outage:?}");
        let group = shared::dynamo::s(tenant.id.to_string());
        let ends = items(due).await.iter().filter(|entry| entry["group"] == group).count();
        assert_eq!(ends, links.len(), "each link's end will be told: {outage:?}");
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_an_alias_is_taken_by_its_first_request_alone() {
    at_each_call(|outage| async move {
        let (tenant, proxy) = (Tenant::new().await, outage.proxy().await);
        let alias = crate::resources::name("alias");
        let body = json!({"target": "https://example.com/", "alias": alias});
        let answer = call(&behind(&proxy, "links.api").await, &tenant, "POST", "/v1/links", Some(&body)).await;
        done_or_unavailable(&answer, 201, outage);
        let taken = whole_links(&tenant).await.len();
        assert!(taken == 1 || answer.status == 503, "{outage:?}");
        let again = tenant.post("/v1/links", &body).await;
        assert_eq!(again.status.as_u16(), if taken == 1 { 409 } else { 201 }, "{outage:?}");
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_an_edit_is_seen_everywhere_or_nowhere() {
    at_each_call(|outage| async move {
        let (tenant, proxy) = (Tenant::new().await, outage.proxy().await);
        let (old, new) = ("https://example.com/old", "https://example.com/new");
        let made = tenant.post("/v1/links", &json!({"target": old})).await.expect(201);
        let (path, slug) = (made.header("location").to_owned(), made.json()["slug"].as_str().unwrap().to_owned());

        let edit = json!({"target": new, "expires_at": in_an_hour()});
        let answer = call(&behind(&proxy, "links.api").await, &tenant, "PATCH", &path, Some(&edit)).await;
        done_or_unavailable(&answer, 200, outage);
        let shown = tenant.get(&path).await.expect(200).json();
        let target = shown["target"].as_str().unwrap();
        assert!(target == new || (target == old && answer.status == 503), "{outage:?}: {shown}");
        assert_eq!(shown["expires_at"].is_string(), target == new, "{outage:?}: {shown}");
        assert_eq!(followed(&slug).await, (302, target.to_owned()), "{outage:?}");

        let again = tenant.patch(&path, &edit).await.expect(200).json();
        assert_eq!(again["target"], new);
        assert_eq!(followed(&slug).await, (302, new.to_owned()));
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_deleted_link_is_gone_everywhere_or_nowhere() {
    at_each_call(|outage| async move {
        let (tenant, proxy) = (Tenant::new().await, outage.proxy().await);
        let made = tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201);
        let (path, slug) = (made.header("location").to_owned(), made.json()["slug"].as_str().unwrap().to_owned());

        let answer = call(&behind(&proxy, "links.api").await, &tenant, "DELETE", &path, None).await;
        done_or_unavailable(&answer, 204, outage);
        let shown = tenant.get(&path).await.status.as_u16();
        assert!(shown == 404 || (shown == 200 && answer.status == 503), "{outage:?}: {shown}");
        assert_eq!(followed(&slug).await.0, if shown == 404 { 404 } else { 302 }, "{outage:?}");

        tenant.delete(&path).await.expect(if shown == 404 { 404 } else { 204 });
        tenant.get(&path).await.problem(404, "not-found");
        assert_eq!(followed(&slug).await.0, 404);
        proxy.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_dynamodb_is_down_every_endpoint_says_when_to_try_again() {
    let tenant = Tenant::new().await;
    let made = tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201);
    let path = made.header("location");
    let link = json!({"target": "https://example.com/"});
    let title = json!({"title": "t"});
    for fault in super::FAULTS {
        let is_down = Arc::new(AtomicBool::new(false));
        let down = is_down.clone();
        let proxy = FaultProxy::start(move |_| down.load(Ordering::SeqCst).then_some(fault)).await;
        let api = behind(&proxy, "links.api").await;
        // The credential is known by then, so that it is the endpoint's own calls that fail.
        call(&api, &tenant, "GET", path, None).await.expect(200);
        is_down.store(true, Ordering::SeqCst);
        for (method, path, body) in [
            ("POST", "/v1/links", Some(&link)),
            ("GET", "/v1/links", None),
            ("GET", path, None),
            ("PATCH", path, Some(&title)),
            ("DELETE", path, None),
            ("GET", &format!("{path}/stats"), None),
            ("GET", "/v1/links/blocklist", None),
        ] {
            unavailable(&call(&api, &tenant, method, path, body).await, &format!("{fault:?} {method} {path}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_maker_was_killed_between_write_and_send_still_tells_its_end_once() {
    let tenant = Tenant::new().await;
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let sending = Arc::new(Notify::new());
    let told = sending.clone();
    let proxy = FaultProxy::start(move |operation| {
        (operation == "SendMessage").then(|| {
            told.notify_one();
            Fault::LostRequest
        })
    })
    .await;
    let end = Clock::system().now() + SignedDuration::from_secs(2);
    let body = json!({"target": "https://example.com/", "expires_at": rfc3339_millis(end)}).to_string();
    let bearer = format!("Bearer {}", tenant.api_key);
    let event = http_event("POST", "/v1/links", &[("authorization", &bearer)], Some(&body));
    let api = behind(&proxy, "links.api").await;
    tokio::select! {
        answer = api.invoke_and_kill(&event) => panic!("it answered before it was killed: {answer:?}"),
        () = sending.notified() => {}
    }

    let list = tenant.get("/v1/links").await.expect(200).json();
    let link = &list["data"][0];
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "the write was done: {list}");
    stack().tick("platform.scheduler").await.unwrap();
    let id = link["id"].as_str().unwrap();
    let event = subscriber.await_event("link.expired", id).await;
    assert_eq!(event["data"]["link_id"], id);

    // Another link's event comes after everything that was on its way.
    let marker = tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201).json();
    stack().tick("platform.scheduler").await.unwrap();
    subscriber.await_event("link.created", marker["id"].as_str().unwrap()).await;
    assert_eq!(subscriber.about("link.expired", id).len(), 1);
    assert_eq!(subscriber.about("link.created", id).len(), 1);
    let gone = anonymous(Method::GET, &format!("/l/{}", link["slug"].as_str().unwrap())).answer().await;
    gone.problem(410, "gone");
}

#[tokio::test]
async fn a_blocklist_whose_answer_was_lost_is_set_once_and_told_as_set() {
    let tenant = Tenant::new().await;
    let bearer = format!("Bearer {}", tenant.api_key);
    let before = tenant.get("/v1/links/blocklist").await.expect(200);
    let mut puts = 0;
    let proxy = FaultProxy::start(move |operation| {
        puts += usize::from(operation == "PutItem");
        (operation == "PutItem" && puts == 1).then_some(Fault::LostAnswer)
    })
    .await;
    let api = behind(&proxy, "links.api").await;
    let headers = [("authorization", bearer.as_str()), ("if-match", before.header("etag"))];
    let domains = json!({"domains": ["malware.example"]});
    let set = api.http("PUT", "/v1/links/blocklist", &headers, Some(&domains)).await.expect(200);
    let after = tenant.get("/v1/links/blocklist").await.expect(200);
    assert_eq!((after.json(), after.header("etag")), (domains, set.header("etag")));
    let others = json!({"domains": ["other.example"]});
    api.http("PUT", "/v1/links/blocklist", &headers, Some(&others)).await.problem(412, "precondition-failed");
}
