//! Many jobs that depend on one: its end is told within a time, and the rest of them hear of it from the sweeper.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::block_in_place;

use super::own_jobs::{OwnJobs, network, path};
use super::story_of;

/// Jobs of the family, the first of which is told as it ends.
const CHILDREN: usize = 150;

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_many_wait_for_is_answered_in_time_and_all_hear_of_it() {
    let own = OwnJobs::new().await;
    let gate = own.job(&json!({"type": "at.home"})).await;
    let child = json!({"type": "noop", "depends_on": [gate["id"]]});
    for part in vec![child; CHILDREN].chunks(50) {
        own.ask("POST", "/v1/jobs/batch", Some(&json!({"jobs": part}))).await.expect(200);
    }
    let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({}))).await.expect(200).json();
    // To tell one takes a tenth of a second: the table is slow.
    let slow = network(|call| {
        if call == "DeleteItem" {
            block_in_place(|| std::thread::sleep(Duration::from_millis(100)));
        }
        None
    })
    .await;
    let (api, said) = (own.behind(&slow, "jobs.api").await, json!({"claim": leased["jobs"][0]["claim"]}));
    let began = Instant::now();
    own.ask_at(&api, "POST", &format!("{}/complete", path(&gate)), Some(&said)).await.expect(200);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let blocked = own.all().await.iter().filter(|job| job["state"] == "blocked").count();
    assert!((1..CHILDREN).contains(&blocked), "{blocked}");
    // Nobody looks at the children before they have waited for long: the sweeper finds the one that has ended.
    own.clock.advance(shared::time::SignedDuration::from_secs(61));
    own.sweep().await;
    assert!(own.all().await.iter().all(|job| job["state"] != "blocked"));
    let jobs = own.until_all_have_ended().await;
    assert_eq!(jobs.len(), CHILDREN + 1);
    assert!(jobs.iter().all(|job| story_of(job) == ["done"]));
}
