//! Schedules as clients make and edit them.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::time::{SignedDuration, Timestamp};
use tests::{Answer, Ask as _, Tenant, eventually};

use crate::link::faults;
use crate::own_schedules::{OwnSchedules, path_of};
use crate::resources::aws;

fn nightly() -> Value {
    json!({"name": "Nightly export", "cron": "30 2 * * *", "time_zone": "europe/berlin", "job": {"type": "export.run"}})
}

async fn schedule(tenant: &Tenant) -> Value {
    tenant.post("/v1/schedules", &nightly()).await.expect(201).json()
}

async fn patch_if(tenant: &Tenant, path: &str, etag: &str, changes: &Value) -> Answer {
    tenant.request(Method::PATCH, path).header("if-match", etag).json(changes).answer().await
}

#[tokio::test]
async fn a_schedule_has_all_that_its_maker_said() {
    let own = OwnSchedules::at("2031-01-01T00:00:00Z").await;
    let sent = json!({
        "name": "Reports – monthly", "cron": "0 9 1 * *", "time_zone": "America/New_York",
        "starts_at": "2031-03-01T00:00:00.000Z", "ends_at": "2031-05-01T13:00:00.000Z",
        "job": {
            "type": "report.make", "queue": "reports", "payload": {"month": 5}, "priority": "low", "max_attempts": 3,
            "backoff": {"kind": "fixed", "seconds": 5}, "timeout_seconds": 840, "concurrency_key": "reports",
            "tags": ["monthly"], "on_done": {"url": "https://example.com/done"}, "deliver_to": "https://example.com/jobs",
        },
        "overlap": "skip", "catch_up": "all", "jitter_seconds": 30,
    });
    let answer = own.post("/v1/schedules", sent.clone()).await.expect(201);
    let made = answer.json();
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    assert_eq!((&made["interval_seconds"], &made["paused"]), (&json!(null), &json!(false)));
    assert_eq!(
        made["next_times"],
        json!(["2031-03-01T14:00:00.000Z", "2031-04-01T13:00:00.000Z", "2031-05-01T13:00:00.000Z"])
    );
    assert_eq!((&made["last_tick_at"], &made["last_job_id"]), (&json!(null), &json!(null)));
    assert_eq!((&made["created_at"], &made["updated_at"]), (&json!("2031-01-01T00:00:00.000Z"), &made["created_at"]));
    assert!(made["created_by"].as_str().unwrap().starts_with("key_"));
    assert_eq!(answer.header("location"), path_of(&made));
    let read = own.call("GET", &path_of(&made), &[], None).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (made.clone(), answer.header("etag")));
    let same = own.call("GET", &path_of(&made), &[("if-none-match", read.header("etag"))], None).await;
    assert_eq!(same.expect(304).body.len(), 0);
    // Its queue came to be.
    assert_eq!(own.get("/v1/queues/reports").await["name"], "reports");
}

#[tokio::test]
async fn a_tenant_has_a_thousand_schedules_at_most() {
    let own = OwnSchedules::at("2031-01-01T00:00:00Z").await;
    let first = own.post("/v1/schedules", nightly()).await.expect(201).json();
    // As if it had made all but three by now.
    let put = aws().dynamo.put_item().table_name(&own.table).item("pk", AttributeValue::S(own.tenant.id.to_string()));
    let put = put.item("sk", AttributeValue::S("count#schedules".to_owned()));
    put.item("held", AttributeValue::N("997".to_owned())).send().await.unwrap();
    let answers = join_all((0..6).map(|_| own.post("/v1/schedules", nightly()))).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (3, 3));
    for answer in refused {
        answer.problem(409, "conflict");
    }
    // One that goes makes room for one.
    own.call("DELETE", &path_of(&first), &[], None).await.expect(204);
    own.call("DELETE", &path_of(&first), &[], None).await.problem(404, "not-found");
    own.post("/v1/schedules", nightly()).await.expect(201);
    own.post("/v1/schedules", nightly()).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_schedule_with_little_said_has_defaults() {
    let own = OwnSchedules::at("2031-01-01T00:00:30Z").await;
    let made = own.schedule(json!({"interval_seconds": 90})).await;
    assert_eq!(
        (&made["overlap"], &made["catch_up"], &made["jitter_seconds"]),
        (&json!("allow"), &json!("last"), &json!(0))
    );
    let times =
        ["00:02:00", "00:03:30", "00:05:00", "00:06:30", "00:08:00"].map(|time| format!("2031-01-01T{time}.000Z"));
    assert_eq!(made["next_times"], json!(times));
    let made = own.schedule(json!({"cron": "@hourly"})).await;
    assert_eq!((&made["time_zone"], &made["next_times"][0]), (&json!("UTC"), &json!("2031-01-01T01:00:00.000Z")));
}

