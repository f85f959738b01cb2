//! A backlog over the rate of its queue: how often its jobs are handled, in which order they begin, and that none is lost.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::time::SignedDuration;

use super::own_jobs::{LONG, OwnJobs, killed_at, network_of, path};
use super::{LOSSES, story_of};
use crate::faults::at_each_call_in;

/// A job that is done as soon as it begins.
fn quick(priority: &str) -> Value {
    json!({"type": "noop", "priority": priority, "backoff": {"kind": "fixed", "seconds": 1}})
}

async fn made(own: &OwnJobs, jobs: &[Value]) {
    own.ask("POST", "/v1/jobs/batch", Some(&json!({"jobs": jobs}))).await.expect(200);
}

/// Those that have begun, in their order.
async fn begun(own: &OwnJobs) -> Vec<Value> {
    let mut begun: Vec<_> = own.all().await.into_iter().filter(|job| job["started_at"].is_string()).collect();
    begun.sort_by_key(|job| job["started_at"].as_str().unwrap().to_owned());
    begun
}

/// Brings all messages one after the other: two that ask at the same moment whether there is room may both be told so.
async fn deliver_singly(own: &OwnJobs) {
    loop {
        let mut messages = own.messages().await;
        messages.sort();
        if messages.is_empty() {
            return;
        }
        let before = messages.clone();
        for message in messages {
            own.bring(&own.worker, vec![message]).await;
        }
        let mut left = own.messages().await;
        left.sort();
        let is_same = left == before;
        own.undone.lock().unwrap().append(&mut left);
        if is_same {
            return;
        }
    }
}

