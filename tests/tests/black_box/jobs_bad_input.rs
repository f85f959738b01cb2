//! Whatever a client sends about jobs and queues, it is refused by a problem that says what is wrong; and what is
//! another's is not there.

mod bounds;

use http::{HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tests::{Answer, Ask as _, Tenant};

use crate::jobs::{act, batch, job, leased, path_of, read, set_queue};
use crate::link::faults;

/// The routes that take a body: the path, in which `ID` stands for a job, and a body that is good as such.
fn bodies() -> Vec<(Method, &'static str, Value)> {
    let every_field = json!({
        "type": "a", "queue": "b", "payload": {}, "delay_seconds": 3600, "priority": "low", "max_attempts": 2,
        "backoff": {"kind": "fixed", "seconds": 1}, "timeout_seconds": 1, "unique": {"key": "k"}, "concurrency_key": "k",
        "tags": ["t"], "on_done": {"url": "https://example.com/"}, "deliver_to": "https://example.com/",
    });
    let settings = json!({
        "paused": true, "concurrency": 1, "concurrency_per_key": 1, "rate_limit": {"jobs": 1, "per_seconds": 1},
        "deliver_to": "https://example.com/", "max_attempts": 1, "backoff": {"kind": "fixed", "seconds": 1},
        "timeout_seconds": 1, "retention_days": 1,
    });
    vec![
        (Method::POST, "/v1/jobs", every_field),
        (Method::POST, "/v1/jobs/batch", json!({"jobs": [{"type": "a"}]})),
        (Method::POST, "/v1/jobs/ID/reschedule", json!({"run_at": "2030-01-01T00:00:00Z"})),
        (Method::POST, "/v1/jobs/ID/complete", json!({"claim": 1, "result": 1})),
        (
            Method::POST,
            "/v1/jobs/ID/fail",
            json!({"claim": 1, "class": "x", "message": "m", "permanent": true, "retry_after_seconds": 1}),
        ),
        (Method::POST, "/v1/jobs/ID/snooze", json!({"claim": 1, "seconds": 1})),
        (
            Method::POST,
            "/v1/jobs/ID/heartbeat",
            json!({"claim": 1, "lease_seconds": 60, "progress": {"fraction": 0.5, "message": "m"}}),
        ),
        (Method::POST, "/v1/jobs/signing-secret/rotate", json!({"overlap_seconds": 1})),
        (Method::POST, "/v1/jobs/signing-key/rotate", json!({"overlap_seconds": 1})),
        (Method::PUT, "/v1/queues/default", settings),
        (
            Method::POST,
            "/v1/queues/default/lease",
            json!({"max": 1, "lease_seconds": 60, "wait_seconds": 0, "worker": "w"}),
        ),
        (
            Method::POST,
            "/v1/queues/default/redrive",
            json!({"fingerprint": "f", "max": 1, "per_second": 1, "dry_run": true}),
        ),
    ]
}

async fn send(tenant: &Tenant, method: &Method, path: &str, kind: Option<&str>, body: Vec<u8>) -> Answer {
    let mut request = tenant.request(method.clone(), path).body(body);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    request.answer().await
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    let tenant = Tenant::new().await;
    let id = path_of(&job(&tenant, json!({"type": "a", "delay_seconds": 3600})).await);
    let before = tenant.get(&id).await.expect(200).json();
    for (method, path, good) in bodies() {
        let path = path.replace("/v1/jobs/ID", &id);
        let json = Some("application/json");
        for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
            let answer = send(&tenant, &method, &path, kind, good.to_string().into_bytes()).await;
            answer.problem(415, "unsupported-media-type");
        }
        for body in [&b""[..], b"{", b"{\"a\":}", b"{}{}", b"{\"a\": \"\xff\"}", &b"[".repeat(50_000)] {
            send(&tenant, &method, &path, json, body.to_vec()).await.problem(400, "malformed-json");
        }
        for body in ["[]", "null", "1", "\"text\"", "[{}]"] {
            send(&tenant, &method, &path, json, body.into()).await.problem(422, "validation");
        }
        let mut unknown = good.clone();
        unknown["colour/~"] = json!("red");
        let problem =
            send(&tenant, &method, &path, json, unknown.to_string().into_bytes()).await.problem(422, "validation");
        assert_eq!(faults(&problem), [("/colour~1~0", "unknown_field")], "{method} {path}");
        for (name, value) in good.as_object().unwrap() {
            let twice = good.to_string().replacen('{', &format!("{{\"{name}\": {value}, "), 1);
            let problem = send(&tenant, &method, &path, json, twice.into_bytes()).await.problem(422, "validation");
            assert!(faults(&problem).contains(&(&format!("/{name}"), "duplicate_field")), "{path} {name}: {problem}");
            // Any JSON will do for these.
            if ["payload", "result"].contains(&name.as_str()) {
                continue;
            }
            for wrong in [json!([[]]), json!({"zzz": [1]}), json!(-1.5), json!("\u{0}\u{202e}")] {
                let mut body = good.clone();
                body[name] = wrong;
                let answer = send(&tenant, &method, &path, json, body.to_string().into_bytes()).await;
                // These texts may have any characters.
                if ["message", "fingerprint"].contains(&name.as_str()) && body[name].is_string() {
                    continue;
                }
                // The parser calls what is no text where a word of a list is expected bad JSON.
                if name == "priority" && !body[name].is_string() {
                    assert!([400, 422].contains(&answer.status.as_u16()), "{answer:?}");
                    continue;
                }
                let problem = answer.problem(422, "validation");
                let pointer = format!("/{name}");
                assert!(faults(&problem).iter().any(|(at, _)| at.starts_with(&pointer)), "{path} {body}: {problem}");
            }
        }
    }
    assert_eq!(tenant.get(&id).await.expect(200).json(), before);
}

