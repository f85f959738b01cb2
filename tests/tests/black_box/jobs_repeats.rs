//! Requests whose answer was lost, and that are sent again with their `Idempotency-Key`.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::dynamo::AttributeValue;
use tests::{Answer, Ask as _, Tenant, stack};

use crate::jobs::{act, batch, ids, job, lease, leased, path_of, read};
use crate::resources::aws;

async fn send(tenant: &Tenant, key: &str, path: &str, body: Value) -> Answer {
    tenant.request(Method::POST, path).header("idempotency-key", key).json(&body).answer().await
}

/// What is kept of the request with the key `one` that has changed what signs.
async fn kept(tenant: &Tenant, place: &str) -> Option<String> {
    let table = stack().environment("jobs.api").unwrap().get("IDEMPOTENCY_TABLE").unwrap().to_owned();
    let pk = format!("{}#POST /v2/jobs/{place}/rotate#one", tenant.id);
    let found = aws().dynamo.get_item().table_name(table).key("pk", AttributeValue::S(pk)).send().await.unwrap();
    found.item.map(|item| format!("{item:?}"))
}

fn leases(answer: &Answer) -> Vec<Value> {
    answer.json()["jobs"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_retry_that_is_sent_again_has_the_job_done_again_once() {
    let tenant = Tenant::new().await;
    let job = job(&tenant, json!({"type": "a"})).await;
    let path = format!("{}/retry", path_of(&job));
    let end = async |claim: u32| {
        let taken = leased(&tenant).await;
        assert_eq!(taken["claim"], claim);
        act(&tenant, &taken, "complete", json!({"claim": claim})).await.expect(200);
    };
    end(1).await;
    let first = send(&tenant, "one", &path, json!({})).await.expect(200);
    assert_eq!((&first.json()["state"], &first.json()["attempt"]), (&json!("queued"), &json!(0)));
    assert_eq!(read(&tenant, &job).await, first.json());
    end(2).await;
    let again = send(&tenant, "one", &path, json!({})).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!((again.json(), again.header("etag")), (first.json(), first.header("etag")));
    assert_eq!(read(&tenant, &job).await["state"], "succeeded");
    assert_eq!(lease(&tenant, "default", json!({})).await, Vec::<Value>::new());
    // Another key means it anew.
    send(&tenant, "two", &path, json!({})).await.expect(200);
    end(3).await;
}

#[tokio::test]
async fn of_many_retries_with_one_key_at_once_one_is_done() {
    let tenant = Tenant::new().await;
    let job = job(&tenant, json!({"type": "a"})).await;
    act(&tenant, &job, "cancel", json!({})).await.expect(200);
    let path = format!("{}/retry", path_of(&job));
    let answers = join_all((0..8).map(|_| send(&tenant, "one", &path, json!({})))).await;
    let bodies: Vec<_> = answers.into_iter().map(|answer| answer.expect(200).json()).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    assert_eq!(read(&tenant, &job).await, bodies[0]);
}

#[tokio::test]
async fn a_lease_that_is_sent_again_has_the_same_jobs_as_long_as_they_are_held() {
    let tenant = Tenant::new().await;
    let jobs = batch(&tenant, vec![json!({"type": "a"}); 5]).await;
    let (path, wanted) = ("/v1/queues/default/lease", json!({"max": 2, "wait_seconds": 20}));
    let first = send(&tenant, "one", path, wanted.clone()).await.expect(200);
    let taken = leases(&first);
    assert_eq!(first.header("idempotency-replayed"), "");
    assert!(taken.len() == 2 && ids(&taken).iter().all(|id| ids(&jobs).contains(id)), "{taken:?}");
    let again = send(&tenant, "one", path, wanted.clone()).await.expect(200);
    assert_eq!((leases(&again), again.header("idempotency-replayed")), (taken.clone(), "true"));
    send(&tenant, "one", path, json!({"max": 3})).await.problem(422, "idempotency-key-reused");

    act(&tenant, &taken[0], "complete", json!({"claim": 1})).await.expect(200);
    assert_eq!(leases(&send(&tenant, "one", path, wanted.clone()).await.expect(200)), taken[1..]);
    // Given back, and taken by another: it is not the first one's any more.
    act(&tenant, &taken[1], "fail", json!({"claim": 1, "class": "x", "permanent": true})).await.expect(200);
    act(&tenant, &taken[1], "retry", json!({})).await.expect(200);
    assert_eq!(lease(&tenant, "default", json!({"max": 5, "wait_seconds": 20})).await.len(), 4);
    assert_eq!(leases(&send(&tenant, "one", path, wanted.clone()).await.expect(200)), Vec::<Value>::new());
}

#[tokio::test]
async fn a_lease_that_found_nothing_may_be_sent_again() {
    let tenant = Tenant::new().await;
    let (path, wanted) = ("/v1/queues/default/lease", json!({"max": 2, "wait_seconds": 1}));
    assert_eq!(leases(&send(&tenant, "one", path, wanted.clone()).await.expect(200)), Vec::<Value>::new());
    let job = job(&tenant, json!({"type": "a"})).await;
    let taken = tests::eventually("the job", || async {
        Some(leases(&send(&tenant, "one", path, wanted.clone()).await.expect(200))).filter(|jobs| !jobs.is_empty())
    });
    assert_eq!(ids(&taken.await), ids(&[job]));
}

#[tokio::test]
async fn a_redrive_that_is_sent_again_takes_no_further_jobs() {
    let tenant = Tenant::new().await;
    let die = async |count: usize| {
        for taken in lease(&tenant, "default", json!({"max": count, "wait_seconds": 20})).await {
            let said = json!({"claim": taken["claim"], "class": "x", "permanent": true});
            act(&tenant, &taken, "fail", said).await.expect(200);
        }
    };
    let jobs = batch(&tenant, vec![json!({"type": "a"}); 5]).await;
    die(5).await;
    let (path, wanted) = ("/v1/queues/default/redrive", json!({"max": 2, "per_second": 100}));
    let sent = async |key: &str| send(&tenant, key, path, wanted.clone()).await.expect(200);
    let redrive = async |key: &str| sent(key).await.json();
    let first = sent("one").await;
    assert_eq!((first.json(), first.header("idempotency-replayed")), (json!({"matched": 5, "redriven": 2}), ""));
    assert_eq!(sent("one").await.header("idempotency-replayed"), "true");
    let dead = async || tenant.get("/v1/queues/default/dead").await.expect(200).json()["total"].clone();
    assert_eq!(redrive("one").await, json!({"matched": 5, "redriven": 2}));
    assert_eq!(dead().await, 3);
    // Nor those again that have died again.
    let again = tests::eventually("both are ready", || async {
        let taken = lease(&tenant, "default", json!({"max": 1})).await;
        Some(taken).filter(|taken| !taken.is_empty())
    });
    let again = again.await.remove(0);
    assert!(ids(&jobs).contains(&ids(std::slice::from_ref(&again))[0]));
    act(&tenant, &again, "fail", json!({"claim": 2, "class": "x", "permanent": true})).await.expect(200);
    assert_eq!(redrive("one").await, json!({"matched": 5, "redriven": 2}));
    assert_eq!(dead().await, 4);
    assert_eq!(redrive("two").await, json!({"matched": 4, "redriven": 2}));
}

#[tokio::test]
async fn a_rotation_that_is_sent_again_gives_no_second_key() {
    for (place, shown) in [("signing-secret", "secret"), ("signing-key", "public_key")] {
        let tenant = Tenant::new().await;
        let (path, wanted) = (format!("/v2/jobs/{place}/rotate"), json!({"overlap_seconds": 3600}));
        let read = async || tenant.get(&format!("/v2/jobs/{place}")).await.expect(200).json();
        let before = read().await;
        let first = send(&tenant, "one", &path, wanted.clone()).await.expect(200);
        assert_eq!((first.header("idempotency-replayed"), &first.json()), ("", &read().await));
        assert_ne!(first.json()[shown], before[shown]);
        let again = send(&tenant, "one", &path, wanted.clone()).await.expect(200);
        assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
        assert_eq!(read().await, first.json());
        assert!(kept(&tenant, place).await.is_some_and(|kept| !kept.contains(first.json()[shown].as_str().unwrap())));
        send(&tenant, "one", &path, json!({})).await.problem(422, "idempotency-key-reused");
        // A refused request does not use its key up, and of many at once one is done.
        send(&tenant, "two", &path, json!({"overlap_seconds": 604_801})).await.problem(422, "validation");
        let answers = join_all((0..8).map(|_| send(&tenant, "two", &path, wanted.clone()))).await;
        let bodies: Vec<_> = answers.into_iter().map(|answer| answer.expect(200).json()).collect();
        let now = read().await;
        assert!(bodies.iter().all(|body| *body == now), "{bodies:?}");
        // What is told again is what holds now: an old secret is of no use.
        assert_eq!(send(&tenant, "one", &path, wanted.clone()).await.expect(200).json(), now);
        assert_eq!(now["retiring"].as_array().unwrap().len(), 2, "one for each rotation");
    }
}
