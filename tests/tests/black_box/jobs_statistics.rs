//! The numbers of a queue: how many of its jobs stand where, how long they have waited, and how often attempts fail.

use http::Method;
use serde_json::{Value, json};
use shared::dynamo::AttributeValue;
use tests::{Ask as _, Tenant, eventually, stack};

use crate::jobs::{act, batch, ended, job, lease, leased, set_queue};
use crate::resources::aws;

/// The numbers of a queue, now.
async fn statistics(tenant: &Tenant, queue: &str) -> Value {
    tenant.get(&format!("/v1/queues/{queue}")).await.expect(200).json()["statistics"].clone()
}

/// The numbers of a queue when so many jobs stand where `depth` says, and nowhere else.
async fn when(tenant: &Tenant, queue: &str, depth: Value) -> Value {
    let mut wanted = json!({
        "blocked": 0, "scheduled": 0, "queued": 0, "running": 0, "retrying": 0, "succeeded": 0, "dead": 0, "cancelled": 0,
    });
    wanted.as_object_mut().unwrap().extend(depth.as_object().unwrap().clone());
    eventually(&format!("{queue} to have {depth}"), || async {
        let statistics = statistics(tenant, queue).await;
        (statistics["depth"] == wanted).then_some(statistics)
    })
    .await
}

/// Rates are of a window that goes on: this is how often it was.
fn count(statistics: &Value, what: &str) -> String {
    let minutes = statistics["window_seconds"].as_f64().unwrap() / 60.0;
    format!("{:.1}", statistics["per_minute"][what].as_f64().unwrap() * minutes)
}

#[tokio::test]
async fn a_queue_shows_what_has_become_of_its_jobs() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    set_queue(&other, "default", json!({})).await;
    let new = |more: Value| {
        let mut new = json!({"type": "a", "backoff": {"kind": "fixed", "seconds": 3600}});
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        new
    };
    job(&tenant, new(json!({}))).await;
    act(&tenant, &leased(&tenant).await, "complete", json!({"claim": 1})).await.expect(200);
    for permanent in [true, false] {
        job(&tenant, new(json!({}))).await;
        let failure = json!({"claim": 1, "class": "x", "permanent": permanent});
        act(&tenant, &leased(&tenant).await, "fail", failure).await.expect(200);
    }
    let cancelled = job(&tenant, new(json!({}))).await;
    act(&tenant, &cancelled, "cancel", json!({})).await.expect(200);
    job(&tenant, new(json!({}))).await;
    leased(&tenant).await;
    job(&tenant, new(json!({"delay_seconds": 100_000}))).await;
    job(&tenant, new(json!({"delay_seconds": 200}))).await;
    let queued = job(&tenant, new(json!({}))).await;
    job(&tenant, new(json!({"depends_on": [queued["id"]]}))).await;

    let depth = json!({
        "blocked": 1, "scheduled": 2, "queued": 1, "running": 1, "retrying": 1, "succeeded": 1, "dead": 1, "cancelled": 1,
    });
    let statistics = when(&tenant, "default", depth.clone()).await;
    assert!(statistics["oldest_queued_seconds"].as_u64().is_some(), "{statistics}");
    assert_eq!(statistics["error_rate"], 0.667);
    let counts = ["made", "succeeded", "failed_attempts", "dead", "cancelled"].map(|what| count(&statistics, what));
    assert_eq!(counts, ["9.0", "1.0", "2.0", "1.0", "1.0"]);
    let window = statistics["window_seconds"].as_u64().unwrap();
    assert!((840..900).contains(&window), "{window}");

    let list = tenant.get("/v1/queues").await.expect(200).json();
    assert_eq!(list["data"][0]["statistics"]["depth"], depth);
    assert_eq!(list["data"][0]["statistics"]["error_rate"], 0.667);
    // Nobody else's queue of that name has anything of it.
    let nothing = when(&other, "default", json!({})).await;
    assert_eq!((&nothing["oldest_queued_seconds"], &nothing["error_rate"]), (&Value::Null, &Value::Null));
    assert_eq!(count(&nothing, "made"), "0.0");
}

#[tokio::test]
async fn jobs_of_our_own_workers_are_counted_from_the_first_to_the_last() {
    let tenant = Tenant::new().await;
    set_queue(&tenant, "default", json!({"paused": true})).await;
    let flaky = json!({
        "type": "sleep", "payload": {"milliseconds": 0, "fail_attempts": 1}, "backoff": {"kind": "fixed", "seconds": 1},
    });
    let jobs = batch(&tenant, [vec![json!({"type": "noop"}); 20], vec![flaky; 5]].concat()).await;
    let waiting = when(&tenant, "default", json!({"queued": 25})).await;
    assert!(waiting["oldest_queued_seconds"].as_u64().is_some());
    assert_eq!(waiting["error_rate"], Value::Null);
    set_queue(&tenant, "default", json!({})).await;
    for job in &jobs {
        ended(&tenant, job).await;
    }
    let done = when(&tenant, "default", json!({"succeeded": 25})).await;
    assert_eq!((&done["oldest_queued_seconds"], &done["error_rate"]), (&Value::Null, &json!(0.167)));
    let counts = ["succeeded", "failed_attempts", "made"].map(|what| count(&done, what));
    assert_eq!(counts, ["25.0", "5.0", "25.0"]);
}

#[tokio::test]
async fn a_job_that_the_table_lets_go_of_is_not_counted_any_more() {
    let tenant = Tenant::new().await;
    let jobs = batch(&tenant, vec![json!({"type": "noop"}); 2]).await;
    for job in &jobs {
        ended(&tenant, job).await;
    }
    when(&tenant, "default", json!({"succeeded": 2})).await;
    // As DynamoDB does when the time to live is over. The job is in one of these partitions.
    let table = stack().environment("jobs.api").unwrap().get("JOBS_TABLE").unwrap().to_owned();
    for partition in 0..::jobs::store::PARTITIONS {
        let delete = aws().dynamo.delete_item().table_name(&table);
        let delete = delete.key("pk", AttributeValue::S(format!("{}#{partition}", tenant.id)));
        let sk = AttributeValue::S(format!("job#{}", jobs[0]["id"].as_str().unwrap()));
        delete.key("sk", sk).send().await.unwrap();
    }
    let left = when(&tenant, "default", json!({"succeeded": 1})).await;
    assert_eq!(count(&left, "succeeded"), "2.0");
}

#[tokio::test]
async fn the_numbers_are_no_part_of_a_queues_version() {
    let tenant = Tenant::new().await;
    let set = tenant.put("/v1/queues/default", &json!({})).await.expect(201);
    assert!(set.json().get("statistics").is_none());
    job(&tenant, json!({"type": "a"})).await;
    when(&tenant, "default", json!({"queued": 1})).await;
    let read = tenant.get("/v1/queues/default").await.expect(200);
    assert_eq!(read.header("etag"), set.header("etag"));
    let known = tenant.request(Method::GET, "/v1/queues/default").header("if-none-match", set.header("etag"));
    known.answer().await.expect(304);
    assert_eq!(lease(&tenant, "default", json!({})).await.len(), 1);
    when(&tenant, "default", json!({"running": 1})).await;
}
