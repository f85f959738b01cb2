//! Jobs that are asked for while something fails.

use serde_json::{Value, json};
use shared::dynamo::AttributeValue;
use shared::time::rfc3339_millis;
use tests::Fault;

use super::own_jobs::{LONG, OwnJobs, network, network_of, path};
use super::{LOSSES, done_after_losses, story_of};
use crate::faults::{FAULTS, at_each_call, at_each_call_in, done_or_unavailable, unavailable};
use crate::jobs::{Receiver, status};
use crate::resources::items;

/// S3's calls have no name on their way.
const S3: &str = "";

/// A payload that has no place in the record.
fn large() -> String {
    "large ".repeat(1_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_job_that_is_asked_for_again_with_its_key_is_done_once() {
    at_each_call(|outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let new = json!({"type": "noop", "payload": large(), "unique": {"key": "one"}});
        let first = own.create_once(&own.behind(&network, "jobs.api").await, "/v1/jobs", "once", &new).await;
        done_or_unavailable(&first, 201, outage);
        let again = own.create_once(&own.api, "/v1/jobs", "once", &new).await.expect(201);
        if first.status == 201 {
            assert_eq!(again.json(), first.json(), "{outage:?}");
        }
        let job = own.until_it_has_ended().await;
        assert_eq!((&job["id"], story_of(&job)), (&again.json()["id"], vec!["done".to_owned()]), "{outage:?}");
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_batch_that_is_asked_for_again_with_its_key_has_each_job_done_once() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let batch = json!({"jobs": [{"type": "noop"}, {"type": "noop", "payload": large()}]});
        let api = own.behind(&network, "jobs.api").await;
        let first = own.create_once(&api, "/v1/jobs/batch", "once", &batch).await;
        done_or_unavailable(&first, 200, outage);
        let again = own.create_once(&own.api, "/v1/jobs/batch", "once", &batch).await.expect(200).json();
        let again = again["results"].as_array().unwrap();
        assert!(again.iter().all(|result| result["outcome"] == "created"), "{outage:?}: {again:?}");
        if first.status == 200 {
            for (first, again) in first.json()["results"].as_array().unwrap().iter().zip(again) {
                assert!(first["outcome"] == "failed" || first == again, "{outage:?}: {first} {again}");
            }
        }
        let mut made: Vec<_> = own.until_all_have_ended().await.iter().map(|job| job["id"].to_string()).collect();
        let mut told: Vec<_> = again.iter().map(|result| result["job"]["id"].to_string()).collect();
        made.sort();
        told.sort();
        assert_eq!(made, told, "{outage:?}");
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_job_is_made_whole_or_not_at_all() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let new = json!({"type": "noop", "payload": large()});
        let api = own.behind(&network, "jobs.api").await;
        let answer = own.ask_at(&api, "POST", "/v1/jobs", Some(&new)).await;
        done_or_unavailable(&answer, 201, outage);
        let jobs = own.until_all_have_ended().await;
        assert!(jobs.len() <= 1, "{outage:?}");
        if answer.status == 201 {
            assert_eq!(jobs[0]["id"], answer.json()["id"], "{outage:?}");
        }
        for job in &jobs {
            assert_eq!(done_after_losses(job, &format!("{outage:?}")), 0);
            assert_eq!(own.read(job).await["payload"], new["payload"], "{outage:?}");
        }
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_a_unique_job_is_made_by_its_first_request_and_holds_its_key() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let new = json!({"type": "noop", "unique": {"key": "one"}});
        let api = own.behind(&network, "jobs.api").await;
        let answer = own.ask_at(&api, "POST", "/v1/jobs", Some(&new)).await;
        done_or_unavailable(&answer, 201, outage);
        let made = own.all().await;
        let again = own.ask("POST", "/v1/jobs", Some(&new)).await;
        assert_eq!(again.status.as_u16(), if made.is_empty() { 201 } else { 200 }, "{outage:?}");
        assert!(made.iter().all(|job| job["id"] == again.json()["id"]), "{outage:?}");
        assert_eq!(done_after_losses(&own.until_it_has_ended().await, &format!("{outage:?}")), 0);
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_each_job_of_a_batch_that_is_said_to_be_made_is_done() {
    at_each_call_in(LOSSES.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let api = own.behind(&network, "jobs.api").await;
        let batch = json!({"jobs": [{"type": "noop"}, {"type": "noop", "unique": {"key": "one"}}, {"type": "noop"}]});
        let answer = own.ask_at(&api, "POST", "/v1/jobs/batch", Some(&batch)).await;
        done_or_unavailable(&answer, 200, outage);
        let jobs = own.until_all_have_ended().await;
        assert!(jobs.len() <= 3, "{outage:?}");
        let results =
            if answer.status == 200 { answer.json()["results"].as_array().unwrap().clone() } else { Vec::new() };
        for result in &results {
            match result["outcome"].as_str().unwrap() {
                "created" => assert!(jobs.iter().any(|job| job["id"] == result["job"]["id"]), "{outage:?}: {result}"),
                "failed" => assert!(outage.lasts, "{outage:?}: {result}"),
                outcome => panic!("{outage:?}: {outcome}"),
            }
        }
        for job in &jobs {
            assert_eq!(done_after_losses(job, &format!("{outage:?}")), 0, "{outage:?}");
        }
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_queue_is_down_jobs_are_made_and_the_sweeper_sends_them() {
    for fault in [Fault::LostRequest, Fault::Throttled, Fault::ServerError] {
        let own = OwnJobs::new().await;
        let down = network(move |call| (call == "SendMessage").then_some(fault)).await;
        let api = own.behind(&down, "jobs.api").await;
        let new = json!({"type": "noop"});
        let alone = own.ask_at(&api, "POST", "/v1/jobs", Some(&new)).await.expect(201).json();
        let batch = json!({"jobs": [new, new]});
        let batch = own.ask_at(&api, "POST", "/v1/jobs/batch", Some(&batch)).await.expect(200).json();
        assert!(batch["results"].as_array().unwrap().iter().all(|result| result["outcome"] == "created"), "{batch}");
        assert_eq!(own.messages().await, Vec::<String>::new());

        // The sweeper cannot send either: what it could not do is not forgotten.
        own.clock.advance(LONG);
        own.behind(&down, "jobs.sweeper").await.invoke(&json!({})).await.unwrap();
        assert_eq!(own.messages().await, Vec::<String>::new());
        own.sweep().await;
        let sent = own.messages().await;
        assert_eq!(sent.len(), 3, "{fault:?}: {sent:?}");
        assert!(sent.contains(&own.message(&alone)), "{sent:?}");
        assert_eq!(own.bring(&own.worker, sent).await, 0);
        for job in own.until_all_have_ended().await {
            assert_eq!(story_of(&job), ["done"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_dynamodb_is_down_clients_are_told_when_to_try_again_and_nothing_is_half_made() {
    let own = OwnJobs::new().await;
    let job = own.job(&json!({"type": "at.home", "delay_seconds": 3600})).await;
    let before = items(&own.table).await.len();
    for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::LostAnswer) {
        let is_down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let down = is_down.clone();
        let network = network(move |call| {
            let down = down.load(std::sync::atomic::Ordering::SeqCst) && call != S3 && call != "SendMessage";
            down.then_some(fault)
        })
        .await;
        let api = own.behind(&network, "jobs.api").await;
        // The credential is known by then, so that it is the endpoint's own calls that fail.
        own.ask_at(&api, "GET", "/v1/jobs", None).await.expect(200);
        is_down.store(true, std::sync::atomic::Ordering::SeqCst);
        let (one, at) = (path(&job), json!({"run_at": rfc3339_millis(own.clock.now() + LONG)}));
        let new = json!({"type": "noop", "payload": large()});
        let batch = json!({"jobs": [new]});
        let calls: [(&str, String, Option<&Value>); 14] = [
            ("POST", "/v1/jobs".into(), Some(&new)),
            ("POST", "/v1/jobs/batch".into(), Some(&batch)),
            ("GET", "/v1/jobs".into(), None),
            ("GET", one.clone(), None),
            ("POST", format!("{one}/cancel"), None),
            ("POST", format!("{one}/retry"), None),
            ("POST", format!("{one}/reschedule"), Some(&at)),
            ("POST", format!("{one}/complete"), Some(&Value::Null)),
            ("POST", format!("{one}/heartbeat"), Some(&Value::Null)),
            ("GET", "/v1/queues".into(), None),
            ("GET", "/v1/queues/default".into(), None),
            ("PUT", "/v1/queues/default".into(), Some(&Value::Null)),
            ("POST", "/v1/queues/default/lease".into(), Some(&Value::Null)),
            ("GET", "/v1/queues/default/dead".into(), None),
        ];
        let (claim, nothing) = (json!({"claim": 1}), json!({}));
        for (method, path, body) in &calls {
            let said = if path.ends_with("complete") || path.ends_with("heartbeat") { &claim } else { &nothing };
            let body = body.map(|body| if body.is_null() { said } else { body });
            let answer = own.ask_at(&api, method, path, body).await;
            unavailable(&answer, &format!("{fault:?} {method} {path}"));
        }
    }
    assert_eq!(items(&own.table).await.len(), before);
    assert_eq!(own.read(&job).await, job);
    assert_eq!(own.messages().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_bucket_is_down_a_large_payload_is_refused_and_a_small_one_is_not() {
    for fault in [Fault::LostRequest, Fault::ServerError] {
        let own = OwnJobs::new().await;
        let down = network(move |call| (call == S3).then_some(fault)).await;
        let api = own.behind(&down, "jobs.api").await;
        let (small, large) = (json!({"type": "noop"}), json!({"type": "noop", "payload": large()}));
        unavailable(&own.ask_at(&api, "POST", "/v1/jobs", Some(&large)).await, &format!("{fault:?}"));
        unavailable(&own.create_once(&api, "/v1/jobs", "once", &large).await, &format!("{fault:?}"));
        let batch = own.ask_at(&api, "POST", "/v1/jobs/batch", Some(&json!({"jobs": [small, large]}))).await;
        let outcomes: Vec<_> =
            batch.expect(200).json()["results"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
        assert_eq!(outcomes, ["created", "failed"], "{fault:?}");
        let job = own.until_it_has_ended().await;
        assert_eq!((story_of(&job), &job["payload"]), (vec!["done".to_owned()], &json!(null)), "{fault:?}");
        own.create_once(&own.api, "/v1/jobs", "once", &large).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_bucket_is_down_a_job_with_a_large_payload_waits_and_is_sent_whole_afterwards() {
    let own = OwnJobs::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let mut new = super::sent_to(&receiver);
    new["payload"] = json!(large());
    let job = own.job(&new).await;
    let down = network(|call| (call == S3).then_some(Fault::ServerError)).await;
    own.deliver(&own.behind(&down, "jobs.worker").await).await;
    assert_eq!(receiver.deliveries().len(), 0, "nothing is sent without its payload");
    let now = own.read(&job).await;
    assert_eq!((&now["finished_at"], story_of(&now)), (&Value::Null, vec![]), "it waits, and nothing counts: {now}");
    let ended = own.until_it_has_ended().await;
    assert_eq!(story_of(&ended), ["done"]);
    assert_eq!(receiver.deliveries()[0].json()["data"], new["payload"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_for_a_job_that_there_is_not_makes_nothing() {
    let own = OwnJobs::new().await;
    let job = own.job(&json!({"type": "noop", "delay_seconds": 3600})).await;
    let record = own.record(&job).await;
    let (pk, sk) = (record["pk"].clone(), record["sk"].clone());
    let gone = crate::resources::aws().dynamo.delete_item().table_name(&own.table).key("pk", pk).key("sk", sk);
    gone.send().await.unwrap();
    for settings in [
        json!({}),
        json!({"concurrency": 1}),
        json!({"paused": true}),
        json!({"rate_limit": {"jobs": 1, "per_seconds": 60}}),
    ] {
        own.set_queue("default", &settings).await;
        own.clock.advance(LONG);
        own.messages().await;
        let messages = vec![own.message(&job); 2];
        assert_eq!(own.bring(&own.worker, messages).await, 0, "{settings}");
        assert_eq!(own.all().await, Vec::<Value>::new(), "{settings}");
        assert_eq!(own.running().await, 0, "{settings}");
    }
    let left = items(&own.table).await;
    let is_queue = |sk: &AttributeValue| sk.as_s().unwrap().starts_with("queue#");
    assert!(left.iter().all(|item| is_queue(&item["sk"]) || item["sk"].as_s().unwrap() == "slot"), "{left:?}");
}
