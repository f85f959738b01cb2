//! The limits of queues: how many jobs run at once, of a queue and of a key, and how many are begun in a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};
use tests::{Ask as _, Tenant, eventually};
use tokio::sync::Semaphore;

use crate::jobs::{Receiver, act, batch, ended, job, lease, set_queue, status, time};

/// How many requests a server has at work, and the most at once, by the word that is the payload of each.
#[derive(Default)]
struct AtWork(Mutex<BTreeMap<String, (usize, usize)>>);

impl AtWork {
    fn begin(&self, word: &str) {
        let mut all = self.0.lock().unwrap();
        let (now, most) = all.entry(word.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }

    fn end(&self, word: &str) {
        self.0.lock().unwrap().get_mut(word).unwrap().0 -= 1;
    }

    fn most(&self, word: &str) -> usize {
        self.0.lock().unwrap().get(word).map_or(0, |(_, most)| *most)
    }

    fn now(&self, word: &str) -> usize {
        self.0.lock().unwrap().get(word).map_or(0, |(now, _)| *now)
    }
}

/// A server that works on each request until it is let go.
async fn gated() -> (Receiver, Arc<AtWork>, Arc<Semaphore>) {
    let (at_work, gate) = (Arc::new(AtWork::default()), Arc::new(Semaphore::new(0)));
    let (working, passing) = (at_work.clone(), gate.clone());
    let receiver = Receiver::working(move |delivery, _| {
        let (working, passing) = (working.clone(), passing.clone());
        async move {
            let body = delivery.json();
            let word = body["data"].as_str().unwrap();
            working.begin(word);
            passing.acquire().await.unwrap().forget();
            working.end(word);
            status(200)
        }
    })
    .await;
    (receiver, at_work, gate)
}

#[tokio::test]
async fn never_more_jobs_of_a_queue_run_at_once_than_it_says() {
    let tenant = Tenant::new().await;
    let (receiver, at_work, gate) = gated().await;
    set_queue(&tenant, "default", json!({"concurrency": 3, "deliver_to": receiver.url("/")})).await;
    let jobs = batch(&tenant, vec![json!({"type": "a", "payload": "all"}); 12]).await;
    for done in 0..12 {
        // As many as may, and as there are.
        let (came, at_once) = (12.min(3 + done), 3.min(12 - done));
        eventually(&format!("{at_once} at work after {done}"), || async {
            (receiver.deliveries().len() == came && at_work.now("all") == at_once).then_some(())
        })
        .await;
        let running = tenant.get("/v1/jobs?state=running").await.expect(200).json()["data"].as_array().unwrap().len();
        assert!(running <= 3, "{running}");
        gate.add_permits(1);
    }
    for job in &jobs {
        assert_eq!(ended(&tenant, job).await["attempt"], 1);
    }
    assert_eq!((at_work.most("all"), receiver.deliveries().len()), (3, 12));
}

#[tokio::test]
async fn never_more_jobs_of_a_key_run_at_once_than_the_queue_says() {
    let tenant = Tenant::new().await;
    let (receiver, at_work, gate) = gated().await;
    set_queue(&tenant, "default", json!({"concurrency_per_key": 2, "deliver_to": receiver.url("/")})).await;
    let body = |key: &str| json!({"type": "a", "payload": key, "concurrency_key": key});
    let free = json!({"type": "a", "payload": "free"});
    let jobs = batch(&tenant, [vec![body("one"); 5], vec![body("two"); 5], vec![free; 4]].concat()).await;
    eventually("all keys to be at their limit", || async {
        (at_work.now("one") == 2 && at_work.now("two") == 2 && at_work.now("free") == 4).then_some(())
    })
    .await;
    gate.add_permits(jobs.len());
    for job in &jobs {
        let done = ended(&tenant, job).await;
        assert_eq!((&done["state"], &done["attempt"]), (&json!("succeeded"), &json!(1)));
    }
    assert_eq!((at_work.most("one"), at_work.most("two"), at_work.most("free")), (2, 2, 4));
    assert_eq!(receiver.deliveries().len(), 14);
}

#[tokio::test]
async fn workers_that_lease_keep_to_the_limits_too() {
    let tenant = Tenant::new().await;
    set_queue(&tenant, "default", json!({"concurrency": 3})).await;
    let body = |key: &str| json!({"type": "a", "concurrency_key": key});
    for key in ["one", "one", "two", "three", "four"] {
        job(&tenant, body(key)).await;
    }
    let wanted = json!({"max": 32, "wait_seconds": 20});
    let taken = lease(&tenant, "default", wanted.clone()).await;
    let keys: Vec<_> = taken.iter().map(|job| job["concurrency_key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["one", "two", "three"]);
    assert_eq!(lease(&tenant, "default", json!({"max": 32})).await, Vec::<Value>::new());
    // Each end makes room, whichever it is.
    let one = &taken[0];
    act(&tenant, one, "fail", json!({"claim": 1, "class": "x", "permanent": true})).await.expect(200);
    let next = lease(&tenant, "default", wanted.clone()).await;
    assert_eq!((next.len(), &next[0]["concurrency_key"]), (1, &json!("one")));
    let snoozed = act(&tenant, &taken[1], "snooze", json!({"claim": 1, "seconds": 3600})).await.expect(200).json();
    assert_eq!(snoozed["state"], "scheduled");
    let next = lease(&tenant, "default", wanted).await;
    assert_eq!((next.len(), &next[0]["concurrency_key"]), (1, &json!("four")));
}

/// What a worker gets that asks the default queue, with an `Idempotency-Key` or without.
async fn lease_once(tenant: &Tenant, key: Option<&str>, max: usize) -> Vec<Value> {
    let request = tenant.request(Method::POST, "/v1/queues/default/lease").json(&json!({"max": max}));
    let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
    request.answer().await.expect(200).json()["jobs"].as_array().unwrap().clone()
}

/// The concurrency keys of jobs.
fn keys_of(jobs: &[Value]) -> Vec<&str> {
    jobs.iter().map(|job| job["concurrency_key"].as_str().unwrap_or("none")).collect()
}

#[tokio::test]
async fn workers_get_what_waits_behind_a_hundred_jobs_of_a_key_that_is_at_its_limit() {
    for [first, second, third, fourth] in [[None; 4], [Some("first"), Some("second"), Some("third"), Some("fourth")]] {
        let tenant = Tenant::new().await;
        batch(&tenant, vec![json!({"type": "a", "concurrency_key": "busy"}); 100]).await;
        for key in ["one", "one", "two"] {
            job(&tenant, json!({"type": "a", "concurrency_key": key})).await;
        }
        job(&tenant, json!({"type": "a"})).await;
        job(&tenant, json!({"type": "a", "concurrency_key": "low", "priority": "low"})).await;
        let busy = lease(&tenant, "default", json!({"wait_seconds": 20})).await;
        let busy = if keys_of(&busy) == ["low"] { lease_once(&tenant, first, 1).await } else { busy };
        assert_eq!(keys_of(&busy), ["busy"]);
        let next = lease_once(&tenant, second, 4).await;
        let keys: Vec<_> = keys_of(&next).into_iter().filter(|key| *key != "low").collect();
        assert_eq!(keys, ["one", "two", "none"]);
        if second.is_some() {
            assert_eq!(lease_once(&tenant, second, 4).await, next);
        }
        assert_eq!(lease_once(&tenant, third, 32).await, Vec::<Value>::new());
        act(&tenant, &busy[0], "complete", json!({"claim": 1})).await.expect(200);
        assert_eq!(keys_of(&lease_once(&tenant, fourth, 32).await), ["busy"]);
    }
}

#[tokio::test]
async fn a_job_that_its_key_or_its_queue_keeps_from_being_leased_takes_nothing_of_the_rate() {
    for keys in [[None; 6], [Some("1"), Some("2"), Some("3"), Some("4"), Some("5"), Some("6")]] {
        let tenant = Tenant::new().await;
        set_queue(&tenant, "default", json!({"concurrency": 3, "rate_limit": {"jobs": 4, "per_seconds": 36_000}}))
            .await;
        for key in ["busy", "busy", "busy", "busy", "one", "two", "three"] {
            job(&tenant, json!({"type": "a", "concurrency_key": key})).await;
        }
        assert_eq!(keys_of(&lease_once(&tenant, keys[0], 1).await), ["busy"]);
        assert_eq!(keys_of(&lease_once(&tenant, keys[1], 1).await), ["one"]);
        let last = lease_once(&tenant, keys[2], 1).await;
        assert_eq!(keys_of(&last), ["two"]);
        for key in &keys[3..5] {
            assert_eq!(lease_once(&tenant, *key, 32).await, Vec::<Value>::new());
        }
        act(&tenant, &last[0], "complete", json!({"claim": 1})).await.expect(200);
        assert_eq!(keys_of(&lease_once(&tenant, keys[5], 32).await), ["three"]);
    }
}

#[tokio::test]
async fn a_worker_looks_at_a_thousand_jobs_of_each_priority() {
    let tenant = Tenant::new().await;
    for _ in 0..10 {
        batch(&tenant, vec![json!({"type": "a", "concurrency_key": "busy"}); 100]).await;
    }
    let last = job(&tenant, json!({"type": "a", "concurrency_key": "busy"})).await;
    job(&tenant, json!({"type": "a"})).await;
    assert_eq!(keys_of(&lease_once(&tenant, None, 1).await), ["busy"]);
    // A thousand stand before it now.
    assert_eq!(lease_once(&tenant, None, 1).await, Vec::<Value>::new());
    act(&tenant, &last, "cancel", json!({})).await.expect(200);
    assert_eq!(keys_of(&lease_once(&tenant, Some("key"), 1).await), ["none"]);
}

#[tokio::test]
async fn a_queue_that_may_do_more_at_once_takes_up_what_waited() {
    let tenant = Tenant::new().await;
    let (receiver, at_work, gate) = gated().await;
    let settings = |concurrency: u32, per_key: u32| json!({"concurrency": concurrency, "concurrency_per_key": per_key, "deliver_to": receiver.url("/")});
    set_queue(&tenant, "default", settings(1, 1)).await;
    let jobs = batch(&tenant, vec![json!({"type": "a", "payload": "all"}); 4]).await;
    eventually("one at work", || async { (at_work.now("all") == 1).then_some(()) }).await;
    set_queue(&tenant, "default", settings(4, 1)).await;
    eventually("all at work", || async { (at_work.now("all") == 4).then_some(()) }).await;
    gate.add_permits(4);
    for job in &jobs {
        assert_eq!(ended(&tenant, job).await["attempt"], 1);
    }
}

#[tokio::test]
async fn a_queue_that_may_do_more_of_a_key_at_once_takes_up_what_waited_for_that() {
    let tenant = Tenant::new().await;
    let (receiver, at_work, gate) = gated().await;
    let settings = |per_key: u32| json!({"concurrency_per_key": per_key, "deliver_to": receiver.url("/")});
    set_queue(&tenant, "default", settings(1)).await;
    let body = |key: &str| json!({"type": "a", "payload": key, "concurrency_key": key});
    let jobs = batch(&tenant, [vec![body("one"); 3], vec![body("two"); 2], vec![body("three")]].concat()).await;
    eventually("one of each at work", || async {
        ["one", "two", "three"].iter().all(|key| at_work.now(key) == 1).then_some(())
    })
    .await;
    // No end makes room here, and the sweeper looks after some minutes.
    set_queue(&tenant, "default", settings(2)).await;
    eventually("two of each at work", || async { (at_work.now("one") == 2 && at_work.now("two") == 2).then_some(()) })
        .await;
    assert_eq!(at_work.most("one"), 2);
    set_queue(&tenant, "default", json!({"paused": true, "concurrency_per_key": 2})).await;
    set_queue(&tenant, "default", settings(3)).await;
    eventually("all at work", || async { (at_work.now("one") == 3).then_some(()) }).await;
    gate.add_permits(jobs.len());
    for job in &jobs {
        assert_eq!(ended(&tenant, job).await["attempt"], 1);
    }
}

#[tokio::test]
async fn a_rate_limit_is_kept() {
    let tenant = Tenant::new().await;
    // Three at once, and then one each second.
    set_queue(&tenant, "default", json!({"rate_limit": {"jobs": 3, "per_seconds": 3}})).await;
    let jobs = batch(&tenant, vec![json!({"type": "noop"}); 6]).await;
    let mut started = Vec::new();
    for job in &jobs {
        let done = ended(&tenant, job).await;
        assert_eq!((&done["state"], &done["attempt"]), (&json!("succeeded"), &json!(1)));
        started.push(time(&done["started_at"]));
    }
    started.sort_unstable();
    let first = started[0];
    let after: Vec<_> = started.iter().map(|at| at.duration_since(first).as_millis()).collect();
    // Three seconds, less the moment in which a start is written after the limit was asked.
    assert!(after[5] >= 1000, "{after:?}");

    set_queue(&tenant, "pull", json!({"rate_limit": {"jobs": 2, "per_seconds": 3600}})).await;
    batch(&tenant, vec![json!({"type": "a", "queue": "pull"}); 5]).await;
    assert_eq!(lease(&tenant, "pull", json!({"max": 5, "wait_seconds": 20})).await.len(), 2);
    assert_eq!(lease(&tenant, "pull", json!({"max": 5})).await.len(), 0);
}

#[tokio::test]
async fn jobs_that_end_together_make_room_for_as_many() {
    let tenant = Tenant::new().await;
    let (receiver, at_work, gate) = gated().await;
    set_queue(&tenant, "default", json!({"concurrency": 8, "deliver_to": receiver.url("/")})).await;
    let jobs = batch(&tenant, vec![json!({"type": "a", "payload": "all"}); 24]).await;
    for round in 1..=3 {
        eventually(&format!("all places to be taken in round {round}"), || async {
            (receiver.deliveries().len() == 8 * round && at_work.now("all") == 8).then_some(())
        })
        .await;
        gate.add_permits(8);
    }
    for job in &jobs {
        assert_eq!(ended(&tenant, job).await["attempt"], 1);
    }
    assert_eq!(at_work.most("all"), 8);
}

#[tokio::test]
async fn a_job_that_its_key_holds_up_leaves_its_place_in_the_queue_to_the_next() {
    let tenant = Tenant::new().await;
    let (receiver, at_work, gate) = gated().await;
    let limits = json!({"concurrency": 2, "concurrency_per_key": 1, "deliver_to": receiver.url("/")});
    set_queue(&tenant, "default", limits).await;
    let body = |payload: &str, key: Option<&str>| json!({"type": "a", "payload": payload, "concurrency_key": key});
    let first = batch(&tenant, vec![body("first", None); 2]).await;
    eventually("the queue to be full", || async { (at_work.now("first") == 2).then_some(()) }).await;
    // One after another, so that they wait in this order.
    let mut waiting = Vec::new();
    for (payload, key) in [("busy", Some("busy")), ("busy", Some("busy")), ("busy", Some("busy")), ("free", None)] {
        waiting.push(job(&tenant, body(payload, key)).await);
    }
    gate.add_permits(2);
    eventually("one of the key, and the one behind them", || async {
        (at_work.now("busy") == 1 && at_work.now("free") == 1).then_some(())
    })
    .await;
    gate.add_permits(4);
    for job in first.iter().chain(&waiting) {
        assert_eq!(ended(&tenant, job).await["state"], "succeeded");
    }
    assert_eq!((at_work.most("busy"), receiver.deliveries().len()), (1, 6));
}
