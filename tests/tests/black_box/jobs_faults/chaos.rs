//! Many jobs whose workers crash at random.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::json;
use shared::random::Random;
use tests::{Fault, FaultProxy, Instance};

use super::own_jobs::{LONG, OwnJobs, network};
use super::{done_after_losses, sent_to};
use crate::jobs::{Receiver, status};

/// How many workers there are at a time.
const WORKERS: usize = 4;

/// The most rounds: each brings every message once, and lets all leases end.
const ROUNDS: usize = 60;

/// The network of a worker that crashes at random. A crash is seen from outside: nothing arrives any more.
struct Chaos {
    network: FaultProxy,
    crashed: Arc<AtomicBool>,
    crashes: Arc<AtomicUsize>,
}

impl Chaos {
    /// One of `odds` calls kills its caller, before or after it is done; as many fail in a way that the caller survives.
    async fn of(seed: u64, odds: u32) -> Self {
        let (crashed, number) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (dead, count, random) = (crashed.clone(), number.clone(), Random::seeded(seed));
        let network = network(move |_| {
            if dead.load(Ordering::SeqCst) {
                return Some(Fault::LostRequest);
            }
            let throw = u32::from_le_bytes(random.bytes()) % (4 * odds);
            if throw < 4 {
                dead.store(true, Ordering::SeqCst);
                count.fetch_add(1, Ordering::SeqCst);
            }
            match throw {
                0 | 1 | 4 => Some(Fault::LostAnswer),
                2 | 3 | 5 => Some(Fault::LostRequest),
                6 => Some(Fault::Throttled),
                7 => Some(Fault::ServerError),
                _ => None,
            }
        })
        .await;
        Self { network, crashed, crashes: number }
    }

    /// A function behind it that lives.
    async fn start(&self, own: &OwnJobs, handler: &str) -> Instance {
        self.crashed.store(false, Ordering::SeqCst);
        own.behind(&self.network, handler).await
    }

    fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }
}

/// Brings messages to a worker, which is replaced when it has crashed.
async fn work(own: &OwnJobs, chaos: &Chaos, messages: Vec<String>) {
    let mut worker = chaos.start(own, "jobs.worker").await;
    for some in messages.chunks(5) {
        if chaos.has_crashed() {
            worker = chaos.start(own, "jobs.worker").await;
        }
        own.bring(&worker, some.to_vec()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_jobs_whose_workers_crash_at_random_none_is_lost_and_each_has_its_effect() {
    Box::pin(crashing(1_000)).await;
}

/// Has `count` jobs done by workers of which one in ten crashes at each job.
async fn crashing(count: usize) {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let mut new = sent_to(&receiver);
    new["max_attempts"] = json!(50);
    // A tenth of the messages is never sent.
    let api = {
        let random = Random::seeded(1);
        let lossy =
            network(move |call| (call == "SendMessage" && random.bytes::<1>()[0] < 26).then_some(Fault::Instead("{")));
        own.behind(&lossy.await, "jobs.api").await
    };
    for _ in 0..count / 100 {
        own.ask_at(&api, "POST", "/v1/jobs/batch", Some(&json!({"jobs": vec![new.clone(); 100]}))).await.expect(200);
    }

    let workers = join_all((0..WORKERS as u64).map(|seed| Chaos::of(100 + seed, 30))).await;
    let sweeper = Chaos::of(99, 300).await;
    let mut rounds = 0;
    loop {
        let messages = own.messages().await;
        let share = messages.len().div_ceil(WORKERS).max(1);
        join_all(messages.chunks(share).zip(&workers).map(|(some, chaos)| work(&own, chaos, some.to_vec()))).await;
        own.clock.advance(LONG);
        // It may crash as well.
        let _ = sweeper.start(&own, "jobs.sweeper").await.invoke(&json!({})).await;
        rounds += 1;
        let left = own.undone.lock().unwrap().len();
        if messages.is_empty() && left == 0 && own.all().await.iter().all(|job| job["finished_at"].is_string()) {
            break;
        }
        assert!(rounds < ROUNDS, "jobs do not end");
    }

    let jobs = own.until_all_have_ended().await;
    assert_eq!(jobs.len(), count, "none is lost");
    let mut effects: HashMap<String, usize> = HashMap::new();
    for delivery in receiver.deliveries() {
        let id = delivery.json()["job"]["id"].as_str().unwrap().to_owned();
        *effects.entry(id).or_default() += 1;
    }
    assert_eq!(effects.len(), count, "each has its effect");
    let mut lost = 0;
    for job in &jobs {
        let attempts_lost = done_after_losses(job, "");
        let times = effects[job["id"].as_str().unwrap()];
        assert!((1..=1 + attempts_lost).contains(&times), "an effect comes twice only when a worker was lost: {job}");
        lost += attempts_lost;
    }
    let duplicates = effects.values().sum::<usize>() - count;
    let crashes: usize = workers.iter().map(|worker| worker.crashes.load(Ordering::SeqCst)).sum();
    println!("{count} jobs: {crashes} crashes, {lost} attempts lost, {duplicates} effects too many, {rounds} rounds");
    assert!(crashes >= count / 20, "workers crash: {crashes}");
    assert!(duplicates <= lost && lost <= crashes * 5, "a crash costs at most the attempts that were under way");
}
