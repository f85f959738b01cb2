//! Queues: what is set for them, and what that does.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tests::{Answer, Ask as _, Tenant};

use crate::jobs::{Receiver, act, batch, ended, job, lease, read, set_queue, status};
use crate::link::faults;

#[tokio::test]
async fn a_queue_comes_to_be_with_its_first_job_or_by_being_set() {
    let tenant = Tenant::new().await;
    tenant.get("/v1/queues/default").await.problem(404, "not-found");
    job(&tenant, json!({"type": "a"})).await;
    let made = tenant.get("/v1/queues/default").await.expect(200);
    let defaults = json!({
        "name": "default", "paused": false, "concurrency": null, "concurrency_per_key": 1, "rate_limit": null,
        "deliver_to": null, "max_attempts": 10, "timeout_seconds": 60, "retention_days": 14,
        "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600},
    });
    for (name, value) in defaults.as_object().unwrap() {
        assert_eq!(made.json()[name], *value, "{name}");
    }
    let settings = json!({
        "paused": true, "concurrency": 10_000, "concurrency_per_key": 2, "rate_limit": {"jobs": 100_000, "per_seconds": 86_400},
        "deliver_to": "https://example.com/", "max_attempts": 50, "timeout_seconds": 840, "retention_days": 365,
        "backoff": {"kind": "list", "seconds": [1, 2]},
    });
    for (name, status) in [("default", 200), ("new.queue_1-a", 201), ("new.queue_1-a", 200)] {
        let set = tenant.put(&format!("/v1/queues/{name}"), &settings).await.expect(status);
        let place = if status == 201 { format!("/v1/queues/{name}") } else { String::new() };
        assert_eq!(set.header("location"), place);
        for (name, value) in settings.as_object().unwrap() {
            assert_eq!(set.json()[name], *value, "{name}");
        }
        let read = tenant.get(&format!("/v1/queues/{name}")).await.expect(200);
        let mut queue = read.json();
        // The numbers are with what is read alone.
        assert!(queue.as_object_mut().unwrap().remove("statistics").is_some());
        assert_eq!((queue, read.header("etag")), (set.json(), set.header("etag")));
    }
    // What is left out has its default again.
    let reset = set_queue(&tenant, "default", json!({})).await;
    for (name, value) in defaults.as_object().unwrap() {
        assert_eq!(reset[name], *value, "{name}");
    }
    assert_eq!(reset["created_at"], made.json()["created_at"]);
}

#[tokio::test]
async fn a_job_has_from_its_queue_what_it_does_not_say_itself() {
    let tenant = Tenant::new().await;
    let settings = json!({"max_attempts": 3, "timeout_seconds": 7, "backoff": {"kind": "fixed", "seconds": 9}});
    set_queue(&tenant, "default", settings.clone()).await;
    let (plain, own) = (json!({"type": "a"}), json!({"type": "a", "max_attempts": 1, "timeout_seconds": 1}));
    let jobs = batch(&tenant, vec![plain, own]).await;
    for (name, value) in settings.as_object().unwrap() {
        assert_eq!(jobs[0][name], *value, "{name}");
    }
    assert_eq!((&jobs[1]["max_attempts"], &jobs[1]["timeout_seconds"]), (&json!(1), &json!(1)));
    assert_eq!(jobs[1]["backoff"], settings["backoff"]);
}

