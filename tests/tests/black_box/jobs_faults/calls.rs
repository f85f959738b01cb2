//! Each call of a run failing, once and for good.

use serde_json::json;

use super::own_jobs::{LONG, OwnJobs, killed_at, network_of, path};
use super::{LOSSES, done_after_losses, sent_to, story_of};
use crate::faults::{at_each_call, at_each_call_in, done_or_unavailable};
use crate::jobs::{Receiver, reply, status};

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_of_a_worker_fails_the_job_is_done_and_its_attempts_are_told() {
    at_each_call(|outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let receiver = Receiver::start(|_| reply(200, &[], r#"{"packed":true}"#)).await;
        let job = own.job(&sent_to(&receiver)).await;
        own.deliver(&own.behind(&network, "jobs.worker").await).await;
        if !outage.lasts {
            let job = own.read(&job).await;
            assert_eq!(done_after_losses(&job, &format!("{outage:?}")), 0, "what passes is not noticed: {outage:?}");
            assert_eq!(*own.undone.lock().unwrap(), Vec::<String>::new(), "{outage:?}");
        }
        let job = own.until_it_has_ended().await;
        let lost = done_after_losses(&job, &format!("{outage:?}"));
        assert!(lost <= 1, "{outage:?}: {job}");
        assert_eq!(job["result"], json!({"packed": true}), "{outage:?}: {job}");
        let sent = receiver.deliveries().len();
        assert!((1..=1 + lost).contains(&sent), "each attempt has its effect at most once: {outage:?}: {sent}, {job}");
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_after_a_failure_the_next_attempt_comes() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let receiver = Receiver::start(|before| status(if before == 0 { 500 } else { 204 })).await;
        own.job(&sent_to(&receiver)).await;
        own.bring(&own.behind(&network, "jobs.worker").await, own.messages().await).await;
        let calls = network.calls().len();
        let job = own.until_it_has_ended().await;
        let story = story_of(&job);
        assert_eq!((&job["state"], story.last().unwrap().as_str()), (&json!("succeeded"), "done"), "{outage:?}: {job}");
        let failed = story.iter().filter(|class| *class == "http_500").count();
        let lost = story.iter().filter(|class| *class == "lease_expired").count();
        assert_eq!(failed + lost + 1, story.len(), "{outage:?}: {story:?}");
        // The answer of 500 is told, unless it is the one that its worker could not write down.
        assert!(failed == 1 && (lost == 0 || outage.lasts) || failed == 0 && lost == 1, "{outage:?}: {story:?}");
        assert!(failed == 1 || outage.lasts, "{outage:?}: {story:?}");
        calls
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_job_with_limits_and_a_successor_ends_once_and_frees_its_places() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        own.set_queue("default", &json!({"concurrency": 1})).await;
        let new = json!({
            "type": "noop", "concurrency_key": "customer", "max_attempts": 5, "backoff": {"kind": "fixed", "seconds": 1},
            "on_done": {"job": {"type": "noop", "queue": "after"}}, "unique": {"key": "one"},
        });
        own.job(&new).await;
        // Beside the job's there is the message that the queue was set.
        let worker = own.behind(&network, "jobs.worker").await;
        for message in own.messages().await {
            own.bring(&worker, vec![message]).await;
        }
        let jobs = own.until_all_have_ended().await;
        assert_eq!(jobs.len(), 2, "the job and one successor: {outage:?}: {jobs:#?}");
        for job in &jobs {
            let lost = done_after_losses(job, &format!("{outage:?}"));
            assert!(lost == 0 || outage.lasts, "{outage:?}: {job}");
        }
        own.ask("POST", "/v1/jobs", Some(&new)).await.expect(201);
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_while_a_job_is_put_aside_it_goes_on_when_there_is_room() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        own.set_queue("default", &json!({"concurrency": 1})).await;
        own.deliver(&own.worker).await;
        own.job(&json!({"type": "at.home"})).await;
        let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({}))).await.expect(200).json();
        let first = &leased["jobs"][0];
        let second = own.job(&json!({"type": "noop", "backoff": {"kind": "fixed", "seconds": 1}})).await;
        // There is no room for it.
        own.deliver(&own.behind(&network, "jobs.worker").await).await;
        let calls = network.calls().len();
        assert_eq!((&own.read(&second).await["state"], own.running().await), (&json!("queued"), 1), "{outage:?}");
        let said = json!({"claim": first["claim"]});
        own.ask("POST", &format!("{}/complete", path(first)), Some(&said)).await.expect(200);
        own.deliver(&own.worker).await;
        for job in own.until_all_have_ended().await {
            assert_eq!(done_after_losses(&job, &format!("{outage:?}")), 0, "{outage:?}: {job}");
        }
        calls
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_what_a_worker_of_the_tenants_says_counts_once_and_the_next_job_goes_on() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        own.set_queue("default", &json!({"concurrency": 1})).await;
        own.deliver(&own.worker).await;
        own.job(&json!({"type": "at.home", "on_done": {"job": {"type": "noop"}}})).await;
        let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({}))).await.expect(200).json();
        let first = &leased["jobs"][0];
        own.job(&json!({"type": "noop"})).await;
        own.deliver(&own.worker).await;

        let (complete, said) = (format!("{}/complete", path(first)), json!({"claim": first["claim"], "result": 42}));
        let api = own.behind(&network, "jobs.api").await;
        let answer = own.ask_at(&api, "POST", &complete, Some(&said)).await;
        let calls = network.calls().len();
        done_or_unavailable(&answer, 200, outage);
        if answer.status == 503 {
            // The worker says it again: it was heard the first time, or it is now.
            let again = own.ask("POST", &complete, Some(&said)).await;
            assert!(again.status == 200 || again.status == 409, "{outage:?}: {again:?}");
        }
        let jobs = own.until_all_have_ended().await;
        assert_eq!(jobs.len(), 3, "{outage:?}: {jobs:#?}");
        for job in &jobs {
            assert_eq!(done_after_losses(job, &format!("{outage:?}")), 0, "{outage:?}: {job}");
        }
        assert_eq!(own.read(first).await["result"], 42);
        calls
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_of_the_sweeper_fails_its_next_run_makes_it_good() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let new = json!({"type": "noop", "backoff": {"kind": "fixed", "seconds": 1}});
        let killed = own.job(&new).await;
        let dying = killed_at("UpdateItem", 1, true).await;
        own.deliver(&own.behind(&dying, "jobs.worker").await).await;
        assert_eq!(own.read(&killed).await["state"], "running");
        own.undone.lock().unwrap().clear();
        let unsent = own.job(&new).await;
        own.messages().await;

        own.clock.advance(LONG);
        // It fails or not: nobody waits for it.
        let _ = own.behind(&network, "jobs.sweeper").await.invoke(&json!({})).await;
        let jobs = own.until_all_have_ended().await;
        assert_eq!(jobs.len(), 2);
        assert_eq!(story_of(&own.read(&killed).await), ["lease_expired", "done"], "{outage:?}");
        assert_eq!(story_of(&own.read(&unsent).await), ["done"], "{outage:?}");
        network.calls().len()
    })
    .await;
}