#[tokio::test]
async fn texts_are_kept_to_the_letter_or_refused() {
    let tenant = Tenant::new().await;
    let reversed = job(&tenant, json!({"type": "a", "unique": {"key": "\u{202e}gpj.exe\u{202c}"}})).await;
    assert_eq!(reversed["unique_key"], "\u{202e}gpj.exe\u{202c}", "a key is for programs");
    leased(&tenant).await;
    let tagged = tenant.post("/v1/jobs", &json!({"type": "a", "tags": ["\u{202e}gpj.exe\u{202c}"]})).await;
    assert_eq!(faults(&tagged.problem(422, "validation")), [("/tags", "control_character")], "a tag is for people");
    for kept in ["\u{1f469}\u{200d}\u{1f467} e\u{301}", "'; DROP TABLE jobs; --", "\u{10ffff}#|%00"] {
        let body =
            json!({"type": "a", "unique": {"key": kept}, "concurrency_key": kept, "tags": [kept], "payload": kept});
        let made = job(&tenant, body).await;
        for shown in [&made["unique_key"], &made["concurrency_key"], &made["tags"][0], &made["payload"]] {
            assert_eq!(*shown, json!(kept));
        }
        let taken = leased(&tenant).await;
        let said = json!({"claim": 1, "class": kept, "message": format!("{kept}\u{0}\n"), "permanent": true});
        let dead = act(&tenant, &taken, "fail", said).await.expect(200).json();
        assert_eq!(dead["attempts"][0]["failure"]["class"], kept);
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("tag", kept).finish();
        let found = tenant.get(&format!("/v1/jobs?{query}")).await.expect(200).json();
        assert_eq!(found["data"], json!([dead]));
    }
    let body = |name: &str, text: &str| match name {
        "unique" => json!({"type": "a", "unique": {"key": text}}),
        "tags" => json!({"type": "a", "tags": [text]}),
        "on_done" => json!({"type": "a", "on_done": {"job": {"type": text}}}),
        name => {
            let mut body = json!({"type": "a"});
            body[name] = json!(text);
            body
        }
    };
    for (name, pointer, longest) in [
        ("type", "/type", 100),
        ("queue", "/queue", 64),
        ("unique", "/unique/key", 200),
        ("concurrency_key", "/concurrency_key", 200),
        ("tags", "/tags/0", 50),
        ("on_done", "/on_done/job/type", 100),
    ] {
        for text in ["", "a\u{0}b", "a\u{85}b", &"x".repeat(longest + 1), &"x".repeat(100_000)] {
            let problem = tenant.post("/v1/jobs", &body(name, text)).await.problem(422, "validation");
            let [(at, code)] = faults(&problem)[..] else { panic!("{problem}") };
            assert!(["empty", "too_long", "control_character", "invalid"].contains(&code), "{problem}");
            assert_eq!(at, pointer, "{name} {problem}");
        }
        job(&tenant, body(name, &"x".repeat(longest))).await;
    }
    let tags: Vec<_> = (0..11).map(|tag| tag.to_string()).collect();
    let problem = tenant.post("/v1/jobs", &json!({"type": "a", "tags": tags})).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/tags", "too_many")]);
    let twice = tenant.post("/v1/jobs", &json!({"type": "a", "tags": ["a", "b", "a"]})).await;
    assert_eq!(faults(&twice.problem(422, "validation")), [("/tags", "duplicate")]);
    for (backoff, expected) in [
        (json!({"kind": "fixed", "seconds": 0}), vec!["/backoff/seconds"]),
        (json!({"kind": "list", "seconds": [1, 2_592_001]}), vec!["/backoff/seconds"]),
        (json!({"kind": "exponential", "base_seconds": 2, "cap_seconds": 1}), vec!["/backoff/base_seconds"]),
        (
            json!({"kind": "exponential", "base_seconds": 0, "cap_seconds": 2_592_001}),
            vec!["/backoff/base_seconds", "/backoff/cap_seconds"],
        ),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|pointer| (pointer, "out_of_range")).collect();
        let problem = tenant.post("/v1/jobs", &json!({"type": "a", "backoff": backoff})).await;
        assert_eq!(faults(&problem.problem(422, "validation")), expected, "{backoff}");
        let problem = tenant.put("/v1/queues/default", &json!({"backoff": backoff})).await;
        assert_eq!(faults(&problem.problem(422, "validation")), expected, "{backoff}");
    }
}

