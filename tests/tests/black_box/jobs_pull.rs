//! Workers in any language: they lease jobs, keep them, and say how they ended.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::{Clock, SignedDuration};
use tests::{Instance, Tenant, eventually};

use crate::jobs::{act, batch, ended, ids, job, lease, leased, path_of, read, soon, time};
use crate::link::faults;

#[tokio::test]
async fn a_worker_gets_as_many_jobs_as_it_wants_those_that_waited_longest_first() {
    let tenant = Tenant::new().await;
    let mut made = Vec::new();
    for number in 0..5 {
        made.push(job(&tenant, json!({"type": "a", "payload": {"number": number}})).await);
    }
    job(&tenant, json!({"type": "later", "delay_seconds": 3600})).await;
    job(&tenant, json!({"type": "elsewhere", "queue": "other"})).await;
    job(&tenant, json!({"type": "elsewhere", "deliver_to": "https://example.com/", "delay_seconds": 3600})).await;
    let wanted = json!({"max": 3, "lease_seconds": 300, "wait_seconds": 20, "worker": "berlin-3"});
    let first = lease(&tenant, "default", wanted).await;
    assert_eq!(ids(&first), ids(&made[..3]));
    for (taken, number) in first.iter().zip(0..) {
        assert_eq!((&taken["state"], &taken["payload"]), (&json!("running"), &json!({"number": number})));
        assert_eq!((&taken["attempt"], &taken["claim"], &taken["worker"]), (&json!(1), &json!(1), &json!("berlin-3")));
        assert_eq!(time(&taken["lease_until"]).duration_since(time(&taken["started_at"])).as_secs(), 300);
        assert_eq!(*taken, read(&tenant, taken).await);
    }
    let rest = lease(&tenant, "default", json!({"max": 32})).await;
    assert_eq!(ids(&rest), ids(&made[3..]));
    assert!(rest[0]["worker"].as_str().unwrap().starts_with("key_"), "a worker without a name is who it is");
    assert_eq!(lease(&tenant, "default", json!({"max": 32})).await, Vec::<Value>::new());
    assert_eq!(lease(&tenant, "nobody-has-used-it", json!({})).await, Vec::<Value>::new());
}

#[tokio::test]
async fn higher_priorities_come_first_but_a_low_one_has_its_turn_while_they_wait() {
    let tenant = Tenant::new().await;
    let body = |priority: &str| json!({"type": "a", "priority": priority});
    batch(&tenant, vec![body("high"); 100]).await;
    batch(&tenant, [vec![body("normal"); 60], vec![body("low"); 20]].concat()).await;
    let (mut high, mut low) = (0, 0);
    let mut turns = 0;
    while turns < 40 || low == 0 {
        let jobs = lease(&tenant, "default", json!({"wait_seconds": 20})).await;
        high += usize::from(jobs[0]["priority"] == "high");
        low += usize::from(jobs[0]["priority"] == "low");
        turns += 1;
    }
    assert!(high < 100 && high > low, "{high} of the high, {low} of the low in {turns}");
}

#[tokio::test]
async fn a_worker_that_waits_gets_the_job_that_comes() {
    let tenant = Tenant::new().await;
    let waiting = lease(&tenant, "default", json!({"wait_seconds": 20}));
    let making = async {
        // The worker has found nothing by now.
        assert_eq!(lease(&tenant, "default", json!({"wait_seconds": 1})).await, Vec::<Value>::new());
        job(&tenant, json!({"type": "a"})).await
    };
    let (taken, made) = tokio::join!(waiting, making);
    assert_eq!(ids(&taken), ids(&[made]));
    // And one whose time comes meanwhile.
    let delayed = job(&tenant, json!({"type": "b", "delay_seconds": 1})).await;
    let taken = leased(&tenant).await;
    assert_eq!(taken["id"], delayed["id"]);
    assert!(time(&taken["started_at"]) >= time(&delayed["run_at"]));
}

