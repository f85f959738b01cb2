//! Leases while something fails after a job was claimed: what was taken is answered, or put back.

use serde_json::{Value, json};
use tests::{Fault, Instance};

use super::own_jobs::{LONG, OwnJobs, killed_at, network, path};
use super::story_of;

/// S3's calls have no name on their way.
const S3: &str = "";

async fn lease(own: &OwnJobs, api: &Instance) -> Vec<Value> {
    let leased = own.ask_at(api, "POST", "/v1/queues/default/lease", Some(&json!({"max": 32}))).await;
    leased.expect(200).json()["jobs"].as_array().unwrap().clone()
}

async fn complete(own: &OwnJobs, job: &Value) {
    let said = json!({"claim": job["claim"]});
    own.ask("POST", &format!("{}/complete", path(job)), Some(&said)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_the_jobs_that_were_claimed_before_a_claim_failed() {
    for keyed in [false, true] {
        let own = OwnJobs::new().await;
        for _ in 0..3 {
            own.job(&json!({"type": "at.home"})).await;
        }
        // The first claim is done.
        let api = own.behind(&killed_at("UpdateItem", 2, false).await, "jobs.api").await;
        let jobs = if keyed {
            let body = json!({"max": 32});
            let answer = own.create_once(&api, "/v1/queues/default/lease", "once", &body).await.expect(200).json();
            answer["jobs"].as_array().unwrap().clone()
        } else {
            lease(&own, &api).await
        };
        assert_eq!(jobs.len(), 1, "{keyed}");
        let rest = lease(&own, &own.api).await;
        assert_eq!(rest.len(), 2, "{keyed}");
        for job in jobs.iter().chain(&rest) {
            complete(&own, job).await;
        }
        for job in own.until_all_have_ended().await {
            assert_eq!(story_of(&job), ["done"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_payload_the_bucket_does_not_give_is_put_back_and_the_others_are_leased() {
    let own = OwnJobs::new().await;
    let small = own.job(&json!({"type": "at.home"})).await;
    let payload = json!("large ".repeat(1_000));
    let large = own.job(&json!({"type": "at.home", "payload": payload})).await;
    let down = network(|call| (call == S3).then_some(Fault::ServerError)).await;
    let jobs = lease(&own, &own.behind(&down, "jobs.api").await).await;
    assert_eq!(jobs.iter().map(|job| &job["id"]).collect::<Vec<_>>(), [&small["id"]]);
    let now = own.read(&large).await;
    assert_eq!((&now["state"], story_of(&now)), (&json!("scheduled"), vec![]), "it does not count");
    complete(&own, &jobs[0]).await;
    own.clock.advance(LONG);
    let jobs = lease(&own, &own.api).await;
    assert_eq!((&jobs[0]["id"], &jobs[0]["payload"]), (&large["id"], &payload));
    complete(&own, &jobs[0]).await;
    for job in own.until_all_have_ended().await {
        assert_eq!(story_of(&job), ["done"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_no_more_jobs_than_an_answer_can_hold_with_what_came_of_those_before() {
    let own = OwnJobs::new().await;
    let mut parents = Vec::new();
    for _ in 0..20 {
        parents.push(own.job(&json!({"type": "at.home"})).await["id"].clone());
    }
    let result = "\"".repeat(8_000);
    for parent in lease(&own, &own.api).await {
        let said = json!({"claim": parent["claim"], "result": result});
        own.ask("POST", &format!("{}/complete", path(&parent)), Some(&said)).await.expect(200);
    }
    for _ in 0..20 {
        own.job(&json!({"type": "after", "depends_on": parents})).await;
    }
    let mut count = 0;
    while count < 20 {
        let jobs = lease(&own, &own.api).await;
        assert!((1..=10).contains(&jobs.len()), "{}", jobs.len());
        assert!(jobs.iter().all(|job| job["parents"][19]["result"] == result));
        count += jobs.len();
    }
}