#[tokio::test]
async fn bad_settings_are_all_listed_and_nothing_is_set() {
    let tenant = Tenant::new().await;
    let bad = json!({
        "concurrency": 0, "concurrency_per_key": 10_001, "rate_limit": {"jobs": 0, "per_seconds": 86_401},
        "deliver_to": "https://10.0.0.1/", "max_attempts": 51, "timeout_seconds": 841, "retention_days": 366,
        "backoff": {"kind": "exponential", "base_seconds": 2, "cap_seconds": 1},
    });
    let problem = tenant.put("/v1/queues/default", &bad).await.problem(422, "validation");
    let expected = [
        ("/backoff/base_seconds", "out_of_range"),
        ("/concurrency", "out_of_range"),
        ("/concurrency_per_key", "out_of_range"),
        ("/deliver_to", "forbidden_address"),
        ("/max_attempts", "out_of_range"),
        ("/rate_limit/jobs", "out_of_range"),
        ("/rate_limit/per_seconds", "out_of_range"),
        ("/retention_days", "out_of_range"),
        ("/timeout_seconds", "out_of_range"),
    ];
    assert_eq!(faults(&problem), expected);
    for (bad, pointer) in [
        (json!({"pause": true}), "/pause"),
        (json!({"name": "other"}), "/name"),
        (json!({"paused": "yes"}), "/paused"),
        (json!({"rate_limit": {"jobs": 1}}), "/rate_limit/per_seconds"),
        (json!({"rate_limit": {"jobs": 1, "per_seconds": 1, "burst": 1}}), "/rate_limit/burst"),
        (json!({"backoff": {"kind": "linear", "seconds": 1}}), "/backoff/kind"),
        (json!({"backoff": {"kind": "fixed"}}), "/backoff/seconds"),
        (json!({"max_attempts": null}), "/max_attempts"),
    ] {
        let problem = tenant.put("/v1/queues/default", &bad).await.problem(422, "validation");
        let pointers: Vec<_> = faults(&problem).into_iter().map(|(pointer, _)| pointer).collect();
        assert!(pointers.contains(&pointer), "{bad}: {pointers:?}");
    }
    // Each is within its bounds, and together they are not to be counted exactly.
    let fine = json!({"rate_limit": {"jobs": 99_991, "per_seconds": 86_400}});
    let problem = tenant.put("/v1/queues/default", &fine).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/rate_limit", "too_fine")]);
    tenant.get("/v1/queues/default").await.problem(404, "not-found");
    for name in ["Default", "a..b", "%00", "a%2Fb", &"q".repeat(65), "\u{202e}a", "a%20b"] {
        tenant.put(&format!("/v1/queues/{name}"), &json!({})).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn nobody_overwrites_settings_that_they_have_not_seen() {
    let tenant = Tenant::new().await;
    let put = async |tag: &str, settings: Value| {
        tenant.request(Method::PUT, "/v1/queues/default").header("if-match", tag).json(&settings).answer().await
    };
    let first = tenant.put("/v1/queues/default", &json!({"concurrency": 1})).await.expect(201);
    let second = put(first.header("etag"), json!({"concurrency": 2})).await.expect(200);
    put(first.header("etag"), json!({"concurrency": 3})).await.problem(412, "precondition-failed");
    assert_eq!(tenant.get("/v1/queues/default").await.expect(200).json()["concurrency"], 2);
    let known = tenant.request(Method::GET, "/v1/queues/default").header("if-none-match", second.header("etag"));
    assert_eq!(known.answer().await.expect(304).body.len(), 0);
    // A queue that there is not has no version.
    for tag in [first.header("etag"), "\"none\"", "*"] {
        let answer = tenant.request(Method::PUT, "/v1/queues/new").header("if-match", tag).json(&json!({}));
        answer.answer().await.problem(412, "precondition-failed");
        tenant.get("/v1/queues/new").await.problem(404, "not-found");
    }
    put("*", json!({"concurrency": 4})).await.expect(200);
}

#[tokio::test]
async fn a_queue_is_made_once_by_whoever_asks_for_a_new_one() {
    let tenant = Tenant::new().await;
    let make = async |concurrency: usize| {
        let request = tenant.request(Method::PUT, "/v2/queues/new").header("if-none-match", "*");
        request.json(&json!({"concurrency": concurrency})).answer().await
    };
    let (news, others): (Vec<_>, Vec<_>) =
        join_all((1..=8).map(&make)).await.into_iter().partition(|answer| answer.status == 201);
    let [new]: [Answer; 1] = news.try_into().unwrap();
    assert_eq!(new.header("location"), "/v2/queues/new");
    for refused in others {
        refused.problem(412, "precondition-failed");
    }
    let read = tenant.get(new.header("location")).await.expect(200);
    assert_eq!((read.header("etag"), &read.json()["concurrency"]), (new.header("etag"), &new.json()["concurrency"]));
    // One that its first job has made is there as well.
    job(&tenant, json!({"type": "a"})).await;
    let request = tenant.request(Method::PUT, "/v2/queues/default").header("if-none-match", "*").json(&json!({}));
    request.answer().await.problem(412, "precondition-failed");
}

#[tokio::test]
async fn queues_are_listed_by_name_page_by_page() {
    let tenant = Tenant::new().await;
    let mut names = ["b", "a", "a.b", "a-b", "c", "a_b", "default"];
    for name in names {
        set_queue(&tenant, name, json!({})).await;
    }
    set_queue(&Tenant::new().await, "foreign", json!({})).await;
    names.sort_unstable();
    let (mut seen, mut next) = (Vec::new(), "/v1/queues?limit=2".to_owned());
    loop {
        let answer = tenant.get(&next).await.expect(200);
        let page = answer.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        next = answer.header("link").strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(seen, names);
    let problem = tenant.get("/v1/queues?limit=0").await.problem(422, "validation");
    assert_eq!(faults(&problem), [("?limit", "out_of_range")]);
    tenant.get("/v1/queues?cursor=x").await.problem(400, "invalid-cursor");
}

#[tokio::test]
async fn a_paused_queue_holds_its_jobs_and_lets_them_all_go_on_when_it_is_resumed() {
    let tenant = Tenant::new().await;
    set_queue(&tenant, "default", json!({"paused": true})).await;
    let receiver = Receiver::start(|_| status(200)).await;
    let sent = json!({"type": "a", "deliver_to": receiver.url("/")});
    let jobs =
        batch(&tenant, [vec![json!({"type": "noop"}); 10], vec![sent; 10], vec![json!({"type": "b"}); 2]].concat())
            .await;
    // One of another queue, made after them, is done: theirs were looked at before, or will be.
    let other = job(&tenant, json!({"type": "noop", "queue": "other"})).await;
    ended(&tenant, &other).await;
    assert_eq!(lease(&tenant, "default", json!({"wait_seconds": 1})).await, Vec::<Value>::new());
    for job in &jobs {
        assert_eq!(read(&tenant, job).await["state"], "queued");
    }
    // What waits can be called off, and done again, as ever.
    act(&tenant, &jobs[0], "cancel", json!({})).await.expect(200);
    act(&tenant, &jobs[1], "retry", json!({})).await.expect(200);

    set_queue(&tenant, "default", json!({})).await;
    for job in &jobs[1..20] {
        let done = ended(&tenant, job).await;
        assert_eq!((&done["state"], &done["attempt"]), (&json!("succeeded"), &json!(1)));
    }
    assert_eq!(receiver.deliveries().len(), 10);
    assert_eq!(lease(&tenant, "default", json!({"max": 32, "wait_seconds": 20})).await.len(), 2);
    assert_eq!(read(&tenant, &jobs[0]).await["state"], "cancelled");
}

#[tokio::test]
async fn queues_are_all_listed_though_they_are_more_than_one_read_gives() {
    let tenant = Tenant::new().await;
    let settings = json!({"deliver_to": format!("https://example.com/{}", "a".repeat(8_000))});
    let names: Vec<_> = (0..140).map(|number| format!("queue-{number:03}")).collect();
    for some in names.chunks(20) {
        join_all(some.iter().map(|name| set_queue(&tenant, name, settings.clone()))).await;
    }
    let (mut seen, mut next) = (Vec::new(), "/v1/queues?limit=200".to_owned());
    loop {
        let page = tenant.get(&next).await.expect(200).json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/v1/queues?limit=200&cursor={cursor}");
    }
    assert_eq!(seen, names);
}
