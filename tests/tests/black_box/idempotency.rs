//! `Idempotency-Key`: a request that is sent again is answered again, and done once.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration};
use tests::{Answer, Ask as _, Fault, FaultProxy, Instance, Tenant};

async fn send(tenant: &Tenant, key: &str, body: &Value) -> Answer {
    tenant.request(Method::POST, "/v1/links").header("idempotency-key", key).json(body).answer().await
}

async fn count(tenant: &Tenant) -> usize {
    tenant.get("/v1/links").await.expect(200).json()["data"].as_array().unwrap().len()
}

fn body() -> Value {
    json!({"target": "https://example.com/", "title": "Once"})
}

#[tokio::test]
async fn the_same_request_is_answered_again_and_done_once() {
    let tenant = Tenant::new().await;
    let first = send(&tenant, "key", &body()).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    // What happened to the link since does not change the answer.
    tenant.patch(first.header("location"), &json!({"title": "Changed"})).await.expect(200);
    for _ in 0..2 {
        let again = send(&tenant, "key", &body()).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.body, first.body);
        for name in ["location", "etag", "content-type", "cache-control", "x-content-type-options"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
    }
    assert_eq!(count(&tenant).await, 1);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_422() {
    let tenant = Tenant::new().await;
    send(&tenant, "key", &body()).await.expect(201);
    let other = json!({"target": "https://example.com/", "title": "Other"});
    send(&tenant, "key", &other).await.problem(422, "idempotency-key-reused");
    assert_eq!(count(&tenant).await, 1);
    send(&tenant, "other key", &other).await.expect(201);
    assert_eq!(count(&tenant).await, 2);
}

#[tokio::test]
async fn each_tenant_has_keys_of_its_own() {
    let (one, other) = (Tenant::new().await, Tenant::new().await);
    let first = send(&one, "key", &body()).await.expect(201).json();
    let second = send(&other, "key", &body()).await.expect(201);
    assert_eq!(second.header("idempotency-replayed"), "");
    assert_ne!(second.json()["id"], first["id"]);
}

#[tokio::test]
async fn of_twenty_requests_at_once_one_makes_a_link_and_all_agree_on_it() {
    let tenant = Tenant::new().await;
    let body = body();
    let answers = futures::future::join_all((0..20).map(|_| send(&tenant, "key", &body))).await;
    let (made, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count(), 1);
    for answer in &made {
        assert_eq!((&answer.body, answer.header("location")), (&made[0].body, made[0].header("location")));
    }
    for answer in waiting {
        assert!(!answer.header("retry-after").is_empty());
        answer.problem(409, "idempotency-in-progress");
    }
    assert_eq!(count(&tenant).await, 1);
    assert_eq!(send(&tenant, "key", &body).await.expect(201).body, made[0].body);
}

#[tokio::test]
async fn a_request_that_meets_others_each_time_is_told_by_its_key_what_to_do() {
    let tenant = Tenant::new().await;
    let bearer = &format!("Bearer {}", tenant.api_key);
    let schedule = json!({"name": "a", "cron": "0 3 * * *", "job": {"type": "noop"}});
    let rows = [
        (&links::SERVICE, "links.api", "/v2/links", body()),
        (&jobs::SERVICE, "jobs.api", "/v2/jobs", json!({"type": "noop", "unique": {"key": "a"}})),
        (&jobs::SERVICE, "jobs.api", "/v2/schedules", schedule),
    ];
    join_all(rows.iter().map(async |(service, handler, path, body)| {
        let proxy =
            FaultProxy::start(|operation| (operation == "TransactWriteItems").then_some(Fault::InTransaction)).await;
        let behind = |environment: shared::config::Environment| environment.with("AWS_ENDPOINT_URL", proxy.url());
        let api = Instance::with(service, handler, Clock::system(), behind).await;
        for (key, slug) in [("key", "idempotency-in-progress"), ("", "conflict")] {
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
            let headers = if key.is_empty() { &headers[..1] } else { &headers[..] };
            let answer = api.http("POST", path, headers, Some(body)).await;
            assert_eq!(answer.header("retry-after"), "1", "{path} {slug}");
            answer.problem(409, slug);
        }
    }))
    .await;
}

#[tokio::test]
async fn a_key_that_is_no_key_is_400() {
    let tenant = Tenant::new().await;
    for bad in ["", &"x".repeat(256), "k\u{e9}y"] {
        send(&tenant, bad, &body()).await.problem(400, "bad-request");
    }
    assert_eq!(count(&tenant).await, 0);
    for good in ["x", &"x".repeat(255), "8e03978e-40d5-43dd-bc93-6894a57f9324", "\"quoted\""] {
        send(&tenant, good, &body()).await.expect(201);
    }
}

#[tokio::test]
async fn a_refused_request_does_not_use_up_its_key() {
    let tenant = Tenant::new().await;
    send(&tenant, "key", &json!({"target": "nonsense"})).await.problem(422, "validation");
    send(&tenant, "key", &body()).await.expect(201);
}

#[tokio::test]
async fn a_key_with_an_alias_is_replayed_and_not_taken_for_a_second_link() {
    let tenant = Tenant::new().await;
    let alias = format!("once-{}", tenant.id.to_string().split('_').next_back().unwrap());
    let body = json!({"target": "https://example.com/", "alias": alias});
    let first = send(&tenant, "key", &body).await.expect(201);
    assert_eq!(send(&tenant, "key", &body).await.expect(201).body, first.body);
    send(&tenant, "another", &body).await.problem(409, "alias-taken");
}

#[tokio::test]
async fn a_key_is_kept_for_a_day() {
    let tenant = Tenant::new().await;
    let clock = Clock::manual(Clock::system().now());
    let instance = Instance::with(&links::SERVICE, "links.api", clock.clone(), |environment| environment).await;
    let send = async || {
        let headers = [("x-api-key", tenant.api_key.as_str()), ("idempotency-key", "key")];
        instance.http("POST", "/v1/links", &headers, Some(&body())).await.expect(201)
    };
    let first = send().await;
    clock.advance(SignedDuration::from_hours(24) - SignedDuration::from_secs(2));
    assert_eq!(send().await.body, first.body);
    clock.advance(SignedDuration::from_secs(2));
    let next = send().await;
    assert_ne!(next.json()["id"], first.json()["id"]);
    assert_eq!(next.header("idempotency-replayed"), "");
}
