//! The sweeper when there is more to do than a run has time for.

use std::time::Duration;

use lambda_runtime::Context;
use serde_json::json;
use shared::time::{Clock, SignedDuration};
use tokio::task::block_in_place;

use super::own_jobs::{LONG, OwnJobs, network};

#[tokio::test(flavor = "multi_thread")]
async fn schedules_leave_the_jobs_that_were_lost_half_of_a_run() {
    let own = OwnJobs::new().await;
    let schedule = json!({"name": "Tick", "interval_seconds": 600, "job": {"type": "at.home"}});
    for _ in 0..60 {
        own.ask("POST", "/v1/schedules", Some(&schedule)).await.expect(201);
    }
    let job = own.job(&json!({"type": "noop"})).await;
    own.messages().await;
    own.clock.advance(LONG);
    // To fire a schedule takes a quarter of a second, and the run has less than all of them take.
    let slow = network(|call| {
        if call == "TransactWriteItems" {
            block_in_place(|| std::thread::sleep(Duration::from_millis(250)));
        }
        None
    })
    .await;
    let mut context = Context::default();
    let end = Clock::system().now() + SignedDuration::from_secs(18);
    context.deadline = u64::try_from(end.as_millisecond()).unwrap();
    own.behind(&slow, "jobs.sweeper").await.invoke_in(&json!({}), context).await.unwrap();
    let is_its = |message: &String| message.contains(job["id"].as_str().unwrap());
    assert!(own.messages().await.iter().any(is_its), "it is sent again");
}
