//! Writes whose answer is lost, and which the SDK writes a second time: they are known again, and what follows them is done.

use serde_json::{Value, json};
use tests::{Answer, Fault, FaultProxy, Instance};

use super::own_jobs::{LONG, OwnJobs, network, path};
use crate::resources::aws;

/// A network that loses the answer of the first call of `operation`.
async fn losing(operation: &'static str) -> FaultProxy {
    let mut is_lost = false;
    network(move |call| {
        let loses = call == operation && !is_lost;
        is_lost |= loses;
        loses.then_some(Fault::LostAnswer)
    })
    .await
}

/// Asks an API for a change of the version that the caller knows.
async fn ask_if(own: &OwnJobs, api: &Instance, (method, path): (&str, &str), etag: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", own.tenant.api_key);
    api.http(method, path, &[("authorization", &bearer), ("if-match", etag)], Some(body)).await
}

/// The version of what is at a path.
async fn etag(own: &OwnJobs, path: &str) -> String {
    own.ask("GET", path, None).await.expect(200).header("etag").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_version_whose_answer_is_lost_meets_its_condition() {
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({})).await;
    let schedule = json!({"name": "Nightly", "cron": "0 3 * * *", "job": {"type": "noop"}});
    let schedule = own.ask("POST", "/v1/schedules", Some(&schedule)).await.expect(201).json();
    let schedule = format!("/v1/schedules/{}", schedule["id"].as_str().unwrap());
    let job = path(&own.job(&json!({"type": "at.home", "delay_seconds": 60})).await);
    let other = path(&own.job(&json!({"type": "at.home"})).await);
    let (later, run_at) = (format!("{job}/reschedule"), own.clock.now() + LONG);
    for (operation, method, path, at, body) in [
        ("PutItem", "PUT", "/v1/queues/default", "/v1/queues/default", json!({"max_attempts": 3})),
        ("PutItem", "PATCH", &*schedule, &*schedule, json!({"name": "Weekly"})),
        ("UpdateItem", "POST", &*later, &*job, json!({"run_at": run_at.to_string()})),
        ("UpdateItem", "POST", &*format!("{other}/retry"), &*other, json!({})),
        ("UpdateItem", "POST", &*format!("{other}/cancel"), &*other, json!({})),
    ] {
        let (network, before) = (losing(operation).await, etag(&own, at).await);
        let api = own.behind(&network, "jobs.api").await;
        let answer = ask_if(&own, &api, (method, path), &before, &body).await.expect(200);
        let calls = network.calls().iter().filter(|call| *call == operation).count();
        assert!(calls > 1, "{path}: the SDK has written it a second time: {:?}", network.calls());
        assert_eq!(answer.header("etag"), etag(&own, at).await, "{path}");
        // Another one is refused.
        ask_if(&own, &own.api, (method, path), &before, &body).await.expect(412);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_whose_answer_is_lost_is_one_and_the_key_before_signs_on() {
    let own = OwnJobs::new().await;
    let path = "/v1/jobs/signing-key";
    let before = own.ask("GET", path, None).await.expect(200).json();
    let network = losing("PutItem").await;
    let api = own.behind(&network, "jobs.api").await;
    let rotated = own.ask_at(&api, "POST", &format!("{path}/rotate"), Some(&json!({}))).await.expect(200).json();
    assert!(network.calls().iter().filter(|call| *call == "PutItem").count() > 1);
    assert_ne!(rotated["public_key"], before["public_key"]);
    assert_eq!(rotated["previous_public_key"], before["public_key"], "{rotated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_whose_answer_is_lost_counts_its_job_and_sends_it() {
    let own = OwnJobs::new().await;
    let job = own.job(&json!({"type": "sleep", "payload": {"milliseconds": 0, "poison": true}})).await;
    own.deliver(&own.worker).await;
    assert_eq!(own.read(&job).await["state"], "dead");
    let network = losing("UpdateItem").await;
    let api = own.behind(&network, "jobs.api").await;
    let done = own.ask_at(&api, "POST", "/v1/queues/default/redrive", Some(&json!({}))).await.expect(200).json();
    assert_eq!(done, json!({"matched": 1, "redriven": 1}));
    assert_eq!(own.messages().await, [own.message(&job)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_place_that_is_let_go_by_a_write_whose_answer_is_lost_is_sent() {
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({"paused": true})).await;
    let job = own.job(&json!({"type": "noop"})).await;
    own.deliver(&own.worker).await;
    for item in crate::resources::items(&own.table).await {
        if item["pk"].as_s().unwrap().contains("#parked#") {
            let gone = aws().dynamo.delete_item().table_name(&own.table);
            gone.key("pk", item["pk"].clone()).key("sk", item["sk"].clone()).send().await.unwrap();
        }
    }
    own.set_queue("default", &json!({})).await;
    own.deliver(&own.worker).await;
    own.clock.advance(LONG);
    let network = losing("UpdateItem").await;
    own.behind(&network, "jobs.sweeper").await.invoke(&json!({})).await.unwrap();
    own.deliver(&own.worker).await;
    assert_eq!(own.read(&job).await["state"], "succeeded");
}