#[tokio::test]
async fn a_heartbeat_keeps_the_job_and_tells_how_far_it_is() {
    let tenant = Tenant::new().await;
    job(&tenant, json!({"type": "a"})).await;
    let taken = leased(&tenant).await;
    let now = Clock::system().now();
    let said = json!({"claim": 1, "lease_seconds": 840, "progress": {"fraction": 0.25, "message": "1 of 4 \u{1f600}"}});
    let beat = act(&tenant, &taken, "heartbeat", said.clone()).await.expect(200);
    assert_eq!(beat.json()["progress"], said["progress"]);
    assert!(time(&beat.json()["lease_until"]).duration_since(now) >= SignedDuration::from_secs(839));
    let shown = tenant.get(&path_of(&taken)).await.expect(200);
    assert_eq!((shown.json(), shown.header("etag")), (beat.json(), beat.header("etag")));
    // What is not said of again stays.
    let beat = act(&tenant, &taken, "heartbeat", json!({"claim": 1})).await.expect(200).json();
    assert_eq!(beat["progress"], said["progress"]);
    for (bad, pointer) in [
        (json!({"claim": 1, "progress": {"fraction": 1.1}}), "/progress/fraction"),
        (json!({"claim": 1, "progress": {"fraction": -0.1}}), "/progress/fraction"),
        (json!({"claim": 1, "progress": {"fraction": "1"}}), "/progress/fraction"),
        (json!({"claim": 1, "progress": {"fraction": 1, "massage": "x"}}), "/progress/massage"),
        (json!({"claim": 1, "progress": {"fraction": 1, "message": "x".repeat(201)}}), "/progress/message"),
        (json!({"claim": 1, "lease_seconds": 4}), "/lease_seconds"),
        (json!({"claim": 1, "lease_seconds": 841}), "/lease_seconds"),
        (json!({"lease_seconds": 60}), "/claim"),
    ] {
        let problem = act(&tenant, &taken, "heartbeat", bad.clone()).await.problem(422, "validation");
        assert_eq!(faults(&problem)[0].0, pointer, "{bad}");
    }
}

#[tokio::test]
async fn an_attempt_that_failed_is_made_again_until_there_are_no_more() {
    let tenant = Tenant::new().await;
    let made = job(&tenant, json!({"type": "a", "max_attempts": 2, "backoff": soon()})).await;
    leased(&tenant).await;
    let said = json!({"claim": 1, "class": "out_of_stock", "message": format!("item 4711 {}", "x".repeat(600))});
    let failed = act(&tenant, &made, "fail", said).await.expect(200).json();
    assert_eq!(
        (&failed["attempt"], &failed["lease_until"], &failed["finished_at"]),
        (&json!(1), &json!(null), &json!(null))
    );
    let failure = &failed["attempts"][0]["failure"];
    assert_eq!((&failure["class"], failure["message"].as_str().unwrap().len()), (&json!("out_of_stock"), 500));
    let wait = time(&failed["run_at"]).duration_since(time(&failed["attempts"][0]["ended_at"]));
    assert_eq!(wait, SignedDuration::from_secs(1));
    // It comes again when its time has come, with another claim.
    let again = leased(&tenant).await;
    assert_eq!((&again["id"], &again["attempt"], &again["claim"]), (&made["id"], &json!(2), &json!(2)));
    assert!(time(&again["started_at"]) >= time(&failed["run_at"]));
    act(&tenant, &made, "complete", json!({"claim": 1})).await.problem(409, "conflict");
    let dead = act(&tenant, &made, "fail", json!({"claim": 2, "class": "broken"})).await.expect(200).json();
    assert_eq!((&dead["state"], dead["attempts"].as_array().unwrap().len()), (&json!("dead"), 2));
    assert!(dead["finished_at"].is_string());
}