#[tokio::test]
async fn every_bad_field_is_pointed_at() {
    let tenant = Tenant::new().await;
    for (more, expected) in [
        (json!({"cron": null}), vec![("/cron", "missing_field")]),
        (json!({"interval_seconds": 60}), vec![("/interval_seconds", "conflict")]),
        (json!({"cron": "0 0 31 2 *"}), vec![("/cron", "never_fires")]),
        (json!({"cron": "0 25 * * *"}), vec![("/cron", "bad_field")]),
        (json!({"cron": "0 0 * * * *"}), vec![("/cron", "wrong_field_count")]),
        (json!({"cron": "@reboot"}), vec![("/cron", "unknown_macro")]),
        (json!({"time_zone": "Europe/Bonn"}), vec![("/time_zone", "unknown_time_zone")]),
        (json!({"interval_seconds": 59}), vec![("/interval_seconds", "out_of_range")]),
        (
            json!({"starts_at": "2031-01-02T00:00:00Z", "ends_at": "2031-01-01T00:00:00Z"}),
            vec![("/ends_at", "out_of_range")],
        ),
        (json!({"ends_at": "2020-01-01T00:00:00Z"}), vec![("/ends_at", "in_the_past")]),
        (json!({"name": ""}), vec![("/name", "empty")]),
        (json!({"name": "a".repeat(101)}), vec![("/name", "too_long")]),
        (json!({"name": "a\nb"}), vec![("/name", "control_character")]),
        (json!({"overlap": "wait"}), vec![("/overlap", "unknown_value")]),
        (json!({"catch_up": "some"}), vec![("/catch_up", "unknown_value")]),
        (json!({"jitter_seconds": 3601}), vec![("/jitter_seconds", "out_of_range")]),
        (json!({"every": 60, "cron": "x"}), vec![("/cron", "wrong_field_count"), ("/every", "unknown_field")]),
        (json!({"job": {}}), vec![("/job/type", "missing_field")]),
        (json!({"job": {"type": "a", "run_at": "2031-01-01T00:00:00Z"}}), vec![("/job/run_at", "unknown_field")]),
        (json!({"job": {"type": "a", "unique": {"key": "a"}}}), vec![("/job/unique", "unknown_field")]),
        (
            json!({"job": {"type": "sleep", "payload": {"milliseconds": "x"}}}),
            vec![("/job/payload/milliseconds", "invalid_type")],
        ),
        (json!({"job": {"type": "a", "payload": "a".repeat(4095)}}), vec![("/job/payload", "too_large")]),
        (
            json!({"jitter_seconds": 3601, "job": {"type": "a", "max_attempts": 51, "deliver_to": "ftp://example.com"}}),
            vec![
                ("/jitter_seconds", "out_of_range"),
                ("/job/deliver_to", "bad_scheme"),
                ("/job/max_attempts", "out_of_range"),
            ],
        ),
    ] {
        let mut body = nightly();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let problem = tenant.post("/v1/schedules", &body).await.problem(422, "validation");
        assert_eq!(faults(&problem), expected, "{more}");
    }
    assert_eq!(tenant.get("/v1/schedules").await.expect(200).json()["data"], json!([]));
}

#[tokio::test]
async fn an_edit_that_gives_a_backoff_or_a_follow_up_another_kind_replaces_the_present_one() {
    let tenant = Tenant::new().await;
    let path = path_of(&schedule(&tenant).await);
    let url = json!({"url": "https://example.com/done"});
    let next = json!({"job": {"type": "noop"}});
    for (patch, now) in [
        (json!({"kind": "fixed", "seconds": 5}), json!({"kind": "fixed", "seconds": 5})),
        (json!({"seconds": 6}), json!({"kind": "fixed", "seconds": 6})),
        (json!({"kind": "list", "seconds": [1]}), json!({"kind": "list", "seconds": [1]})),
        (
            json!({"kind": "exponential", "base_seconds": 1, "cap_seconds": 9}),
            json!({"kind": "exponential", "base_seconds": 1, "cap_seconds": 9}),
        ),
        (
            json!({"kind": "exponential", "cap_seconds": 8}),
            json!({"kind": "exponential", "base_seconds": 1, "cap_seconds": 8}),
        ),
    ] {
        let edited = tenant.patch(&path, &json!({"job": {"backoff": patch}})).await.expect(200).json();
        assert_eq!(edited["job"]["backoff"], now, "{patch}");
    }
    for on_done in [&next, &url, &next] {
        let edited = tenant.patch(&path, &json!({"job": {"on_done": on_done}})).await.expect(200).json();
        let member = if on_done == &url { "url" } else { "job" };
        assert!(edited["job"]["on_done"][member] != json!(null), "{edited}");
    }
    // What is missing of the other kind is pointed at, and what neither has is unknown.
    for (patch, pointer, code) in [
        (json!({"kind": "fixed"}), "/job/backoff/seconds", "missing_field"),
        (json!({"kind": "exponential", "seconds": 1}), "/job/backoff", "unknown_field"),
    ] {
        let problem = tenant.patch(&path, &json!({"job": {"backoff": patch}})).await.problem(422, "validation");
        assert_eq!(faults(&problem), [(pointer, code)], "{patch}");
    }
}

