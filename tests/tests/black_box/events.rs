//! Domain events, from the write that causes one to the subscriber who waits for it.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration, Timestamp, rfc3339_millis};
use tests::{Ask as _, Tenant, stack};

use crate::resources::Subscriber;

/// Checks the members that CloudEvents 1.0 and the house demand.
fn assert_cloud_event(event: &Value, tenant: &Tenant, subject: &str) {
    assert_eq!(event["specversion"], "1.0");
    assert!(event["id"].as_str().unwrap().starts_with("event_"));
    assert_eq!(event["source"], "/tenfold/links");
    assert_eq!(event["subject"], subject);
    assert_eq!(event["datacontenttype"], "application/json");
    assert_eq!(event["tenantid"], tenant.id.to_string());
    let time = event["time"].as_str().unwrap();
    let at: Timestamp = time.parse().unwrap();
    assert!(
        time.ends_with('Z') && Clock::system().now().duration_since(at).abs() < SignedDuration::from_mins(2),
        "{time}"
    );
    assert!(event["data"].is_object());
    // Attributes are lower-case letters and digits.
    for name in event.as_object().unwrap().keys() {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{name}");
    }
}

#[tokio::test]
async fn a_subscriber_learns_of_each_new_link_of_its_tenant_and_of_no_other() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let body = json!({"target": "https://example.com/"});
    other.post("/v1/links", &body).await.expect(201);
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(tenant.post("/v1/links", &body).await.expect(201).json());
    }
    for link in &links {
        let id = link["id"].as_str().unwrap();
        let event = subscriber.await_event("link.created", id).await;
        assert_cloud_event(&event, &tenant, id);
        assert_eq!(event["data"], json!({"link_id": id, "slug": link["slug"], "target": "https://example.com/"}));
    }
    assert_eq!(subscriber.events.len(), 3, "one each: {:?}", subscriber.events);
}

#[tokio::test]
async fn an_edit_or_a_deletion_tells_of_no_creation_again() {
    let tenant = Tenant::new().await;
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let body = json!({"target": "https://example.com/"});
    let first = tenant.post("/v1/links", &body).await.expect(201);
    tenant.patch(first.header("location"), &json!({"title": "edited"})).await.expect(200);
    tenant.delete(first.header("location")).await.expect(204);
    // The events of a tenant come in their order.
    let last = tenant.post("/v1/links", &body).await.expect(201).json();
    subscriber.await_event("link.created", last["id"].as_str().unwrap()).await;
    assert_eq!(subscriber.events.len(), 2, "{:?}", subscriber.events);
}

#[tokio::test]
async fn a_subscriber_learns_of_a_links_end_when_it_has_come() {
    let tenant = Tenant::new().await;
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let end = Clock::system().now() + SignedDuration::from_secs(2);
    let body = json!({"target": "https://example.com/", "expires_at": rfc3339_millis(end)});
    let request = tenant.request(Method::POST, "/v1/links").json(&body);
    let traced = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let link = traced.answer().await.expect(201).json();
    // The scheduler hands it over too: it comes twice and is told once.
    stack().tick("platform.scheduler").await.unwrap();
    let id = link["id"].as_str().unwrap();
    let event = subscriber.await_event("link.expired", id).await;
    let now = Clock::system().now();
    assert_cloud_event(&event, &tenant, id);
    let told: Timestamp = event["time"].as_str().unwrap().parse().unwrap();
    let expired_at: Timestamp = event["data"]["expired_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(rfc3339_millis(expired_at), rfc3339_millis(end));
    assert!(end <= told && told <= now, "never before its time: {told} {end}");
    assert!(now.duration_since(end) < SignedDuration::try_from(Duration::from_secs(20)).unwrap());
    assert_eq!((&event["data"]["link_id"], &event["data"]["slug"]), (&link["id"], &link["slug"]));

    // Of both, since the message of the end belongs to the request that set it.
    let contexts: Vec<_> = subscriber.events.values().map(|event| event["traceparent"].as_str().unwrap()).collect();
    assert!(contexts.iter().all(|trace| trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-")), "{contexts:?}");
    assert!(contexts.len() == 2 && contexts[0] != contexts[1], "each is of its own span: {contexts:?}");

    let last = tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201).json();
    subscriber.await_event("link.created", last["id"].as_str().unwrap()).await;
    assert_eq!(subscriber.about("link.expired", id).len(), 1);
}
