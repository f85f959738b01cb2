//! What is kept of jobs, and how long: records until nothing refers to them any more, payloads as long as their records.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::{Fault, FaultProxy};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::own_jobs::{OwnJobs, killed_at, network, path};
use crate::jobs_payloads::objects;
use crate::resources::{aws, items};

/// S3's calls have no name on their way.
const S3: &str = "";

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A payload that has no place in the record.
fn large() -> String {
    "large ".repeat(1000)
}

/// Removes what DynamoDB may have removed by now.
async fn let_go_of_what_is_over(own: &OwnJobs) {
    let now = own.clock.now().as_second();
    for item in items(&own.table).await {
        let end = item.get("removed_at").map(|at| at.as_n().unwrap().parse::<i64>().unwrap());
        if end.is_some_and(|end| end <= now) {
            let delete = aws().dynamo.delete_item().table_name(&own.table);
            delete.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_kept_as_long_as_it_is_the_only_one_of_its_key_though_its_queue_keeps_jobs_for_a_day() {
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({"retention_days": 1})).await;
    let once_a_month =
        |key: &str| json!({"type": "noop", "unique": {"key": key, "period_seconds": 31 * DAY.as_secs()}});
    let other = own.job(&json!({"type": "noop"})).await;
    let cancelled = own.job(&once_a_month("cancelled")).await;
    own.ask("POST", &format!("{}/cancel", path(&cancelled)), None).await.expect(200);
    let done = own.job(&once_a_month("done")).await;
    own.until_all_have_ended().await;

    own.clock.advance(DAY * 30);
    let_go_of_what_is_over(&own).await;
    own.ask("GET", &path(&other), None).await.problem(404, "not-found");
    for (job, key) in [(&done, "done"), (&cancelled, "cancelled")] {
        let again = own.ask("POST", "/v1/jobs", Some(&once_a_month(key))).await.expect(200).json();
        assert_eq!((&again["id"], &again["finished_at"].is_string()), (&job["id"], &true), "{key}");
        let batch = json!({"jobs": [once_a_month(key)]});
        let again = own.ask("POST", "/v1/jobs/batch", Some(&batch)).await.expect(200).json();
        let result = &again["results"][0];
        assert_eq!((&result["outcome"], &result["job"]["id"]), (&json!("existing"), &job["id"]), "{key}");
    }

    own.clock.advance(DAY * 2);
    let_go_of_what_is_over(&own).await;
    own.ask("GET", &path(&done), None).await.problem(404, "not-found");
    let next = own.job(&once_a_month("done")).await;
    assert_ne!(next["id"], done["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_job_that_was_not_made_since_there_is_one_of_its_key_no_payload_is_kept() {
    let own = OwnJobs::new().await;
    let new = json!({"type": "at.home", "payload": large(), "unique": {"key": "one"}});
    let made = own.job(&new).await;
    let existing = own.ask("POST", "/v1/jobs", Some(&new)).await.expect(200).json();
    assert_eq!(existing["id"], made["id"]);
    let batch = json!({"jobs": [new, new]});
    let answer = own.ask("POST", "/v1/jobs/batch", Some(&batch)).await.expect(200).json();
    for result in answer["results"].as_array().unwrap() {
        assert_eq!((&result["outcome"], &result["job"]["id"]), (&json!("existing"), &made["id"]));
    }
    assert_eq!(objects(&own.tenant).await.len(), 1);
    assert_eq!(own.read(&made).await["payload"], new["payload"]);
}

/// A network on which another request with the same key is done between one and its write.
async fn overtaken(own: &Arc<OwnJobs>, path: &'static str, body: &Value) -> FaultProxy {
    let (own, body) = (own.clone(), body.clone());
    let mut came = false;
    network(move |call| {
        if call == "TransactWriteItems" && !came {
            came = true;
            let other = own.create_once(&own.api, path, "once", &body);
            let answer = block_in_place(|| Handle::current().block_on(other));
            assert!(answer.status.is_success(), "{answer:?}");
        }
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_request_that_another_with_its_key_has_overtaken_no_payload_is_kept() {
    let new = json!({"type": "at.home", "payload": large()});
    for (path, body) in [("/v1/jobs", new.clone()), ("/v1/jobs/batch", json!({"jobs": [new]}))] {
        let own = Arc::new(OwnJobs::new().await);
        let network = overtaken(&own, path, &body).await;
        let answer = own.create_once(&own.behind(&network, "jobs.api").await, path, "once", &body).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        let jobs = own.all().await;
        assert_eq!((jobs.len(), objects(&own.tenant).await.len()), (1, 1), "{path}");
        assert_eq!(own.read(&jobs[0]).await["payload"], new["payload"], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_kept_when_nobody_knows_whether_its_job_was_made() {
    let own = OwnJobs::new().await;
    let new = json!({"type": "at.home", "payload": large(), "unique": {"key": "one"}});
    let dying = killed_at("TransactWriteItems", 1, true).await;
    own.ask_at(&own.behind(&dying, "jobs.api").await, "POST", "/v1/jobs", Some(&new)).await.problem(503, "unavailable");
    let again = own.ask("POST", "/v1/jobs", Some(&new)).await.expect(200).json();
    assert_eq!(own.read(&again).await["payload"], new["payload"]);
    assert_eq!(objects(&own.tenant).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_removed_is_no_failure_of_the_request() {
    let own = OwnJobs::new().await;
    let new = json!({"type": "at.home", "payload": large(), "unique": {"key": "one"}});
    let made = own.job(&new).await;
    let mut calls = 0;
    let network = network(move |call| {
        calls += usize::from(call == S3);
        // The first writes the payload.
        (call == S3 && calls > 1).then_some(Fault::ServerError)
    })
    .await;
    let api = own.behind(&network, "jobs.api").await;
    let existing = own.ask_at(&api, "POST", "/v1/jobs", Some(&new)).await.expect(200).json();
    assert_eq!(existing["id"], made["id"]);
}
