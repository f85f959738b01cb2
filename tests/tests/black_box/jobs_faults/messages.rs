//! Messages that come twice, late, early, out of order, for nothing, or that nobody can read.

use serde_json::json;
use shared::time::SignedDuration;

use super::own_jobs::{LONG, OwnJobs, path};
use super::{sent_to, story_of};
use crate::jobs::{Receiver, status};
use crate::resources::attribute;

fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_often_has_its_job_done_once() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let job = own.job(&sent_to(&receiver)).await;
    own.messages().await;
    // At once at three workers, three times at each.
    let workers = [
        own.behind(&own.network, "jobs.worker").await,
        own.behind(&own.network, "jobs.worker").await,
        own.behind(&own.network, "jobs.worker").await,
    ];
    let bring = |worker| own.bring(worker, vec![own.message(&job); 3]);
    let _ = tokio::join!(bring(&workers[0]), bring(&workers[1]), bring(&workers[2]));
    let ended = own.until_it_has_ended().await;
    assert_eq!((story_of(&ended), receiver.deliveries().len()), (vec!["done".to_owned()], 1));
    // And long afterwards.
    assert_eq!(own.bring(&own.worker, vec![own.message(&job); 3]).await, 0);
    assert_eq!(own.read(&job).await["attempts"], ended["attempts"]);
    assert_eq!(receiver.deliveries().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_ended_jobs_change_nothing() {
    let own = OwnJobs::new().await;
    let done = own.job(&json!({"type": "noop"})).await;
    let dead = own.job(&json!({"type": "sleep", "payload": {"milliseconds": 0, "poison": true}})).await;
    let cancelled = own.job(&json!({"type": "noop", "delay_seconds": 60})).await;
    own.ask("POST", &format!("{}/cancel", path(&cancelled)), None).await.expect(200);
    own.deliver(&own.worker).await;
    own.clock.advance(LONG);
    for (job, state) in [(&done, "succeeded"), (&dead, "dead"), (&cancelled, "cancelled")] {
        let before = own.read(job).await;
        assert_eq!(before["state"], state);
        assert_eq!(own.bring(&own.worker, vec![own.message(job); 2]).await, 0);
        assert_eq!(own.read(job).await, before);
    }
    own.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_early_waits_for_the_jobs_time() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let mut new = sent_to(&receiver);
    new["delay_seconds"] = json!(50);
    let job = own.job(&new).await;
    let message = own.messages().await;
    assert_eq!(message.len(), 1);
    own.bring(&own.worker, message).await;
    assert_eq!(own.read(&job).await["state"], "scheduled");
    // It was sent again, for the time at which it is due.
    let sent = own.network.requests("SendMessage").pop().unwrap();
    assert_eq!((&sent["DelaySeconds"], &sent["MessageBody"]), (&json!(50), &json!(own.message(&job))));
    own.clock.advance(seconds(49));
    own.bring(&own.worker, own.messages().await).await;
    assert_eq!(receiver.deliveries().len(), 0, "not a second too early");
    own.clock.advance(seconds(1));
    own.bring(&own.worker, own.messages().await).await;
    assert_eq!(story_of(&own.read(&job).await), ["done"]);
    own.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_of_a_time_that_was_put_off_is_dropped_and_the_new_one_counts() {
    let own = OwnJobs::new().await;
    let job = own.job(&json!({"type": "noop", "delay_seconds": 60})).await;
    let old = own.messages().await;
    let at = shared::time::rfc3339_millis(own.clock.now() + seconds(600));
    own.ask("POST", &format!("{}/reschedule", path(&job)), Some(&json!({"run_at": at}))).await.expect(200);
    let new = own.messages().await;
    own.clock.advance(seconds(60));
    assert_eq!(own.bring(&own.worker, old).await, 0);
    assert_eq!(own.messages().await, Vec::<String>::new(), "there is one for the new time already");
    own.clock.advance(seconds(540));
    assert_eq!(own.bring(&own.worker, new).await, 0);
    let job = own.read(&job).await;
    assert_eq!((story_of(&job), &job["run_at"]), (vec!["done".to_owned()], &json!(at)));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_earlier_attempts_that_come_late_and_in_any_order_do_no_harm() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|before| status(if before < 2 { 500 } else { 200 })).await;
    let mut new = sent_to(&receiver);
    new["backoff"] = json!({"kind": "list", "seconds": [30, 300]});
    let job = own.job(&new).await;
    let message = own.message(&job);
    let mut kept = vec![message.clone(); 2];
    let at = [0, 30, 300];
    for (attempt, wait) in at.into_iter().enumerate() {
        own.clock.advance(seconds(wait - 1));
        // Late ones of before: nothing is begun before its time.
        own.bring(&own.worker, kept.clone()).await;
        assert_eq!(receiver.deliveries().len(), attempt);
        own.clock.advance(seconds(1));
        own.bring(&own.worker, own.messages().await).await;
        assert_eq!(receiver.deliveries().len(), attempt + 1);
        kept.push(message.clone());
    }
    let job = own.until_it_has_ended().await;
    assert_eq!(
        (story_of(&job), receiver.deliveries().len()),
        (vec!["http_500".into(), "http_500".into(), "done".to_owned()], 3)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_before_a_retry_by_hand_is_as_good_as_the_new_one() {
    let own = OwnJobs::new().await;
    let job = own.job(&json!({"type": "sleep", "payload": {"milliseconds": 0, "poison": true}})).await;
    own.deliver(&own.worker).await;
    assert_eq!(own.read(&job).await["state"], "dead");
    own.ask("POST", &format!("{}/retry", path(&job)), None).await.expect(200);
    let new = own.messages().await;
    assert_eq!(new.len(), 1);
    own.bring(&own.worker, vec![own.message(&job)]).await;
    let dead = own.read(&job).await;
    assert_eq!((&dead["state"], &dead["attempt"], &dead["claim"]), (&json!("dead"), &json!(1), &json!(2)));
    assert_eq!(own.bring(&own.worker, new).await, 0);
    assert_eq!(own.read(&job).await, dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_can_read_goes_to_the_dead_letters_with_its_reason() {
    let own = OwnJobs::new().await;
    let good = own.job(&json!({"type": "noop"})).await;
    let with = |member: &str, value: &str| {
        let mut message: serde_json::Value = serde_json::from_str(&own.message(&good)).unwrap();
        message[member] = json!(value);
        message.to_string()
    };
    let poison = [
        ("not JSON".to_owned(), "no JSON at line 1"),
        (with("do", "explode"), "other JSON than expected at line 1"),
        (with("job_id", "link_01k9z4n2y6e0qv3m8t5w7x9abc"), ""),
        (json!({"do": "run", "tenant_id": own.tenant.id}).to_string(), "other JSON than expected"),
        (String::new(), "an early end"),
    ];
    let messages: Vec<_> = poison.iter().map(|(body, _)| body.clone()).chain(own.messages().await).collect();
    assert_eq!(own.bring(&own.worker, messages).await, 0, "none of them comes again");
    assert_eq!(story_of(&own.read(&good).await), ["done"], "the others are done");
    let dead = own.dead_letters.await_messages(poison.len()).await;
    assert_eq!(dead.len(), poison.len());
    for (body, reason) in &poison {
        let body = if body.is_empty() { "(empty)" } else { body };
        let letter = dead.iter().find(|letter| letter.body() == Some(body)).expect(body);
        let told = attribute(letter, "reason");
        assert!(told.starts_with("it cannot be decoded: ") && told.contains(reason), "{body}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_too_many_of_a_job_that_its_server_has_taken_over_is_done_with() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(202)).await;
    let job = own.job(&sent_to(&receiver)).await;
    own.deliver(&own.worker).await;
    assert_eq!(own.bring(&own.worker, vec![own.message(&job)]).await, 0);
    assert_eq!((&own.read(&job).await["state"], receiver.deliveries().len()), (&json!("running"), 1));
    own.ask("POST", &format!("{}/complete", path(&job)), Some(&json!({"claim": 1}))).await.expect(200);
    assert_eq!(story_of(&own.until_it_has_ended().await), ["done"]);
}