#[tokio::test]
async fn every_bad_field_of_a_new_job_is_listed_with_its_pointer() {
    let tenant = Tenant::new().await;
    let bad = json!({
        "type": "A", "queue": "", "priority": "urgent", "max_attempts": "3", "tags": "t", "run_at": "tomorrow",
        "deliver_to": 5, "timeout": 1,
    });
    let problem = tenant.post("/v1/jobs", &bad).await.problem(422, "validation");
    assert_eq!(
        faults(&problem),
        [
            ("/deliver_to", "invalid_type"),
            ("/max_attempts", "invalid_type"),
            ("/priority", "unknown_value"),
            ("/queue", "invalid"),
            ("/run_at", "invalid"),
            ("/tags", "invalid_type"),
            ("/timeout", "unknown_field"),
            ("/type", "invalid"),
        ]
    );
    let bad = json!({
        "type": "a", "delay_seconds": 316_224_001, "max_attempts": 51, "timeout_seconds": 0, "deliver_to": "ftp://example.com/",
        "unique": {"key": "k", "period_seconds": 2_678_401}, "backoff": {"kind": "list", "seconds": []},
        "on_done": {"url": "https://127.0.0.1:22/"},
    });
    let problem = tenant.post("/v1/jobs", &bad).await.problem(422, "validation");
    assert_eq!(
        faults(&problem),
        [
            ("/backoff/seconds", "out_of_range"),
            ("/delay_seconds", "out_of_range"),
            ("/deliver_to", "bad_scheme"),
            ("/max_attempts", "out_of_range"),
            ("/on_done/url", "bad_port"),
            ("/timeout_seconds", "out_of_range"),
            ("/unique/period_seconds", "out_of_range"),
        ]
    );
    for (times, fault) in [
        (json!({"run_at": "2020-01-01T00:00:00Z"}), ("/run_at", "in_the_past")),
        (json!({"run_at": "2999-01-01T00:00:00Z"}), ("/run_at", "out_of_range")),
        (json!({"run_at": "2030-01-01T00:00:00Z", "delay_seconds": 1}), ("/delay_seconds", "conflict")),
        (json!({"run_at": "2030-01-01T00:00:00"}), ("/run_at", "invalid")),
        (json!({"delay_seconds": 0}), ("/delay_seconds", "out_of_range")),
        (json!({"on_done": {"url": "https://example.com/", "job": {"type": "a"}}}), ("/on_done", "invalid")),
        (json!({"on_done": {}}), ("/on_done", "invalid")),
    ] {
        let mut body = json!({"type": "a"});
        for (name, value) in times.as_object().unwrap() {
            body[name] = value.clone();
        }
        let problem = tenant.post("/v1/jobs", &body).await.problem(422, "validation");
        assert_eq!(faults(&problem), [fault]);
    }
    assert_eq!(tenant.get("/v1/jobs").await.expect(200).json()["data"], json!([]));
    for wait in ["21", "-1", "x", "1.5", ""] {
        let path = format!("/v1/jobs/job_01k9z4n2y6e0qv3m8t5w7x9abc?wait={wait}");
        let problem = tenant.get(&path).await.problem(422, "validation");
        assert_eq!(faults(&problem)[0].0, "?wait", "{wait}");
    }
}

/// Every route that names a job, with a body that is good.
async fn all_about(tenant: &Tenant, path: &str) -> Vec<(String, Answer)> {
    let mut answers = vec![
        ("get".to_owned(), tenant.get(path).await),
        ("wait".to_owned(), tenant.get(&format!("{path}?wait=1")).await),
    ];
    for verb in ["cancel", "retry"] {
        answers.push((verb.to_owned(), tenant.post(&format!("{path}/{verb}"), &json!({})).await));
    }
    for (method, route, good) in bodies() {
        if let Some(verb) = route.strip_prefix("/v1/jobs/ID") {
            answers
                .push((verb.to_owned(), tenant.request(method, &format!("{path}{verb}")).json(&good).answer().await));
        }
    }
    answers
}

