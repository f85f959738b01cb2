//! Jobs: made, read, waited for, called off, done again, put off.

use http::Method;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration};
use tests::{Answer, Ask as _, Tenant, eventually};

use crate::jobs::{Receiver, act, batch, ended, ids, job, lease, leased, made, path_of, read, soon, status, time};
use crate::link::faults;

async fn get_if_changed(tenant: &Tenant, path: &str, etag: &str) -> Answer {
    tenant.request(Method::GET, path).header("if-none-match", etag).answer().await
}

#[tokio::test]
async fn a_job_has_all_that_its_maker_said() {
    let tenant = Tenant::new().await;
    let sent = json!({
        "type": "invoice.send", "queue": "billing", "payload": {"invoice": 4711}, "delay_seconds": 3600, "priority": "low",
        "max_attempts": 3, "backoff": {"kind": "list", "seconds": [1, 60]}, "timeout_seconds": 840,
        "unique": {"key": "invoice-4711"}, "concurrency_key": "customer 9", "tags": ["b", "a"],
        "on_done": {"url": "https://example.com/done"}, "deliver_to": "https://example.com/jobs?a=b",
    });
    let answer = made(&tenant, sent.clone()).await;
    let job = answer.json();
    assert_eq!(
        (answer.header("location"), answer.header("content-type")),
        (path_of(&job).as_str(), "application/json")
    );
    for name in [
        "type",
        "queue",
        "payload",
        "priority",
        "max_attempts",
        "backoff",
        "timeout_seconds",
        "concurrency_key",
        "tags",
        "deliver_to",
    ] {
        assert_eq!(job[name], sent[name], "{name}");
    }
    assert_eq!(
        (&job["state"], &job["run_by"], &job["unique_key"]),
        (&json!("scheduled"), &json!("http"), &json!("invoice-4711"))
    );
    assert_eq!((&job["attempt"], &job["claim"], &job["attempts"]), (&json!(0), &json!(0), &json!([])));
    assert!(job["created_by"].as_str().unwrap().starts_with("key_"));
    assert_eq!(time(&job["run_at"]).duration_since(time(&job["created_at"])).as_secs(), 3600);
    for name in ["progress", "worker", "lease_until", "result", "started_at", "finished_at"] {
        assert_eq!(job[name], json!(null), "{name}");
    }
    let read = tenant.get(answer.header("location")).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (job, answer.header("etag")));
}