#[tokio::test]
async fn a_worker_says_that_no_attempt_can_succeed_or_when_to_try_again() {
    let tenant = Tenant::new().await;
    job(&tenant, json!({"type": "a"})).await;
    let said = json!({"claim": 1, "class": "invalid", "permanent": true});
    let dead = act(&tenant, &leased(&tenant).await, "fail", said).await.expect(200).json();
    assert_eq!((&dead["state"], &dead["attempt"], &dead["max_attempts"]), (&json!("dead"), &json!(1), &json!(10)));
    for (seconds, expected) in [(7200, 7200), (0, 1)] {
        job(&tenant, json!({"type": "a", "backoff": soon(), "max_attempts": 2})).await;
        let said = json!({"claim": 1, "class": "busy", "retry_after_seconds": seconds});
        let failed = act(&tenant, &leased(&tenant).await, "fail", said).await.expect(200).json();
        let wait = time(&failed["run_at"]).duration_since(time(&failed["attempts"][0]["ended_at"]));
        assert_eq!(wait, SignedDuration::from_secs(expected));
    }
}

#[tokio::test]
async fn a_snoozed_job_comes_again_and_the_attempt_does_not_count() {
    let tenant = Tenant::new().await;
    let made = job(&tenant, json!({"type": "a", "max_attempts": 1})).await;
    for claim in 1..=2 {
        let taken = leased(&tenant).await;
        assert_eq!((&taken["id"], &taken["attempt"], &taken["claim"]), (&made["id"], &json!(1), &json!(claim)));
        let said = json!({"claim": claim, "seconds": 1});
        let snoozed = act(&tenant, &taken, "snooze", said.clone()).await.expect(200).json();
        assert_eq!((&snoozed["attempt"], &snoozed["attempts"]), (&json!(0), &json!([])));
        act(&tenant, &taken, "snooze", said).await.problem(409, "conflict");
    }
    let taken = leased(&tenant).await;
    act(&tenant, &taken, "fail", json!({"claim": 3, "class": "x"})).await.expect(200);
    assert_eq!(ended(&tenant, &made).await["state"], "dead");
}

#[tokio::test]
async fn what_does_not_name_the_claim_that_holds_the_job_is_refused() {
    let tenant = Tenant::new().await;
    let verbs = [
        ("complete", json!({})),
        ("fail", json!({"class": "x"})),
        ("snooze", json!({"seconds": 1})),
        ("heartbeat", json!({})),
    ];
    let say = async |job: &Value, verb: &str, body: &Value, claim: u64| {
        let mut body = body.clone();
        body["claim"] = json!(claim);
        act(&tenant, job, verb, body).await
    };
    let made = job(&tenant, json!({"type": "a"})).await;
    for (verb, body) in &verbs {
        for claim in [0, 1] {
            say(&made, verb, body, claim).await.problem(409, "conflict");
        }
    }
    leased(&tenant).await;
    for (verb, body) in &verbs {
        for claim in [0, 2, u64::MAX] {
            say(&made, verb, body, claim).await.problem(409, "conflict");
        }
    }
    assert_eq!(read(&tenant, &made).await["state"], "running");
    say(&made, "complete", &json!({"result": 7}), 1).await.expect(200);
    for (verb, body) in &verbs {
        say(&made, verb, body, 1).await.problem(409, "conflict");
    }
    assert_eq!(read(&tenant, &made).await["state"], "succeeded");
}

