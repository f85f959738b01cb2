//! Workers that are killed, at each step of an attempt.

use std::sync::Arc;

use serde_json::json;
use shared::time::SignedDuration;
use tests::Fault;
use tokio::sync::Notify;

use super::own_jobs::{LONG, OwnJobs, killed_at, network, path};
use super::{sent_to, story_of};
use crate::jobs::{Receiver, status};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_after_its_claim_costs_an_attempt_and_no_job() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let job = own.job(&sent_to(&receiver)).await;
    let dying = killed_at("UpdateItem", 1, true).await;
    let message = own.messages().await;
    own.bring(&own.behind(&dying, "jobs.worker").await, message.clone()).await;
    let claimed = own.read(&job).await;
    assert_eq!((&claimed["state"], &claimed["attempt"]), (&json!("running"), &json!(1)));
    assert_eq!(receiver.deliveries().len(), 0);

    // Until its lease ends the job is its worker's.
    assert_eq!(own.bring(&own.worker, message.clone()).await, 1);
    assert_eq!(own.read(&job).await, claimed);
    own.clock.advance(LONG);
    own.deliver(&own.worker).await;
    let lost = own.read(&job).await;
    assert_eq!((&lost["state"], story_of(&lost)), (&json!("retrying"), vec!["lease_expired".to_owned()]));
    assert_eq!(lost["attempts"][0]["worker"], claimed["worker"]);
    let job = own.until_it_has_ended().await;
    assert_eq!((story_of(&job), receiver.deliveries().len()), (vec!["lease_expired".into(), "done".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_its_work_and_the_end_has_it_done_again() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    own.job(&sent_to(&receiver)).await;
    let dying = killed_at("UpdateItem", 2, false).await;
    own.deliver(&own.behind(&dying, "jobs.worker").await).await;
    assert_eq!(receiver.deliveries().len(), 1);
    let job = own.until_it_has_ended().await;
    assert_eq!(story_of(&job), ["lease_expired", "done"]);
    let deliveries: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.json()["job"].clone()).collect();
    let attempts: Vec<_> = deliveries.iter().map(|sent| (sent["attempt"].clone(), sent["id"] == job["id"])).collect();
    assert_eq!(attempts, [(json!(1), true), (json!(2), true)], "the receiver knows the job again by its id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_after_the_end_of_a_job_harms_nothing() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let job = own.job(&sent_to(&receiver)).await;
    let dying = killed_at("UpdateItem", 2, true).await;
    own.deliver(&own.behind(&dying, "jobs.worker").await).await;
    assert_eq!(own.read(&job).await["state"], "succeeded");
    assert_eq!(own.undone.lock().unwrap().len(), 1, "the message comes again");
    let job = own.until_it_has_ended().await;
    assert_eq!((story_of(&job), receiver.deliveries().len()), (vec!["done".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_it_sends_the_next_message_leaves_that_to_the_sweeper() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|before| status(if before == 0 { 503 } else { 200 })).await;
    let job = own.job(&sent_to(&receiver)).await;
    let dying = killed_at("SendMessage", 1, false).await;
    own.deliver(&own.behind(&dying, "jobs.worker").await).await;
    let waiting = own.read(&job).await;
    assert_eq!((&waiting["state"], story_of(&waiting)), (&json!("retrying"), vec!["http_503".to_owned()]));
    assert_eq!(own.messages().await, Vec::<String>::new());
    own.clock.advance(LONG);
    own.sweep().await;
    assert_eq!(own.messages().await, [own.message(&job)]);
    own.clock.advance(LONG);
    let job = own.until_it_has_ended().await;
    assert_eq!((story_of(&job), receiver.deliveries().len()), (vec!["http_503".into(), "done".to_owned()], 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_killed_between_the_record_and_the_message_leaves_the_message_to_the_sweeper() {
    let own = OwnJobs::new().await;
    let dying = killed_at("SendMessage", 1, false).await;
    let api = own.behind(&dying, "jobs.api").await;
    let later = json!({"type": "noop", "delay_seconds": 120});
    let job = own.ask_at(&api, "POST", "/v1/jobs", Some(&later)).await.expect(201).json();
    // Not before its time.
    own.sweep().await;
    own.clock.advance(shared::time::SignedDuration::from_secs(119));
    own.sweep().await;
    assert_eq!(own.messages().await, Vec::<String>::new());
    assert_eq!(own.read(&job).await["state"], "scheduled");
    own.clock.advance(LONG);
    own.sweep().await;
    assert_eq!(own.messages().await, [own.message(&job)]);
    own.bring(&own.worker, vec![own.message(&job)]).await;
    assert_eq!(story_of(&own.read(&job).await), ["done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_workers_are_always_killed_is_dead_with_its_reason_after_its_last_attempt() {
    let own = OwnJobs::new().await;
    let new = json!({"type": "noop", "max_attempts": 3, "backoff": {"kind": "fixed", "seconds": 1}});
    let job = own.job(&new).await;
    for _ in 0..3 {
        let dying = killed_at("UpdateItem", 1, true).await;
        own.bring(&own.behind(&dying, "jobs.worker").await, vec![own.message(&job)]).await;
        own.clock.advance(LONG);
        own.sweep().await;
        own.messages().await;
        own.clock.advance(LONG);
    }
    let job = own.until_it_has_ended().await;
    assert_eq!((&job["state"], story_of(&job)), (&json!("dead"), vec!["lease_expired".to_owned(); 3]));
    let dead = own.ask("GET", "/v1/queues/default/dead", None).await.expect(200).json();
    assert!(dead.to_string().contains(job["attempts"][2]["failure"]["fingerprint"].as_str().unwrap()), "{dead}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_after_its_lease_is_refused_and_changes_nothing() {
    let own = Arc::new(OwnJobs::new().await);
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes_on) = (begun.clone(), go_on.clone());
    let receiver = Receiver::working(move |_, before| {
        let (begins, goes_on) = (begins.clone(), goes_on.clone());
        async move {
            if before > 0 {
                return crate::jobs::reply(200, &[], r#""second""#);
            }
            begins.notify_one();
            goes_on.notified().await;
            crate::jobs::reply(200, &[], r#""first""#)
        }
    })
    .await;
    let job = own.job(&sent_to(&receiver)).await;
    let message = own.messages().await;
    let late = own.behind(&network(|_| None).await, "jobs.worker").await;
    let working = tokio::spawn({
        let own = own.clone();
        async move { own.bring(&late, message).await }
    });
    begun.notified().await;
    own.clock.advance(LONG);
    own.sweep().await;
    let taken = own.read(&job).await;
    assert_eq!((&taken["state"], story_of(&taken)), (&json!("retrying"), vec!["lease_expired".to_owned()]));
    own.clock.advance(LONG);
    own.deliver(&own.worker).await;
    let ended = own.read(&job).await;
    assert_eq!(
        (&ended["result"], story_of(&ended)),
        (&json!("second"), vec!["lease_expired".into(), "done".to_owned()])
    );

    go_on.notify_one();
    assert_eq!(working.await.unwrap(), 0, "its message is done with");
    assert_eq!(own.read(&job).await, ended);
    own.until_it_has_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_while_another_has_the_job_is_refused() {
    let own = OwnJobs::new().await;
    own.job(&json!({"type": "at.home", "backoff": {"kind": "fixed", "seconds": 1}})).await;
    let lease = async || {
        let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({}))).await.expect(200).json();
        leased["jobs"][0].clone()
    };
    let first = lease().await;
    own.clock.advance(LONG);
    own.sweep().await;
    own.clock.advance(LONG);
    let second = lease().await;
    assert_eq!((&second["id"], &first["claim"], &second["claim"]), (&first["id"], &json!(1), &json!(2)));
    for (verb, said) in [
        ("complete", json!({"claim": 1, "result": "late"})),
        ("fail", json!({"claim": 1, "class": "late"})),
        ("snooze", json!({"claim": 1, "seconds": 60})),
        ("heartbeat", json!({"claim": 1})),
        ("complete", json!({"claim": 3})),
    ] {
        let path = format!("{}/{verb}", super::own_jobs::path(&first));
        own.ask("POST", &path, Some(&said)).await.problem(409, "conflict");
    }
    let now = own.read(&first).await;
    assert_eq!(
        (&now["state"], &now["claim"], &now["lease_until"]),
        (&json!("running"), &json!(2), &second["lease_until"])
    );
    let path = format!("{}/complete", super::own_jobs::path(&first));
    own.ask("POST", &path, Some(&json!({"claim": 2, "result": "in time"}))).await.expect(200);
    assert_eq!(own.until_it_has_ended().await["result"], "in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_answer_is_lost_counts_once_and_what_follows_it_comes_once() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let mut new = sent_to(&receiver);
    new["on_done"] = json!({"url": receiver.url("/done")});
    own.job(&new).await;
    let mut lost = false;
    let network = network(move |call| {
        // The end is a transaction, because of what follows.
        let is_end = call == "TransactWriteItems" && !lost;
        lost |= is_end;
        is_end.then_some(Fault::LostAnswer)
    })
    .await;
    own.bring(&own.behind(&network, "jobs.worker").await, own.messages().await).await;
    assert_eq!(own.undone.lock().unwrap().len(), 0);
    let jobs = own.until_all_have_ended().await;
    assert_eq!(jobs.len(), 2, "{jobs:#?}");
    assert!(jobs.iter().all(|job| story_of(job) == ["done"]), "{jobs:#?}");
    let paths: Vec<_> = receiver.deliveries().iter().map(|delivery| delivery.path.clone()).collect();
    assert_eq!(paths, ["/", "/done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_that_depend_on_a_job_hear_within_a_minute_that_it_died_with_its_worker() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(500)).await;
    let mut new = sent_to(&receiver);
    new["max_attempts"] = json!(1);
    let parent = own.job(&new).await;
    let child = own.job(&json!({"type": "noop", "depends_on": [parent["id"]]})).await;
    let dying = killed_at("UpdateItem", 2, true).await;
    own.bring(&own.behind(&dying, "jobs.worker").await, own.messages().await).await;
    // Nor does its message come again.
    own.undone.lock().unwrap().clear();
    let states = async || (own.read(&parent).await["state"].clone(), own.read(&child).await["state"].clone());
    let dead = async || own.ask("GET", "/v1/queues/default/dead", None).await.expect(200).json()["total"].clone();
    assert_eq!(states().await, (json!("dead"), json!("blocked")));
    own.clock.advance(SignedDuration::from_secs(61));
    own.sweep().await;
    assert_eq!(states().await, (json!("dead"), json!("cancelled")));
    assert_eq!(dead().await, 1, "it has its place among the dead");
    own.ask("POST", &format!("{}/retry", path(&parent)), None).await.expect(200);
    assert_eq!(dead().await, 0);
}
