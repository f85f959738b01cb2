//! One tenant's backlog does not hold up another's job.
//!
//! Between jobs of one priority this is the work of SQS's fair queues, which look at a message's group: the local stack's
//! queues have their rule, and every message names its tenant.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::Tenant;

use super::own_jobs::{LONG, OwnJobs, killed_at, path};
use crate::jobs::{batch, ended, read};

#[tokio::test(flavor = "multi_thread")]
async fn every_message_about_a_job_is_of_the_group_of_its_tenant() {
    let own = OwnJobs::new().await;
    // Enqueued, alone and in a batch; tried again; what follows; done again; put off; parked and let go on; swept.
    let flaky = json!({
        "type": "sleep", "payload": {"milliseconds": 0, "fail_attempts": 1}, "backoff": {"kind": "fixed", "seconds": 1},
        "on_done": {"job": {"type": "noop"}},
    });
    let job = own.job(&flaky).await;
    own.ask("POST", "/v1/jobs/batch", Some(&json!({"jobs": [flaky, flaky]}))).await.expect(200);
    let unsent = own.behind(&killed_at("SendMessage", 1, false).await, "jobs.api").await;
    own.ask_at(&unsent, "POST", "/v1/jobs", Some(&flaky)).await.expect(201);
    let later = own.job(&json!({"type": "noop", "delay_seconds": 60})).await;
    own.bring(&own.worker, vec![own.message(&later)]).await;
    own.until_all_have_ended().await;
    own.ask("POST", &format!("{}/retry", path(&job)), None).await.expect(200);
    own.set_queue("default", &json!({"paused": true})).await;
    own.clock.advance(LONG);
    own.deliver(&own.worker).await;
    own.set_queue("default", &json!({"paused": false, "rate_limit": {"jobs": 1, "per_seconds": 1}})).await;
    own.clock.advance(LONG);
    own.until_all_have_ended().await;

    let sent = own.network.requests("SendMessage");
    assert!(sent.len() > 12, "{}", sent.len());
    for message in &sent {
        assert_eq!(message["MessageGroupId"], own.tenant.id.to_string(), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_job_waits_for_few_of_the_jobs_that_another_tenant_enqueued_before_it() {
    const BACKLOG: usize = 1_000;
    /// The places of the workers of one priority: six invocations with ten messages each.
    const PLACES: usize = 60;
    let (busy, quiet) = (Tenant::new().await, Tenant::new().await);
    let work = json!({"type": "sleep", "payload": {"milliseconds": 500}});
    join_all((0..BACKLOG / 100).map(|_| batch(&busy, vec![work.clone(); 100]))).await;
    let single = batch(&quiet, vec![json!({"type": "noop"})]).await.remove(0);
    let single = ended(&quiet, &single).await;

    let time = |job: &Value, name: &str| job[name].as_str().map(str::to_owned);
    let (enqueued, started) = (time(&single, "created_at"), time(&single, "started_at"));
    let (mut path, mut waiting, mut before) = ("/v1/jobs?limit=100".to_owned(), 0, 0);
    loop {
        let page = busy.get(&path).await.expect(200).json();
        for job in page["data"].as_array().unwrap() {
            let at = time(job, "started_at");
            waiting += usize::from(at.is_none() || at > enqueued);
            before += usize::from(at > enqueued && at <= started);
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/jobs?limit=100&cursor={cursor}");
    }
    assert!(waiting > 3 * PLACES, "there is no backlog: {waiting} jobs were waiting");
    // Those that were received and not begun, and a batch that was received at the same moment.
    assert!(before <= 2 * PLACES, "{before} of {waiting} jobs that were waiting began before it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_job_is_done_before_half_of_another_tenants_backlog() {
    const BACKLOG: usize = 200;
    let (busy, urgent) = (Tenant::new().await, Tenant::new().await);
    let slow = json!({"type": "sleep", "priority": "low", "payload": {"milliseconds": 500}});
    let waiting: Vec<Value> =
        join_all((0..BACKLOG / 100).map(|_| batch(&busy, vec![slow.clone(); 100]))).await.concat();
    let job = batch(&urgent, vec![json!({"type": "noop", "priority": "high"})]).await.remove(0);
    let job = ended(&urgent, &job).await;
    assert_eq!(job["state"], "succeeded");
    // The later half was sent half of the backlog before the urgent one.
    let later: Vec<Value> = join_all(waiting.iter().rev().take(BACKLOG / 2).map(|job| read(&busy, job))).await;
    let before =
        |other: &&Value| other["finished_at"].as_str().is_some_and(|at| at < job["finished_at"].as_str().unwrap());
    let done = later.iter().filter(before).count();
    assert!(done * 2 <= BACKLOG / 2, "{done} of the later half were done before");
}