/// How many messages there were about each job, and how many turns of the queue.
fn messages(own: &OwnJobs) -> (BTreeMap<String, usize>, usize) {
    let (mut of_jobs, mut turns) = (BTreeMap::new(), BTreeSet::new());
    for sent in own.network.requests("SendMessage") {
        let body = sent["MessageBody"].as_str().unwrap().to_owned();
        let message: Value = serde_json::from_str(&body).unwrap();
        match message["do"].as_str().unwrap() {
            "run" => *of_jobs.entry(message["job_id"].as_str().unwrap().to_owned()).or_default() += 1,
            // One that comes before its time is sent again as it is.
            "turn" => drop(turns.insert(body)),
            _ => {}
        }
    }
    (of_jobs, turns.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_backlog_over_the_rate_is_handled_twice_and_higher_priorities_begin_first() {
    const EACH: usize = 16;
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({"rate_limit": {"jobs": 2, "per_seconds": 60}})).await;
    own.deliver(&own.worker).await;
    for priority in ["low", "normal", "high"] {
        made(&own, &vec![quick(priority); EACH]).await;
    }
    own.deliver(&own.worker).await;
    assert_eq!(begun(&own).await.len(), 2, "as many as may begin at once");
    for count in 3..=3 * EACH {
        own.clock.advance(SignedDuration::from_millis(29_999));
        own.deliver(&own.worker).await;
        assert_eq!(begun(&own).await.len(), count - 1, "none begins before its time");
        own.clock.advance(SignedDuration::from_millis(1));
        own.deliver(&own.worker).await;
        assert_eq!(begun(&own).await.len(), count, "one begins each 30 s");
    }
    let (of_jobs, turns) = messages(&own);
    assert_eq!(of_jobs.len(), 3 * EACH);
    assert!(of_jobs.values().all(|count| *count <= 2), "{of_jobs:?}");
    assert!(turns <= 3 * EACH, "a turn for each that begins: {turns}");
    let order: Vec<_> = begun(&own).await[2..].iter().map(|job| job["priority"].as_str().unwrap().to_owned()).collect();
    let rank = |priority: &String| ["high", "normal", "low"].iter().position(|known| known == priority);
    assert!(order.is_sorted_by_key(rank), "{order:?}");
    own.until_all_have_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_called_off_takes_nothing_of_the_rate_and_a_higher_rate_holds_at_once() {
    let own = OwnJobs::new().await;
    let rate = |jobs: u32, paused: bool| json!({"paused": paused, "rate_limit": {"jobs": jobs, "per_seconds": 600}});
    own.set_queue("default", &rate(1, false)).await;
    made(&own, &vec![quick("normal"); 8]).await;
    own.deliver(&own.worker).await;
    assert_eq!(begun(&own).await.len(), 1);
    let waiting: Vec<_> = own.all().await.into_iter().filter(|job| job["state"] == "queued").collect();
    assert_eq!(waiting.len(), 7);
    for job in &waiting[..2] {
        own.ask("POST", &format!("{}/cancel", path(job)), None).await.expect(200);
    }
    own.clock.advance(SignedDuration::from_mins(10));
    own.deliver(&own.worker).await;
    assert_eq!(begun(&own).await.len(), 2, "those that were called off are passed over");

    own.set_queue("default", &rate(1, true)).await;
    own.clock.advance(SignedDuration::from_mins(10));
    own.deliver(&own.worker).await;
    assert_eq!(begun(&own).await.len(), 2, "none begins while the queue is paused");
    own.set_queue("default", &rate(1, false)).await;
    own.clock.advance(SignedDuration::from_secs(6));
    own.deliver(&own.worker).await;
    assert_eq!(begun(&own).await.len(), 3);

    own.set_queue("default", &rate(2, false)).await;
    own.clock.advance(SignedDuration::from_secs(6));
    own.deliver(&own.worker).await;
    assert_eq!(begun(&own).await.len(), 5, "the clock has not moved for ten minutes");
    own.set_queue("default", &json!({})).await;
    own.clock.advance(SignedDuration::from_secs(6));
    own.deliver(&own.worker).await;
    assert_eq!(begun(&own).await.len(), 6);
    own.until_all_have_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_and_a_limit_of_concurrency_are_kept_together_and_no_place_stays_empty() {
    let own = OwnJobs::new().await;
    let limits = json!({"concurrency": 2, "concurrency_per_key": 1, "rate_limit": {"jobs": 3, "per_seconds": 90}});
    own.set_queue("default", &limits).await;
    let keyed: Vec<_> = (0..12)
        .map(|number| {
            let mut job = quick("normal");
            job["concurrency_key"] = json!(["a", "b", "c", "d"][number % 4]);
            job
        })
        .collect();
    made(&own, &keyed).await;
    deliver_singly(&own).await;
    for count in 3..12 {
        assert_eq!((begun(&own).await.len(), own.running().await), (count, 0));
        own.clock.advance(SignedDuration::from_secs(30));
        deliver_singly(&own).await;
    }
    assert_eq!(begun(&own).await.len(), 12);
    let (of_jobs, _) = messages(&own);
    // The first look, one for each limit that has held it up, and its beginning.
    assert!(of_jobs.values().sum::<usize>() <= 12 * 4, "{of_jobs:?}");
    own.until_all_have_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_while_jobs_wait_for_the_rate_all_are_done() {
    for is_turn in [false, true] {
        at_each_call_in(LOSSES.into_iter(), |outage| async move {
            let (own, network) = (OwnJobs::new().await, network_of(outage).await);
            own.set_queue("default", &json!({"rate_limit": {"jobs": 1, "per_seconds": 60}})).await;
            own.deliver(&own.worker).await;
            made(&own, &vec![quick("normal"); 3]).await;
            if is_turn {
                own.deliver(&own.worker).await;
                own.clock.advance(SignedDuration::from_secs(60));
            }
            let faulty = own.behind(&network, "jobs.worker").await;
            for message in own.messages().await {
                own.bring(&faulty, vec![message]).await;
            }
            let calls = network.calls().len();
            let jobs = own.until_all_have_ended().await;
            assert_eq!(jobs.len(), 3);
            for job in &jobs {
                let lost = story_of(job).len() - 1;
                assert!(lost == 0 || outage.lasts, "{outage:?}: {job}");
                assert_eq!(job["state"], "succeeded", "{outage:?}");
            }
            calls
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_lease_and_jobs_that_wait_for_the_rate_have_it_in_one_order() {
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({"rate_limit": {"jobs": 1, "per_seconds": 60}})).await;
    let to_lease = |priority: &str| json!({"type": "at.home", "priority": priority});
    let lease = async || {
        let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({"max": 8}))).await.expect(200).json();
        let jobs = leased["jobs"].as_array().unwrap().clone();
        for job in &jobs {
            let done = json!({"claim": job["claim"]});
            own.ask("POST", &format!("{}/complete", path(job)), Some(&done)).await.expect(200);
        }
        jobs.iter().map(|job| job["id"].clone()).collect::<Vec<_>>()
    };
    // One begins at once; then come one to lease, two that wait for the rate, and another one to lease.
    made(&own, &[quick("normal")]).await;
    own.deliver(&own.worker).await;
    let before = own.job(&to_lease("normal")).await["id"].clone();
    own.clock.advance(SignedDuration::from_secs(1));
    made(&own, &vec![quick("normal"); 2]).await;
    own.deliver(&own.worker).await;
    own.clock.advance(SignedDuration::from_secs(1));
    let last = own.job(&to_lease("low")).await["id"].clone();
    assert_eq!(begun(&own).await.len(), 1);

    let minute = || own.clock.advance(SignedDuration::from_secs(60));
    minute();
    assert_eq!(lease().await, [before], "it has waited longest");
    let urgent = own.job(&to_lease("high")).await["id"].clone();
    minute();
    assert_eq!(lease().await, [urgent], "the highest priority comes first");
    for count in [4, 5] {
        minute();
        assert_eq!(lease().await, Vec::<Value>::new(), "it is the turn of one that is parked");
        own.deliver(&own.worker).await;
        assert_eq!(begun(&own).await.len(), count);
    }
    minute();
    assert_eq!(lease().await, [last]);
    own.until_all_have_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_waited_for_days_and_is_lost_as_it_is_let_go_is_found_within_minutes() {
    for settings in [json!({"paused": true}), json!({"rate_limit": {"jobs": 1, "per_seconds": 86_400}})] {
        let own = OwnJobs::new().await;
        own.set_queue("default", &settings).await;
        made(&own, &vec![quick("normal"); 2]).await;
        own.deliver(&own.worker).await;
        // The times between two looks of the sweeper double. By the rate, the next job begins after a day.
        for _ in 0..20 {
            own.clock.advance(SignedDuration::from_hours(1));
            own.sweep().await;
        }
        own.set_queue("default", &json!({})).await;
        own.clock.advance(SignedDuration::from_secs(6));
        // The other of two jobs; or, after the message for the turn, the one that waits.
        own.deliver(&own.behind(&killed_at("SendMessage", 2, false).await, "jobs.worker").await).await;
        own.clock.advance(LONG);
        own.sweep().await;
        own.deliver(&own.worker).await;
        for job in own.all().await {
            assert_eq!(job["state"], "succeeded", "{settings}");
        }
    }
}