#[tokio::test]
async fn a_job_with_nothing_but_a_type_waits_for_a_worker_of_the_tenants() {
    let tenant = Tenant::new().await;
    let job = job(&tenant, json!({"type": "invoice.send"})).await;
    assert_eq!((&job["state"], &job["run_by"], &job["queue"]), (&json!("queued"), &json!("pull"), &json!("default")));
    assert_eq!(
        (&job["priority"], &job["max_attempts"], &job["timeout_seconds"]),
        (&json!("normal"), &json!(10), &json!(60))
    );
    assert_eq!(job["backoff"], json!({"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}));
    assert_eq!((&job["payload"], &job["tags"], &job["run_at"]), (&json!(null), &json!([]), &job["created_at"]));
}

#[tokio::test]
async fn built_in_jobs_of_every_priority_are_done_and_their_end_is_waited_for() {
    let tenant = Tenant::new().await;
    let bodies = ["high", "normal", "low"].map(|priority| json!({"type": "noop", "priority": priority}));
    for job in batch(&tenant, bodies.to_vec()).await {
        let done = ended(&tenant, &job).await;
        assert_eq!(
            (&done["state"], &done["run_by"], &done["attempt"]),
            (&json!("succeeded"), &json!("built_in"), &json!(1))
        );
        let attempt = &done["attempts"][0];
        assert_eq!(
            (&attempt["number"], &attempt["failure"], &attempt["worker"]),
            (&json!(1), &json!(null), &done["worker"])
        );
        assert!(done["worker"].as_str().unwrap().starts_with("worker-"));
        assert!(time(&attempt["started_at"]) <= time(&attempt["ended_at"]));
        assert_eq!((&done["finished_at"], &done["started_at"]), (&attempt["ended_at"], &attempt["started_at"]));
        assert_eq!((&done["result"], &done["lease_until"]), (&json!(null), &json!(null)));
    }
}

#[tokio::test]
async fn a_job_is_begun_at_its_time_and_not_before() {
    let tenant = Tenant::new().await;
    let delayed = job(&tenant, json!({"type": "noop", "delay_seconds": 1})).await;
    let at = Clock::system().now().checked_add(SignedDuration::from_millis(1500)).unwrap();
    let dated = job(&tenant, json!({"type": "noop", "run_at": at.to_string()})).await;
    for job in [delayed, dated] {
        assert_eq!(job["state"], "scheduled");
        let done = ended(&tenant, &job).await;
        assert_eq!((&done["state"], &done["run_at"]), (&json!("succeeded"), &job["run_at"]));
        assert!(time(&done["started_at"]) >= time(&job["run_at"]), "{done}");
    }
}

#[tokio::test]
async fn a_client_that_has_the_version_waits_for_the_next() {
    let tenant = Tenant::new().await;
    let new = async |seconds: u32| {
        let answer = made(&tenant, json!({"type": "invoice.send", "delay_seconds": seconds})).await;
        (path_of(&answer.json()), answer.header("etag").to_owned())
    };
    let (path, etag) = new(3600).await;
    for path in [path.clone(), format!("{path}?wait=1")] {
        let same = get_if_changed(&tenant, &path, &etag).await.expect(304);
        assert_eq!((same.header("etag"), same.body.len()), (etag.as_str(), 0));
    }
    // The passing of time is a change too: now it can be leased.
    let (path, etag) = new(1).await;
    let waiting = format!("{path}?wait=20");
    let queued = get_if_changed(&tenant, &waiting, &etag).await.expect(200);
    assert_eq!(queued.json()["state"], "queued");
    assert_ne!(queued.header("etag"), etag);
    let (changed, taken) = tokio::join!(get_if_changed(&tenant, &waiting, queued.header("etag")), leased(&tenant));
    let changed = changed.expect(200).json();
    assert_eq!((&changed["state"], &changed["claim"]), (&json!("running"), &taken["claim"]));
    // Without a version the end is what is waited for.
    let complete = async { act(&tenant, &taken, "complete", json!({"claim": taken["claim"]})).await.expect(200) };
    let (done, _) = tokio::join!(tenant.get(&waiting), complete);
    assert_eq!(done.expect(200).json()["state"], "succeeded");
}

#[tokio::test]
async fn a_batch_is_made_whole_or_refused_whole() {
    let tenant = Tenant::new().await;
    let good = json!({"type": "a", "unique": {"key": "k"}});
    let bad = json!({"jobs": [
        good, {"type": "A"}, {"type": "a", "delay_seconds": 0}, {"type": "sleep", "payload": {"milliseconds": -1}},
        {"type": "a", "deliver_to": "https://10.0.0.1/"},
    ]});
    let problem = tenant.post("/v1/jobs/batch", &bad).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/jobs/1/type", "invalid")]);
    let bad = json!({"jobs": [
        good, {"type": "a", "delay_seconds": 0}, {"type": "sleep", "payload": {"milliseconds": -1}},
        {"type": "a", "deliver_to": "https://10.0.0.1/"}, {"type": "a", "on_done": {"url": "https://[::1]:0/"}},
    ]});
    let problem = tenant.post("/v1/jobs/batch", &bad).await.problem(422, "validation");
    let expected = [
        ("/jobs/1/delay_seconds", "out_of_range"),
        ("/jobs/2/payload/milliseconds", "invalid_value"),
        ("/jobs/3/deliver_to", "forbidden_address"),
        ("/jobs/4/on_done/url", "bad_port"),
    ];
    assert_eq!(faults(&problem), expected);
    for count in [0, 101] {
        let problem =
            tenant.post("/v1/jobs/batch", &json!({"jobs": vec![&good; count]})).await.problem(422, "validation");
        assert_eq!(faults(&problem), [("/jobs", "out_of_range")]);
    }
    assert_eq!(tenant.get("/v1/jobs").await.expect(200).json()["data"], json!([]));

    let holder = job(&tenant, good.clone()).await;
    let answer =
        tenant.post("/v1/jobs/batch", &json!({"jobs": [{"type": "b"}, good, {"type": "c"}]})).await.expect(200).json();
    let outcomes: Vec<_> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (&result["outcome"], &result["job"]["type"]))
        .collect();
    assert_eq!(
        outcomes,
        [(&json!("created"), &json!("b")), (&json!("existing"), &json!("a")), (&json!("created"), &json!("c")),]
    );
    assert_eq!(answer["results"][1]["job"]["id"], holder["id"]);
    assert_eq!(tenant.get("/v1/jobs").await.expect(200).json()["data"].as_array().unwrap().len(), 3);
    assert_eq!(batch(&tenant, vec![json!({"type": "many"}); 100]).await.len(), 100);
}

#[tokio::test]
async fn a_job_that_waits_is_called_off_at_once() {
    let tenant = Tenant::new().await;
    let jobs = batch(&tenant, vec![json!({"type": "a", "delay_seconds": 3600}), json!({"type": "a"})]).await;
    for job in &jobs {
        let cancelled = act(&tenant, job, "cancel", json!({})).await.expect(200);
        assert_eq!((&cancelled.json()["state"], &cancelled.json()["attempts"]), (&json!("cancelled"), &json!([])));
        assert!(cancelled.json()["finished_at"].is_string());
        let again = act(&tenant, job, "cancel", json!({})).await.expect(200);
        assert_eq!((again.json(), again.header("etag")), (cancelled.json(), cancelled.header("etag")));
        assert_eq!(read(&tenant, job).await, cancelled.json());
    }
    assert_eq!(lease(&tenant, "default", json!({})).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_worker_hears_with_its_heartbeat_that_its_job_was_called_off() {
    let tenant = Tenant::new().await;
    for (verb, said, state) in [
        ("fail", json!({"class": "stopped"}), "cancelled"),
        ("snooze", json!({"seconds": 1}), "cancelled"),
        // It had done the work already.
        ("complete", json!({}), "succeeded"),
    ] {
        job(&tenant, json!({"type": "a"})).await;
        let taken = leased(&tenant).await;
        let beat = act(&tenant, &taken, "heartbeat", json!({"claim": 1})).await.expect(200).json();
        assert_eq!(beat["cancel_requested"], false);
        let asked = act(&tenant, &taken, "cancel", json!({})).await.expect(200).json();
        assert_eq!((&asked["state"], &asked["cancel_requested"]), (&json!("running"), &json!(true)));
        act(&tenant, &taken, "cancel", json!({})).await.expect(200);
        let beat = act(&tenant, &taken, "heartbeat", json!({"claim": 1})).await.expect(200).json();
        assert_eq!(beat["cancel_requested"], true);
        let mut said = said;
        said["claim"] = json!(1);
        let ended = act(&tenant, &taken, verb, said).await.expect(200).json();
        assert_eq!((&ended["state"], &ended["cancel_requested"]), (&json!(state), &json!(false)), "{verb}");
    }
}

#[tokio::test]
async fn a_job_that_fails_before_it_hears_that_it_was_called_off_is_not_tried_again() {
    let tenant = Tenant::new().await;
    let other = tenant.clone();
    let receiver = Receiver::working(move |delivery, _| {
        let other = other.clone();
        async move {
            let asked = act(&other, &delivery.json()["job"], "cancel", json!({})).await.expect(200);
            assert_eq!(asked.json()["cancel_requested"], true);
            status(500)
        }
    })
    .await;
    let job = job(&tenant, json!({"type": "a", "deliver_to": receiver.url("/"), "backoff": soon()})).await;
    let ended = ended(&tenant, &job).await;
    assert_eq!((&ended["state"], &ended["attempt"]), (&json!("cancelled"), &json!(1)));
    assert_eq!(receiver.deliveries().len(), 1);
}

#[tokio::test]
async fn a_job_that_has_ended_is_done_again_with_all_its_attempts() {
    let tenant = Tenant::new().await;
    let poison = json!({"type": "sleep", "payload": {"milliseconds": 0, "poison": true}});
    let jobs = batch(&tenant, vec![poison, json!({"type": "noop"})]).await;
    for (job, state) in jobs.iter().zip(["dead", "succeeded"]) {
        let first = ended(&tenant, job).await;
        assert_eq!(first["state"], state);
        let problem = act(&tenant, job, "cancel", json!({})).await.problem(409, "conflict");
        assert_eq!(problem["detail"], "the job has ended already");
        act(&tenant, job, "retry", json!({})).await.expect(200);
        let second = eventually("the second end", || async {
            let job = ended(&tenant, job).await;
            (job["claim"] == 2).then_some(job)
        })
        .await;
        assert_eq!((&second["state"], &second["attempt"]), (&json!(state), &json!(1)));
        assert_eq!(second["attempts"].as_array().unwrap().len(), 2);
    }
    let pulled = job(&tenant, json!({"type": "a"})).await;
    act(&tenant, &leased(&tenant).await, "complete", json!({"claim": 1, "result": 1})).await.expect(200);
    let again = act(&tenant, &pulled, "retry", json!({})).await.expect(200).json();
    assert_eq!((&again["state"], &again["attempt"]), (&json!("queued"), &json!(0)));
    assert_eq!((&again["finished_at"], &again["result"]), (&json!(null), &json!(null)));
    assert_eq!(leased(&tenant).await["claim"], 2);
    // So is one that was called off, or waits for its time.
    let later = batch(&tenant, vec![json!({"type": "noop", "delay_seconds": 3600}); 2]).await;
    act(&tenant, &later[0], "cancel", json!({})).await.expect(200);
    for job in &later {
        act(&tenant, job, "retry", json!({})).await.expect(200);
        assert_eq!(ended(&tenant, job).await["state"], "succeeded");
    }
}

#[tokio::test]
async fn a_job_that_runs_can_neither_be_done_again_nor_put_off() {
    let tenant = Tenant::new().await;
    job(&tenant, json!({"type": "a"})).await;
    let taken = leased(&tenant).await;
    act(&tenant, &taken, "retry", json!({})).await.problem(409, "conflict");
    let later = json!({"run_at": "2999-01-01T00:00:00Z"});
    let soon = json!({"run_at": "2030-01-01T00:00:00Z"});
    act(&tenant, &taken, "reschedule", later).await.problem(422, "validation");
    act(&tenant, &taken, "reschedule", soon.clone()).await.problem(409, "conflict");
    act(&tenant, &taken, "complete", json!({"claim": 1})).await.expect(200);
    act(&tenant, &taken, "reschedule", soon).await.problem(409, "conflict");
    assert_eq!(read(&tenant, &taken).await["state"], "succeeded");
}

#[tokio::test]
async fn a_job_that_waits_is_put_off_or_brought_forward() {
    let tenant = Tenant::new().await;
    let jobs = batch(&tenant, vec![json!({"type": "a"}), json!({"type": "noop", "delay_seconds": 3600})]).await;
    let off = act(&tenant, &jobs[0], "reschedule", json!({"run_at": "2030-01-01T01:00:00.123456+01:00"}))
        .await
        .expect(200)
        .json();
    assert_eq!((&off["state"], &off["run_at"]), (&json!("scheduled"), &json!("2030-01-01T00:00:00.123Z")));
    assert_eq!(lease(&tenant, "default", json!({})).await, Vec::<Value>::new());
    let at = Clock::system().now().checked_add(SignedDuration::from_secs(2)).unwrap();
    act(&tenant, &jobs[1], "reschedule", json!({"run_at": at.to_string()})).await.expect(200);
    let done = ended(&tenant, &jobs[1]).await;
    assert_eq!((&done["state"], time(&done["started_at"]) >= at), (&json!("succeeded"), true));
}

#[tokio::test]
async fn what_names_another_version_is_412_and_changes_nothing() {
    let tenant = Tenant::new().await;
    let answer = made(&tenant, json!({"type": "a", "delay_seconds": 3600})).await;
    let (job, etag) = (answer.json(), answer.header("etag").to_owned());
    let conditional = async |verb: &str, tag: &str| {
        let path = format!("{}/{verb}", path_of(&job));
        let body = json!({"run_at": "2030-01-01T00:00:00Z"});
        tenant.request(Method::POST, &path).header("if-match", tag).json(&body).answer().await
    };
    for verb in ["cancel", "retry", "reschedule"] {
        conditional(verb, "\"other\"").await.problem(412, "precondition-failed");
    }
    assert_eq!(read(&tenant, &job).await, job);
    let moved = conditional("reschedule", &etag).await.expect(200);
    conditional("cancel", &etag).await.problem(412, "precondition-failed");
    let cancelled = conditional("cancel", moved.header("etag")).await.expect(200);
    let retried = conditional("retry", cancelled.header("etag")).await.expect(200);
    assert_eq!(ids(&[retried.json()]), ids(&[job]));
}