#[tokio::test]
async fn an_end_that_is_said_again_is_answered_alike_and_another_one_is_refused() {
    let tenant = Tenant::new().await;
    let made =
        job(&tenant, json!({"type": "a", "max_attempts": 2, "backoff": {"kind": "fixed", "seconds": 3600}})).await;
    leased(&tenant).await;
    let said = |result: u64| json!({"claim": 1, "result": result});
    let answers = join_all((0..8).map(|at| act(&tenant, &made, "complete", said(at % 2)))).await;
    let done = read(&tenant, &made).await;
    let kept = done["result"].as_u64().unwrap();
    for (at, answer) in (0..8).zip(answers) {
        if at % 2 == kept {
            assert_eq!(answer.expect(200).json()["result"], done["result"]);
        } else {
            answer.problem(409, "conflict");
        }
    }
    assert_eq!(act(&tenant, &made, "complete", said(kept)).await.expect(200).json(), done);

    let made =
        job(&tenant, json!({"type": "a", "max_attempts": 2, "backoff": {"kind": "fixed", "seconds": 3600}})).await;
    leased(&tenant).await;
    let said = |class: &str| json!({"claim": 1, "class": class});
    let failed = act(&tenant, &made, "fail", said("broken")).await.expect(200).json();
    assert_eq!(act(&tenant, &made, "fail", said("broken")).await.expect(200).json(), failed);
    act(&tenant, &made, "fail", said("lost")).await.problem(409, "conflict");
    act(&tenant, &made, "snooze", json!({"claim": 1, "seconds": 1})).await.problem(409, "conflict");
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_worker_whose_lease_has_ended_is_refused_when_its_job_is_anothers() {
    let tenant = Tenant::new().await;
    let made = job(&tenant, json!({"type": "a", "backoff": soon()})).await;
    lease(&tenant, "default", json!({"lease_seconds": 5, "wait_seconds": 20})).await;
    // The sweeper, which runs each minute, finds that the lease has ended.
    let sweeper = Instance::of(&jobs::SERVICE, "jobs.sweeper").await;
    let returned = eventually("the job to be taken back", || async {
        sweeper.invoke(&json!({})).await.unwrap();
        let job = read(&tenant, &made).await;
        (job["state"] != "running").then_some(job)
    })
    .await;
    assert_eq!(returned["attempts"][0]["failure"]["class"], "lease_expired");
    act(&tenant, &made, "complete", json!({"claim": 1})).await.problem(409, "conflict");
    let second = leased(&tenant).await;
    assert_eq!((&second["claim"], &second["attempt"]), (&json!(2), &json!(2)));
    act(&tenant, &made, "complete", json!({"claim": 1})).await.problem(409, "conflict");
    act(&tenant, &made, "heartbeat", json!({"claim": 1})).await.problem(409, "conflict");
    let done = act(&tenant, &made, "complete", json!({"claim": 2})).await.expect(200).json();
    assert_eq!((&done["state"], done["attempts"].as_array().unwrap().len()), (&json!("succeeded"), 2));
}

#[tokio::test]
async fn fifty_workers_at_once_get_each_of_a_hundred_jobs_once() {
    let tenant = Tenant::new().await;
    let made: BTreeSet<_> = ids(&batch(&tenant, vec![json!({"type": "a"}); 100]).await).into_iter().collect();
    let work = async |worker: usize| {
        let mut mine = Vec::new();
        loop {
            let wanted = json!({"max": 4, "worker": format!("worker {worker}")});
            let jobs = lease(&tenant, "default", wanted).await;
            if jobs.is_empty() {
                return mine;
            }
            for job in &jobs {
                assert_eq!((&job["claim"], &job["worker"]), (&json!(1), &json!(format!("worker {worker}"))));
                act(&tenant, job, "complete", json!({"claim": 1})).await.expect(200);
            }
            mine.extend(ids(&jobs));
        }
    };
    let mut all: Vec<_> = join_all((0..50).map(work)).await.concat();
    // A worker that only met others gave up too early.
    all.extend(work(50).await);
    assert_eq!(all.len(), 100);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), made);
    let open = tenant.get("/v1/jobs?state=running").await.expect(200).json();
    assert_eq!(open["data"], json!([]));
}

#[tokio::test]
async fn a_lease_that_makes_no_sense_is_refused() {
    let tenant = Tenant::new().await;
    for (wanted, pointer) in [
        (json!({"max": 0}), "/max"),
        (json!({"max": 33}), "/max"),
        (json!({"max": -1}), "/max"),
        (json!({"lease_seconds": 4}), "/lease_seconds"),
        (json!({"lease_seconds": 841}), "/lease_seconds"),
        (json!({"wait_seconds": 21}), "/wait_seconds"),
        (json!({"worker": ""}), "/worker"),
        (json!({"worker": "x".repeat(101)}), "/worker"),
        (json!({"worker": "a\u{0}b"}), "/worker"),
        (json!({"workers": "x"}), "/workers"),
    ] {
        let problem = tenant.post("/v1/queues/default/lease", &wanted).await.problem(422, "validation");
        assert_eq!(faults(&problem)[0].0, pointer, "{wanted}");
    }
}
