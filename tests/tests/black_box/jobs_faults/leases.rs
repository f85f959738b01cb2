//! Leases: kept by signs of life, lost without them.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::time::SignedDuration;
use tests::Fault;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::block_in_place;

use super::own_jobs::{LONG, OwnJobs, network, path};
use super::{sent_to, story_of};
use crate::jobs::{Receiver, status};

/// A receiver that answers when it is told to.
struct Held {
    receiver: Receiver,
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Held {
    /// The first request waits, and is answered with this status; all others get 200 at once.
    async fn answering(first: u16) -> Self {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, goes_on) = (begun.clone(), go_on.clone());
        let receiver = Receiver::working(move |_, before| {
            let (begins, goes_on) = (begins.clone(), goes_on.clone());
            async move {
                if before > 0 {
                    return status(200);
                }
                begins.notify_one();
                goes_on.notified().await;
                status(first)
            }
        })
        .await;
        Self { receiver, begun, go_on }
    }
}

async fn leased(own: &OwnJobs) -> Value {
    let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({}))).await.expect(200).json();
    leased["jobs"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn signs_of_life_keep_a_lease_for_as_long_as_they_come() {
    let own = OwnJobs::new().await;
    own.job(&json!({"type": "at.home"})).await;
    let job = leased(&own).await;
    for _ in 0..20 {
        own.clock.advance(SignedDuration::from_secs(55));
        let beat = json!({"claim": job["claim"]});
        own.ask("POST", &format!("{}/heartbeat", path(&job)), Some(&beat)).await.expect(200);
        own.sweep().await;
    }
    assert_eq!(own.read(&job).await["state"], "running");
    own.ask("POST", &format!("{}/complete", path(&job)), Some(&json!({"claim": 1}))).await.expect(200);
    assert_eq!(story_of(&own.until_it_has_ended().await), ["done"]);
}

#[tokio::test]
async fn a_worker_keeps_the_lease_of_its_job_and_tells_of_its_progress() {
    let own = OwnJobs::new().await;
    let held = Held::answering(200).await;
    let mut new = sent_to(&held.receiver);
    new["timeout_seconds"] = json!(840);
    let job = own.job(&new).await;
    let messages = own.messages().await;
    let until = |job: &Value| job["lease_until"].as_str().unwrap_or_default().to_owned();
    let watching = async {
        held.begun.notified().await;
        let first = until(&own.read(&job).await);
        own.clock.advance(SignedDuration::from_secs(45));
        tests::eventually("the worker's next sign of life", || async {
            (until(&own.read(&job).await) > first).then_some(())
        })
        .await;
        own.clock.advance(SignedDuration::from_secs(45));
        own.sweep().await;
        assert_eq!(
            own.bring(&own.behind(&own.network, "jobs.worker").await, vec![own.message(&job)]).await,
            1,
            "it is not for others"
        );
        own.undone.lock().unwrap().clear();
        assert_eq!(own.read(&job).await["state"], "running");
        held.go_on.notify_one();
    };
    let (undone, ()) = tokio::join!(own.bring(&own.worker, messages), watching);
    assert_eq!((undone, story_of(&own.read(&job).await)), (0, vec!["done".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_of_life_that_comes_while_the_sweeper_looks_keeps_the_lease() {
    let own = Arc::new(OwnJobs::new().await);
    own.job(&json!({"type": "at.home"})).await;
    let job = leased(&own).await;
    own.clock.advance(SignedDuration::from_secs(61));
    // The sweeper has read the job, whose lease has ended, and is about to write that.
    let (between, beat, beaten) = (own.clone(), path(&job), json!({"claim": 1}));
    let mut came = false;
    let network = network(move |call| {
        if call == "UpdateItem" && !came {
            came = true;
            let heartbeat = format!("{beat}/heartbeat");
            let heard = between.ask("POST", &heartbeat, Some(&beaten));
            block_in_place(|| Handle::current().block_on(heard)).expect(200);
        }
        None
    })
    .await;
    own.behind(&network, "jobs.sweeper").await.invoke(&json!({})).await.unwrap();
    let now = own.read(&job).await;
    assert_eq!((&now["state"], story_of_running(&now)), (&json!("running"), 0), "{now}");
    own.ask("POST", &format!("{}/complete", path(&job)), Some(&json!({"claim": 1}))).await.expect(200);
    assert_eq!(story_of(&own.until_it_has_ended().await), ["done"]);
}

fn story_of_running(job: &Value) -> usize {
    job["attempts"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_called_off_and_fails_before_its_worker_has_heard_of_it_is_not_tried_again() {
    let own = Arc::new(OwnJobs::new().await);
    let held = Held::answering(500).await;
    let job = own.job(&sent_to(&held.receiver)).await;
    let messages = own.messages().await;
    let calling_off = async {
        held.begun.notified().await;
        let asked = own.ask("POST", &format!("{}/cancel", path(&job)), None).await.expect(200).json();
        assert_eq!((&asked["state"], &asked["cancel_requested"]), (&json!("running"), &json!(true)));
        held.go_on.notify_one();
    };
    let (undone, ()) = tokio::join!(own.bring(&own.worker, messages), calling_off);
    let job = own.until_it_has_ended().await;
    assert_eq!((undone, &job["state"], story_of(&job)), (0, &json!("cancelled"), vec!["http_500".to_owned()]));
    assert_eq!(held.receiver.deliveries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_called_off_and_whose_worker_is_killed_or_puts_it_off_is_cancelled() {
    let own = OwnJobs::new().await;
    for snoozed in [false, true] {
        let job = own.job(&json!({"type": "at.home"})).await;
        let leased = leased(&own).await;
        own.ask("POST", &format!("{}/cancel", path(&job)), None).await.expect(200);
        if snoozed {
            let said = json!({"claim": leased["claim"], "seconds": 60});
            own.ask("POST", &format!("{}/snooze", path(&job)), Some(&said)).await.expect(200);
        } else {
            own.clock.advance(LONG);
            own.sweep().await;
        }
        let job = own.read(&job).await;
        assert_eq!(job["state"], "cancelled", "{job}");
    }
    own.until_all_have_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_cannot_write_the_end_at_first_does_so_within_its_lease_or_has_the_job_done_again() {
    for meetings in [12, usize::MAX] {
        let own = OwnJobs::new().await;
        own.set_queue("default", &json!({"concurrency": 1})).await;
        own.deliver(&own.worker).await;
        own.job(&json!({"type": "noop", "backoff": {"kind": "fixed", "seconds": 1}})).await;
        // The claim is the first transaction, the end the second.
        let mut transactions = 0;
        let network = network(move |call| {
            transactions += usize::from(call == "TransactWriteItems");
            (call == "TransactWriteItems" && (2..=meetings).contains(&transactions)).then_some(Fault::InTransaction)
        })
        .await;
        own.bring(&own.behind(&network, "jobs.worker").await, own.messages().await).await;
        let story = story_of(&own.until_it_has_ended().await);
        let expected: &[&str] = if meetings == 12 { &["done"] } else { &["lease_expired", "done"] };
        assert_eq!(story, expected);
    }
}