#[tokio::test]
async fn schedules_are_edited_and_deleted_by_whoever_knows_their_version() {
    let tenant = Tenant::new().await;
    let made = schedule(&tenant).await;
    let path = path_of(&made);
    let etag = tenant.get(&path).await.expect(200).header("etag").to_owned();
    let changes = json!({"name": "Weekly", "cron": "0 3 * * 0", "job": {"payload": {"a": {"b": 1}}, "tags": ["x"]}, "jitter_seconds": 9});
    let edited = patch_if(&tenant, &path, &etag, &changes).await.expect(200);
    let now = edited.json();
    assert_eq!(
        (&now["name"], &now["cron"], &now["jitter_seconds"]),
        (&json!("Weekly"), &json!("0 3 * * 0"), &json!(9))
    );
    // A merge patch: what it does not name stays, and null gives a default back.
    assert_eq!((&now["time_zone"], &now["job"]["type"]), (&json!("Europe/Berlin"), &json!("export.run")));
    let changes = json!({"job": {"payload": {"a": {"b": null, "c": 2}}}, "jitter_seconds": null});
    let now = tenant.patch(&path, &changes).await.expect(200).json();
    assert_eq!((&now["job"]["payload"], &now["jitter_seconds"]), (&json!({"a": {"c": 2}}), &json!(0)));
    let interval = json!({"cron": null, "time_zone": null, "interval_seconds": 3600});
    let now = tenant.patch(&path, &interval).await.expect(200).json();
    let first: Timestamp = now["next_times"][0].as_str().unwrap().parse().unwrap();
    let made_at: Timestamp = made["created_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(first.duration_since(made_at), SignedDuration::from_hours(1));
    for (changes, pointer, code) in [
        (json!({"interval_seconds": 1}), "/interval_seconds", "out_of_range"),
        (json!({"job": {"run_at": null, "delay_seconds": 1}}), "/job/delay_seconds", "unknown_field"),
        (json!({"nome": null}), "/nome", "unknown_field"),
        (json!({"name": null}), "/name", "missing_field"),
    ] {
        let problem = tenant.patch(&path, &changes).await.problem(422, "validation");
        assert_eq!(faults(&problem), [(pointer, code)], "{changes}");
    }
    patch_if(&tenant, &path, &etag, &json!({"name": "Late"})).await.problem(412, "precondition-failed");
    let late = tenant.request(Method::DELETE, &path).header("if-match", &etag).answer().await;
    late.problem(412, "precondition-failed");
    tenant.delete(&path).await.expect(204);
    tenant.delete(&path).await.problem(404, "not-found");
    for path in [path.clone(), format!("{path}/history")] {
        tenant.get(&path).await.problem(404, "not-found");
    }
    tenant.patch(&path, &json!({"paused": true})).await.problem(404, "not-found");
    tenant.post(&format!("{path}/run"), &json!({})).await.problem(404, "not-found");
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_not_there() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let path = path_of(&schedule(&tenant).await);
    for path in [path.clone(), format!("{path}/history")] {
        other.get(&path).await.problem(404, "not-found");
    }
    other.delete(&path).await.problem(404, "not-found");
    other.patch(&path, &json!({"paused": true})).await.problem(404, "not-found");
    other.post(&format!("{path}/run"), &json!({})).await.problem(404, "not-found");
    assert_eq!(other.get("/v1/schedules").await.expect(200).json()["data"], json!([]));
    tenant.get(&path).await.expect(200);
    tenant.get(&path.replace("schedule_", "job_")).await.problem(404, "not-found");
}

#[tokio::test]
async fn schedules_are_listed_newest_first_in_pages() {
    let tenant = Tenant::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, schedule(&tenant).await);
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/schedules?limit=2".to_owned());
    loop {
        let page = tenant.get(&path).await.expect(200).json();
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/schedules?limit=2&cursor={cursor}");
    }
    // Those of one millisecond have no order.
    let sorted = |mut schedules: Vec<Value>| {
        schedules.sort_by_key(|schedule| schedule["id"].as_str().unwrap().to_owned());
        schedules
    };
    assert_eq!(sorted(seen.clone()), sorted(made));
    assert!(seen.is_sorted_by_key(|schedule| std::cmp::Reverse(schedule["id"].as_str().unwrap().to_owned())));
    let cursor = path.rsplit_once('=').unwrap().1;
    Tenant::new().await.get(&format!("/v1/schedules?cursor={cursor}")).await.problem(400, "invalid-cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_with_a_key_is_done_once() {
    let tenant = Tenant::new().await;
    let submit = async |path: &str, key: &str, body: &Value| {
        tenant.request(Method::POST, path).header("idempotency-key", key).json(body).answer().await
    };
    let body = nightly();
    let answers = join_all((0..4).map(|_| async {
        eventually("an answer", || async {
            let answer = submit("/v1/schedules", "make", &body).await;
            (answer.status != 409).then_some(answer)
        })
        .await
    }));
    let answers: Vec<_> = answers.await.into_iter().map(|answer| answer.expect(201).json()).collect();
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert_eq!(tenant.get("/v1/schedules").await.expect(200).json()["data"].as_array().unwrap().len(), 1);
    let run = format!("{}/run", path_of(&answers[0]));
    let (first, again) = (submit(&run, "run", &json!({})).await, submit(&run, "run", &json!({})).await);
    assert_eq!((again.header("idempotency-replayed"), again.json()), ("true", first.expect(201).json()));
    assert_eq!(tenant.get("/v1/jobs").await.expect(200).json()["data"].as_array().unwrap().len(), 1);
    submit("/v1/schedules", "make", &json!({"name": "Other"})).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_at_once_neither_is_lost() {
    let tenant = Tenant::new().await;
    let made = schedule(&tenant).await;
    let path = path_of(&made);
    let patches: Vec<_> =
        [json!({"name": "Weekly"}), json!({"jitter_seconds": 7}), json!({"job": {"tags": ["x"]}})].into();
    for answer in join_all(patches.iter().map(|patch| tenant.patch(&path, patch))).await {
        answer.expect(200);
    }
    let now = tenant.get(&path).await.expect(200);
    let edited = now.json();
    assert_eq!(
        (&edited["name"], &edited["jitter_seconds"], &edited["job"]["tags"]),
        (&json!("Weekly"), &json!(7), &json!(["x"]))
    );
    // With the version that they were made for, one of them is refused.
    let answers = join_all(patches.iter().map(|patch| patch_if(&tenant, &path, now.header("etag"), patch))).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 412).count();
    assert_eq!((done, refused), (1, 2));
}

#[tokio::test]
async fn a_run_that_is_asked_for_is_done_now_also_of_a_paused_schedule() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "Nothing", "cron": "@yearly", "paused": true, "overlap": "queue", "job": {"type": "noop", "tags": ["x"]}});
    let made = tenant.post("/v1/schedules", &body).await.expect(201).json();
    assert_eq!(made["next_times"], json!([]));
    let answer = tenant.post(&format!("{}/run", path_of(&made)), &json!({})).await.expect(201);
    let job = answer.json();
    assert_eq!((&job["type"], &job["tags"]), (&json!("noop"), &json!(["x"])));
    assert_eq!(job["concurrency_key"], format!("schedule:{}", made["id"].as_str().unwrap()));
    let done = tenant.get(&format!("{}?wait=20", answer.header("location"))).await.expect(200).json();
    assert_eq!(done["state"], "succeeded");
    let history = tenant.get(&format!("{}/history", path_of(&made))).await.expect(200).json();
    let run = &history["data"][0];
    assert_eq!((&run["job_id"], &run["tick_at"], &run["skipped"]), (&job["id"], &json!(null), &json!(null)));
    let now = tenant.get(&path_of(&made)).await.expect(200).json();
    assert_eq!((&now["last_job_id"], &now["last_tick_at"], &now["next_times"]), (&job["id"], &json!(null), &json!([])));
    tenant.post(&format!("{}/run", path_of(&made)), &json!({"now": true})).await.problem(422, "validation");
}

#[tokio::test]
async fn schedules_are_all_listed_though_they_are_more_than_one_read_gives() {
    let tenant = Tenant::new().await;
    let mut body = nightly();
    body["job"]["deliver_to"] = json!(format!("https://example.com/{}", "a".repeat(8_000)));
    body["job"]["on_done"] = json!({"job": {"type": "export.send", "payload": "x".repeat(16_000)}});
    for _ in 0..5 {
        for made in join_all((0..10).map(|_| tenant.post("/v1/schedules", &body))).await {
            made.expect(201);
        }
    }
    let (mut count, mut next) = (0, "/v1/schedules".to_owned());
    loop {
        let page = tenant.get(&next).await.expect(200).json();
        count += page["data"].as_array().unwrap().len();
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/v1/schedules?cursor={cursor}");
    }
    assert_eq!(count, 50);
}