#[tokio::test]
async fn what_is_no_job_is_not_found() {
    let tenant = Tenant::new().await;
    let real = job(&tenant, json!({"type": "a"})).await["id"].as_str().unwrap().to_owned();
    let of_another_kind = real.replace("job_", "link_");
    let upper = real.to_uppercase();
    let long = format!("{real}a");
    for id in
        ["job_01k9z4n2y6e0qv3m8t5w7x9abc", &of_another_kind, &upper, &long, "nonsense", "job_", "%00", "\u{202e}", "1"]
    {
        for (what, answer) in all_about(&tenant, &format!("/v1/jobs/{id}")).await {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what} {id}");
            answer.problem(404, "not-found");
        }
    }
    let unknown = tenant.request(Method::DELETE, &format!("/v1/jobs/{real}")).answer().await;
    assert_eq!(unknown.headers.get("allow"), Some(&HeaderValue::from_static("GET,HEAD")));
    unknown.problem(405, "method-not-allowed");
    for name in ["A", "a..b", "%00", "\u{202e}"] {
        tenant.get(&format!("/v1/queues/{name}")).await.problem(404, "not-found");
        tenant.get(&format!("/v1/queues/{name}/dead")).await.problem(404, "not-found");
        for verb in ["lease", "redrive"] {
            tenant.post(&format!("/v1/queues/{name}/{verb}"), &json!({})).await.problem(404, "not-found");
        }
    }
}

#[tokio::test]
async fn what_is_another_tenants_is_not_there() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    batch(&tenant, vec![json!({"type": "a"}), json!({"type": "a"})]).await;
    let running = leased(&tenant).await;
    set_queue(&tenant, "secret", json!({"concurrency": 1})).await;
    let poison = json!({"type": "sleep", "payload": {"milliseconds": 0, "poison": true}});
    let dead = crate::jobs::ended(&tenant, &job(&tenant, poison).await).await;
    for job in [&running, &dead] {
        for (what, answer) in all_about(&other, &path_of(job)).await {
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{what}");
        }
        assert_eq!(read(&tenant, job).await, *job);
    }
    let empty = json!({"data": [], "next_cursor": null, "has_more": false});
    assert_eq!(other.get("/v1/jobs").await.expect(200).json(), empty);
    assert_eq!(other.get("/v1/queues").await.expect(200).json(), empty);
    for queue in ["default", "secret"] {
        other.get(&format!("/v1/queues/{queue}")).await.problem(404, "not-found");
    }
    assert_eq!(
        other.post("/v1/queues/default/lease", &json!({"max": 32})).await.expect(200).json(),
        json!({"jobs": []})
    );
    assert_eq!(other.get("/v1/queues/default/dead").await.expect(200).json()["total"], 0);
    let redriven = other.post("/v1/queues/default/redrive", &json!({})).await.expect(200).json();
    assert_eq!(redriven, json!({"matched": 0, "redriven": 0}));
    set_queue(&other, "secret", json!({"concurrency": 2})).await;
    assert_eq!(tenant.get("/v1/queues/secret").await.expect(200).json()["concurrency"], 1);
}

#[tokio::test]
async fn who_may_only_see_jobs_sees_them_and_changes_nothing() {
    let tenant = Tenant::new().await;
    let job = job(&tenant, json!({"type": "a"})).await;
    let mut viewer = tenant.clone();
    viewer.api_key = tenant.key_with("jobs:read").await;
    for path in [
        &path_of(&job),
        "/v1/jobs",
        "/v1/queues",
        "/v1/queues/default",
        "/v1/queues/default/dead",
        "/v1/jobs/signing-key",
    ] {
        viewer.get(path).await.expect(200);
    }
    viewer.get("/v1/jobs/signing-secret").await.problem(403, "forbidden");
    for verb in ["cancel", "retry"] {
        act(&viewer, &job, verb, json!({})).await.problem(403, "forbidden");
    }
    for (method, path, good) in bodies() {
        let path = path.replace("/v1/jobs/ID", &path_of(&job));
        viewer.request(method, &path).json(&good).answer().await.problem(403, "forbidden");
    }
    // Who makes jobs does not set queues, nor see the secret.
    let mut worker = tenant.clone();
    worker.api_key = tenant.key_with("jobs:read jobs:write").await;
    worker.put("/v1/queues/default", &json!({})).await.problem(403, "forbidden");
    worker.get("/v1/jobs/signing-secret").await.problem(403, "forbidden");
    assert_eq!(read(&tenant, &job).await, job);
    act(&worker, &job, "cancel", json!({})).await.expect(200);
}
