//! What is asked for twice is made once: jobs that are the only ones of their key, and requests with an `Idempotency-Key`.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tests::{Answer, Ask as _, Tenant, eventually};

use crate::jobs::{act, ended, ids, job, lease, leased, path_of};

async fn send(tenant: &Tenant, key: &str, body: &Value) -> Answer {
    tenant.request(Method::POST, "/v1/jobs").header("idempotency-key", key).json(body).answer().await
}

async fn count(tenant: &Tenant) -> usize {
    tenant.get("/v1/jobs").await.expect(200).json()["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_again_and_done_once() {
    let tenant = Tenant::new().await;
    let body = json!({"type": "a", "payload": {"n": 1}});
    let first = send(&tenant, "key", &body).await.expect(201);
    // What happened to the job since does not change the answer.
    act(&tenant, &first.json(), "cancel", json!({})).await.expect(200);
    let again = send(&tenant, "key", &body).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
    for name in ["location", "etag", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    send(&tenant, "key", &json!({"type": "b"})).await.problem(422, "idempotency-key-reused");
    send(&tenant, "", &body).await.problem(400, "bad-request");
    assert_eq!(count(&tenant).await, 1);
    send(&tenant, "other key", &body).await.expect(201);
    send(&Tenant::new().await, "key", &body).await.expect(201);
    assert_eq!(count(&tenant).await, 2);
    // A refused request does not use its key up.
    send(&tenant, "third", &json!({"type": "A"})).await.problem(422, "validation");
    send(&tenant, "third", &body).await.expect(201);
}

#[tokio::test]
async fn of_twenty_requests_with_one_key_at_once_one_makes_a_job_and_all_agree_on_it() {
    let tenant = Tenant::new().await;
    let body = json!({"type": "noop"});
    let answers = join_all((0..20).map(|_| send(&tenant, "key", &body))).await;
    let (made, waiting): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count(), 1);
    for answer in &made {
        assert_eq!((&answer.body, answer.header("location")), (&made[0].body, made[0].header("location")));
    }
    for answer in waiting {
        answer.problem(409, "idempotency-in-progress");
    }
    assert_eq!(count(&tenant).await, 1);
    assert_eq!(ended(&tenant, &made[0].json()).await["attempt"], 1);
}

#[tokio::test]
async fn a_job_is_the_only_one_of_its_type_queue_and_key_until_it_has_ended() {
    let tenant = Tenant::new().await;
    let body = json!({"type": "a", "unique": {"key": "\u{e4} customer 1"}});
    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    let first = job(&tenant, body.clone()).await;
    let existing = tenant.post("/v1/jobs", &with("payload", json!(1))).await.expect(200);
    assert_eq!(existing.header("location"), path_of(&first));
    assert_eq!(existing.json(), first);
    for other in [
        with("type", json!("b")),
        with("queue", json!("other")),
        with("unique", json!({"key": "\u{e4} customer 2"})),
        json!({"type": "a"}),
    ] {
        job(&tenant, other).await;
    }
    job(&Tenant::new().await, body.clone()).await;
    // While it runs, fails and waits for its next attempt, too.
    let taken =
        lease(&tenant, "default", json!({"max": 32})).await.into_iter().find(|job| job["id"] == first["id"]).unwrap();
    assert_eq!(tenant.post("/v1/jobs", &body).await.expect(200).json()["state"], "running");
    act(&tenant, &taken, "fail", json!({"claim": 1, "class": "x", "retry_after_seconds": 3600})).await.expect(200);
    assert_eq!(tenant.post("/v1/jobs", &body).await.expect(200).json()["state"], "retrying");
    act(&tenant, &taken, "cancel", json!({})).await.expect(200);
    let second = job(&tenant, body.clone()).await;
    assert_ne!(second["id"], first["id"]);
    // One that is done again does not take the key back.
    act(&tenant, &first, "retry", json!({})).await.expect(200);
    assert_eq!(tenant.post("/v1/jobs", &body).await.expect(200).json()["id"], second["id"]);
    let jobs = lease(&tenant, "default", json!({"max": 32})).await;
    for job in jobs.iter().filter(|job| job["id"] == first["id"]) {
        act(&tenant, job, "complete", json!({"claim": job["claim"]})).await.expect(200);
    }
    assert_eq!(tenant.post("/v1/jobs", &body).await.expect(200).json()["id"], second["id"]);
}

#[tokio::test]
async fn every_end_frees_the_key() {
    let tenant = Tenant::new().await;
    let body = json!({"type": "a", "unique": {"key": "k"}});
    for (verb, said) in
        [("complete", json!({"claim": 1})), ("fail", json!({"claim": 1, "class": "x", "permanent": true}))]
    {
        let first = job(&tenant, body.clone()).await;
        assert_eq!(tenant.post("/v1/jobs", &body).await.expect(200).json()["id"], first["id"]);
        act(&tenant, &leased(&tenant).await, verb, said).await.expect(200);
    }
    let noop = json!({"type": "noop", "unique": {"key": "k"}});
    let first = job(&tenant, noop.clone()).await;
    ended(&tenant, &first).await;
    assert_ne!(ids(&[job(&tenant, noop).await]), ids(&[first]));
}

#[tokio::test]
async fn a_job_stays_the_only_one_for_a_period_though_it_has_ended() {
    let tenant = Tenant::new().await;
    let long = json!({"type": "noop", "unique": {"key": "long", "period_seconds": 2_678_400}});
    let first = job(&tenant, long.clone()).await;
    ended(&tenant, &first).await;
    let existing = tenant.post("/v1/jobs", &long).await.expect(200).json();
    assert_eq!((&existing["id"], &existing["state"]), (&first["id"], &json!("succeeded")));

    let short = json!({"type": "noop", "delay_seconds": 3600, "unique": {"key": "short", "period_seconds": 1}});
    let first = job(&tenant, short.clone()).await;
    let next = eventually("the end of the period", || async {
        let answer = tenant.post("/v1/jobs", &short).await;
        assert!(answer.status == 200 || answer.status == 201, "{answer:?}");
        (answer.status == 201).then(|| answer.json())
    })
    .await;
    let time = |job: &Value| job["created_at"].as_str().unwrap().parse::<shared::time::Timestamp>().unwrap();
    assert!(time(&next).duration_since(time(&first)).as_millis() >= 1000);
}

#[tokio::test]
async fn of_twenty_requests_for_one_unique_job_at_once_one_makes_it_and_the_others_are_answered_with_it() {
    let tenant = Tenant::new().await;
    let body = json!({"type": "a", "unique": {"key": "k"}});
    let answers = join_all((0..20).map(|_| tenant.post("/v1/jobs", &body))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 19, "{statuses:?}");
    for answer in &answers {
        assert_eq!(answer.json()["id"], answers[0].json()["id"]);
    }
    // In one batch as well.
    let body = json!({"type": "b", "unique": {"key": "k"}});
    let answer = tenant.post("/v1/jobs/batch", &json!({"jobs": vec![&body; 20]})).await.expect(200).json();
    let outcomes: Vec<_> =
        answer["results"].as_array().unwrap().iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "created").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "existing").count(), 19, "{outcomes:?}");
    assert_eq!(count(&tenant).await, 2);
}

#[tokio::test]
async fn a_batch_that_is_sent_again_with_its_key_makes_each_job_once() {
    let tenant = Tenant::new().await;
    let send = |key: &'static str, body: Value| {
        tenant.request(Method::POST, "/v1/jobs/batch").header("idempotency-key", key).json(&body).answer()
    };
    let batch = json!({"jobs": [{"type": "a"}, {"type": "b", "delay_seconds": 3600}, {"type": "a"}]});
    let first = send("one", batch.clone()).await.expect(200).json();
    assert_eq!(send("one", batch.clone()).await.expect(200).json(), first);
    assert_eq!(count(&tenant).await, 3);
    let other = json!({"jobs": [{"type": "a"}]});
    send("one", other.clone()).await.problem(422, "idempotency-key-reused");
    assert_ne!(
        send("two", batch).await.expect(200).json()["results"][0]["job"]["id"],
        first["results"][0]["job"]["id"]
    );
    send("", other).await.problem(400, "bad-request");
    assert_eq!(count(&tenant).await, 6);
}
