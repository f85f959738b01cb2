//! Limits of concurrency while workers die: places are given back, and what waits for them goes on.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::{Fault, Instance};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::own_jobs::{LONG, OwnJobs, killed_at, network, path};
use super::{done_after_losses, story_of};

/// A queue in which one job may run at a time, and the job of a worker of the tenant's that runs.
async fn full(own: &OwnJobs) -> Value {
    own.set_queue("default", &json!({"concurrency": 1})).await;
    own.deliver(&own.worker).await;
    own.job(&json!({"type": "at.home"})).await;
    let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({"lease_seconds": 840}))).await;
    leased.expect(200).json()["jobs"][0].clone()
}

async fn complete(own: &OwnJobs, api: &Instance, job: &Value) {
    let said = json!({"claim": job["claim"]});
    own.ask_at(api, "POST", &format!("{}/complete", path(job)), Some(&said)).await.expect(200);
}

/// New jobs that wait for a place.
async fn parked(own: &OwnJobs, count: usize) -> Vec<Value> {
    let mut jobs = Vec::new();
    for _ in 0..count {
        jobs.push(own.job(&json!({"type": "noop", "backoff": {"kind": "fixed", "seconds": 1}})).await);
    }
    own.deliver(&own.worker).await;
    for job in &jobs {
        assert_eq!(own.read(job).await["state"], "queued");
    }
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_given_back_wherever_workers_die() {
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({"concurrency": 2, "concurrency_per_key": 1})).await;
    for number in 0..24 {
        let key = ["a", "b", "c"][number % 3];
        let backoff = json!({"kind": "fixed", "seconds": 1});
        own.job(&json!({"type": "noop", "concurrency_key": key, "max_attempts": 20, "backoff": backoff})).await;
    }
    for (operation, count, done) in [
        ("TransactWriteItems", 1, true),
        ("TransactWriteItems", 1, false),
        ("GetItem", 3, true),
        ("TransactWriteItems", 2, true),
        ("TransactWriteItems", 3, true),
        ("TransactWriteItems", 4, true),
        ("TransactWriteItems", 6, false),
        ("Query", 1, false),
        ("Query", 2, true),
        ("SendMessage", 1, false),
        ("SendMessage", 2, true),
    ] {
        let dying = killed_at(operation, count, done).await;
        let worker = own.behind(&dying, "jobs.worker").await;
        own.bring(&worker, own.messages().await).await;
        assert!(own.running().await <= 4, "two in the queue, counted in it and in their keys");
        own.clock.advance(LONG);
        own.sweep().await;
    }
    let jobs = own.until_all_have_ended().await;
    assert_eq!(jobs.len(), 24);
    for job in &jobs {
        done_after_losses(job, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_jobs_all_go_on_though_what_made_room_for_them_dies_before_it_says_so() {
    for operation in ["Query", "TransactWriteItems", "SendMessage"] {
        let own = OwnJobs::new().await;
        let first = full(&own).await;
        let waiting = parked(&own, 4).await;
        // The end is the first transaction; its process dies at the next call of this kind.
        let (mut has_ended, mut is_dead) = (false, false);
        let dying = network(move |call| {
            is_dead |= has_ended && call == operation;
            has_ended |= call == "TransactWriteItems";
            is_dead.then_some(Fault::LostRequest)
        })
        .await;
        let said = json!({"claim": first["claim"]});
        let api = own.behind(&dying, "jobs.api").await;
        own.ask_at(&api, "POST", &format!("{}/complete", path(&first)), Some(&said)).await;
        assert_eq!((&own.read(&first).await["state"], own.running().await), (&json!("succeeded"), 0), "{operation}");
        own.deliver(&own.worker).await;
        for job in &waiting {
            assert_eq!(own.read(job).await["state"], "queued", "{operation}");
        }
        let jobs = own.until_all_have_ended().await;
        assert_eq!(jobs.len(), 5);
        assert!(jobs.iter().all(|job| story_of(job) == ["done"]), "{operation}: {jobs:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_died_before_it_let_a_parked_job_go_on_is_made_good_by_its_message() {
    let own = OwnJobs::new().await;
    let first = full(&own).await;
    let waiting = parked(&own, 3).await;
    complete(&own, &own.api, &first).await;
    // The end of the job that goes on first is written; then its worker is gone.
    let dying = killed_at("Query", 1, false).await;
    own.bring(&own.behind(&dying, "jobs.worker").await, own.messages().await).await;
    let ended = async || {
        let mut ended = Vec::new();
        for job in &waiting {
            let job = own.read(job).await;
            ended.extend((job["state"] == "succeeded").then_some(job));
        }
        ended
    };
    let first = ended().await;
    assert_eq!((first.len(), own.running().await, own.queue.drain().await.len()), (1, 0, 0));
    // No sweeper: the message comes again when its visibility ends, and all go on one after the other.
    own.undone.lock().unwrap().push(own.message(&first[0]));
    own.deliver(&own.worker).await;
    assert_eq!(ended().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_parked_again_while_another_is_about_to_let_it_go_on_is_not_forgotten() {
    let own = Arc::new(OwnJobs::new().await);
    let first = full(&own).await;
    let waiting = parked(&own, 1).await.remove(0);
    // The place is given back, and who did that could not say so.
    let mut has_ended = false;
    let silent = network(move |call| {
        let is_lost = has_ended && call == "Query";
        has_ended |= call == "TransactWriteItems";
        is_lost.then_some(Fault::LostRequest)
    })
    .await;
    complete(&own, &own.behind(&silent, "jobs.api").await, &first).await;
    let release = json!({"do": "release", "tenant_id": own.tenant.id, "queue": "default"}).to_string();
    // One function has looked at the parked jobs and is about to take one out. Before it does, another does, and between
    // that refusal and what follows it the job is parked again: a third job has taken the place.
    let (other, message, again, released) = (own.clone(), own.message(&waiting), path(&first), release.clone());
    let mut step = 0;
    let network = network(move |call| {
        let is_transaction = call == "TransactWriteItems";
        if step == 0 && is_transaction {
            step = 1;
            let taken = async {
                other.bring(&other.worker, vec![released.clone()]).await;
                assert_eq!(other.queue.drain().await.len(), 1, "the other has let it go on");
                // The third.
                other.ask("POST", &format!("{again}/retry"), None).await.expect(200);
                let leased = other.ask("POST", "/v1/queues/default/lease", Some(&json!({"lease_seconds": 840}))).await;
                assert_eq!(leased.expect(200).json()["jobs"].as_array().unwrap().len(), 1);
            };
            block_in_place(|| Handle::current().block_on(taken));
        } else if step == 1 {
            step = 2;
            let parked = other.bring(&other.worker, vec![message.clone()]);
            assert_eq!(block_in_place(|| Handle::current().block_on(parked)), 0);
        }
        None
    })
    .await;
    own.bring(&own.behind(&network, "jobs.worker").await, vec![release]).await;
    let third = own.read(&first).await;
    assert_eq!((&third["state"], &third["claim"]), (&json!("running"), &json!(2)));
    complete(&own, &own.api, &third).await;
    let jobs = own.until_all_have_ended().await;
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|job| job["state"] == "succeeded"), "{jobs:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_job_whose_place_is_gone_is_found_by_the_sweeper() {
    let own = OwnJobs::new().await;
    let first = full(&own).await;
    let waiting = parked(&own, 1).await.remove(0);
    let items = crate::resources::items(&own.table).await;
    let place = items.iter().find(|item| item["pk"].as_s().unwrap().contains("#parked#")).unwrap();
    let gone = crate::resources::aws().dynamo.delete_item().table_name(&own.table);
    gone.key("pk", place["pk"].clone()).key("sk", place["sk"].clone()).send().await.unwrap();
    complete(&own, &own.api, &first).await;
    own.until_all_have_ended().await;
    assert_eq!(story_of(&own.read(&waiting).await), ["done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_queue_that_was_paused_go_on_though_the_message_of_that_is_lost() {
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({"paused": true})).await;
    let jobs = parked(&own, 3).await;
    let down = killed_at("SendMessage", 1, false).await;
    let api = own.behind(&down, "jobs.api").await;
    own.ask_at(&api, "PUT", "/v1/queues/default", Some(&json!({"paused": false}))).await.expect(200);
    own.deliver(&own.worker).await;
    for job in &jobs {
        assert_eq!(own.read(job).await["state"], "queued");
    }
    for job in own.until_all_have_ended().await {
        assert_eq!(story_of(&job), ["done"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_set_lets_as_many_parked_jobs_go_on_as_it_has_room_for() {
    let own = OwnJobs::new().await;
    let first = full(&own).await;
    parked(&own, 4).await;
    // How many it lets go on at once.
    let let_go = async |concurrency: usize| {
        own.set_queue("default", &json!({"concurrency": concurrency})).await;
        own.bring(&own.worker, own.messages().await).await;
        let messages = own.messages().await;
        let count = messages.len();
        own.undone.lock().unwrap().extend(messages);
        count
    };
    assert_eq!(let_go(1).await, 0, "the place is taken");
    assert_eq!(let_go(3).await, 2);
    complete(&own, &own.api, &first).await;
    let jobs = own.until_all_have_ended().await;
    assert_eq!(jobs.len(), 5);
    assert!(jobs.iter().all(|job| story_of(job) == ["done"]), "{jobs:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_count_of_a_key_that_nobody_uses_any_more_is_removed_and_never_while_a_job_of_it_runs() {
    let own = OwnJobs::new().await;
    own.set_queue("default", &json!({"concurrency_per_key": 2})).await;
    own.deliver(&own.worker).await;
    let removal = async || {
        let items = crate::resources::items(&own.table).await;
        let slot = items.into_iter().find(|item| item["sk"].as_s().unwrap() == "slot").expect("the key has a count");
        slot.get("removed_at").map(|at| at.as_n().unwrap().parse::<i64>().unwrap())
    };
    for _ in 0..2 {
        own.job(&json!({"type": "at.home", "concurrency_key": "customer"})).await;
        let leased = own.ask("POST", "/v1/queues/default/lease", Some(&json!({"lease_seconds": 840}))).await;
        assert_eq!(removal().await, None, "a job of the key runs");
        complete(&own, &own.api, &leased.expect(200).json()["jobs"][0]).await;
        assert!(removal().await.is_some_and(|at| at > own.clock.now().as_second()));
        own.clock.advance(LONG);
    }
}
