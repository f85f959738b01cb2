//! Jobs that are sent to a server of their tenant's: what it gets, and what its answers mean.

use std::collections::BTreeSet;

use ::jobs::store::JobStore;
use http::Method;
use serde_json::{Value, json};
use shared::dynamo::Dynamo;
use shared::signing::{SIGNATURE_HEADER, VerifyError};
use shared::time::{Clock, SignedDuration};
use tests::{Ask as _, Tenant, eventually, stack};
use tokio::net::TcpSocket;

use crate::jobs::{Delivery, Receiver, act, batch, ended, in_state, job, read, reply, set_queue, soon, status, time};
use crate::link::faults;
use crate::resources::{Subscriber, aws};
use crate::signing::{others, verify_task};

async fn secret(tenant: &Tenant) -> String {
    tenant.get("/v1/jobs/signing-secret").await.expect(200).json()["secret"].as_str().unwrap().to_owned()
}

/// A job that is sent to `url`, with these fields.
async fn sent_to(tenant: &Tenant, url: &str, more: Value) -> Value {
    let mut body = json!({"type": "invoice.send", "deliver_to": url, "backoff": soon()});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    job(tenant, body).await
}

/// The classes of a job's attempts; null for one that succeeded.
fn classes(job: &Value) -> Vec<&Value> {
    job["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt.pointer("/failure/class").unwrap_or(&Value::Null))
        .collect()
}

#[tokio::test]
async fn a_server_gets_the_job_signed_and_its_answer_is_the_result() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| reply(200, &[], r#"{ "sent": 12345678901234567890.10 }"#)).await;
    let payload = "{ \"b\":1,  \"a\": 1e-400 }";
    let body = format!(
        "{{\"type\": \"invoice.send\", \"payload\": {payload}, \"max_attempts\": 7, \"deliver_to\": \"{}\"}}",
        receiver.url("/jobs?kind=a%20b")
    );
    let request = tenant.request(http::Method::POST, "/v1/jobs").header("content-type", "application/json").body(body);
    let job: Value = tests::Ask::answer(request).await.expect(201).json();
    let done = ended(&tenant, &job).await;
    assert_eq!((&done["state"], &done["run_by"], &done["attempt"]), (&json!("succeeded"), &json!("http"), &json!(1)));
    let whole = tenant.get(&crate::jobs::path_of(&job)).await;
    assert!(String::from_utf8_lossy(&whole.body).contains(r#""result":{ "sent": 12345678901234567890.10 },"#));

    let [delivery]: [Delivery; 1] = receiver.deliveries().try_into().unwrap();
    assert_eq!(
        (delivery.path.as_str(), delivery.headers["content-type"].to_str().unwrap()),
        ("/jobs", "application/json")
    );
    let id = job["id"].as_str().unwrap();
    assert_eq!(delivery.verified(&secret(&tenant).await), Ok(format!("{id}_1")));
    let other = secret(&Tenant::new().await).await;
    assert_eq!(delivery.verified(&other), Err(VerifyError::NoMatch), "each tenant has a secret of its own");
    assert!(std::str::from_utf8(&delivery.body).unwrap().contains(&format!("\"data\":{payload},")));
    let body = delivery.json();
    assert_eq!(body["type"], "invoice.send");
    assert!(Clock::system().now().duration_since(time(&body["timestamp"])) < SignedDuration::from_mins(1));
    let envelope = json!({"id": id, "queue": "default", "attempt": 1, "max_attempts": 7, "claim": 1});
    assert_eq!(body["job"], envelope);
    assert_eq!(body.as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn an_answer_that_is_no_short_json_is_no_result_and_the_job_is_done() {
    let tenant = Tenant::new().await;
    let bodies = ["", "OK", "{", "[1]", "null", "LARGE"];
    let receiver = Receiver::working(move |delivery, _| async move {
        let wanted = delivery.json()["data"].as_str().unwrap().to_owned();
        let large = format!("\"{}\"", "x".repeat(16 * 1024 - 1));
        reply(201, &[], if wanted == "LARGE" { &large } else { &wanted })
    })
    .await;
    for body in bodies {
        let job = sent_to(&tenant, &receiver.url("/"), json!({"payload": body, "max_attempts": 1})).await;
        let done = ended(&tenant, &job).await;
        assert_eq!(done["state"], "succeeded", "{body}: {done}");
        assert_eq!(done["result"], if body == "[1]" { json!([1]) } else { json!(null) }, "{body}");
    }
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_old_one_for_as_long_as_asked() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let rotate = async |seconds: u32| {
        tenant.post("/v1/jobs/signing-secret/rotate", &json!({"overlap_seconds": seconds})).await.expect(200).json()
    };
    let first = secret(&tenant).await;
    assert!(first.starts_with("whsec_"));
    let second = rotate(0).await;
    assert_eq!(second["previous_until"], json!(null));
    let second = second["secret"].as_str().unwrap().to_owned();
    let third = rotate(3600).await;
    assert!(time(&third["previous_until"]) > Clock::system().now());
    let third = third["secret"].as_str().unwrap().to_owned();
    assert_eq!(secret(&tenant).await, third);
    assert!(first != second && second != third);

    ended(&tenant, &sent_to(&tenant, &receiver.url("/"), json!({})).await).await;
    let delivery = &receiver.deliveries()[0];
    // Of both secrets, and of the key.
    assert_eq!(delivery.headers[SIGNATURE_HEADER].to_str().unwrap().split(' ').count(), 3);
    assert!(delivery.verified(&third).is_ok() && delivery.verified(&second).is_ok());
    assert_eq!(delivery.verified(&first), Err(VerifyError::NoMatch));
    let problem = tenant.post("/v1/jobs/signing-secret/rotate", &json!({"overlap_seconds": 604_801})).await;
    assert_eq!(faults(&problem.problem(422, "validation")), [("/overlap_seconds", "out_of_range")]);
    // Whoever does not say for how long breaks nothing today.
    for rotation in ["/v2/jobs/signing-secret/rotate", "/v2/jobs/signing-key/rotate"] {
        let rotated = tenant.request(Method::POST, rotation).answer().await.expect(200).json();
        let left = time(&rotated["previous_until"]).duration_since(Clock::system().now());
        assert!((86_000..=86_400).contains(&left.as_secs()), "{rotated}");
    }
}

#[tokio::test]
async fn a_secret_signs_until_it_was_promised_to_however_many_come_after_it() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let rotate =
        async |seconds: u32| tenant.post("/v2/jobs/signing-secret/rotate", &json!({"overlap_seconds": seconds})).await;
    let mut secrets = vec![secret(&tenant).await];
    let mut promised = Vec::new();
    for seconds in [7200, 3600, 10_800] {
        let rotated = rotate(seconds).await.expect(200).json();
        secrets.push(rotated["secret"].as_str().unwrap().to_owned());
        promised.insert(0, json!({"until": rotated["previous_until"]}));
        assert_eq!(rotated["retiring"], json!(promised));
    }
    // As many as there may be: the first of them has its time.
    let full = rotate(60).await;
    let wait: u32 = full.header("retry-after").parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    full.problem(409, "conflict");
    assert_eq!(secret(&tenant).await, secrets[3]);
    // One that is to sign no more takes no place.
    let rotated = rotate(0).await.expect(200).json();
    assert_eq!(rotated["retiring"], json!(promised));
    secrets.push(rotated["secret"].as_str().unwrap().to_owned());

    ended(&tenant, &sent_to(&tenant, &receiver.url("/"), json!({})).await).await;
    let delivery = &receiver.deliveries()[0];
    for (number, secret) in secrets.iter().enumerate() {
        let verified = delivery.verified(secret).map(drop);
        assert_eq!(verified, if number == 3 { Err(VerifyError::NoMatch) } else { Ok(()) }, "secret {number}");
    }
}

#[tokio::test]
async fn a_receiver_needs_the_public_key_alone_also_while_it_is_changed() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| status(200)).await;
    let read = async || tenant.get("/v2/jobs/signing-key").await.expect(200).json();
    let text = |key: &Value| key.as_str().unwrap().to_owned();
    let (first, secret) = (read().await, secret(&tenant).await);
    assert_eq!((&first["previous_public_key"], &first["previous_until"]), (&json!(null), &json!(null)));
    assert!(text(&first["public_key"]).starts_with("whpk_") && !first.to_string().contains("whsk_"));

    let rotate = async |seconds: u32| {
        tenant.post("/v2/jobs/signing-key/rotate", &json!({"overlap_seconds": seconds})).await.expect(200).json()
    };
    let second = rotate(0).await;
    assert_eq!(second["previous_public_key"], json!(null));
    let third = rotate(3600).await;
    assert_eq!(third["previous_public_key"], second["public_key"]);
    assert!(time(&third["previous_until"]) > Clock::system().now());
    assert_eq!(read().await, third);
    assert_eq!(third["retiring"], json!([{"public_key": second["public_key"], "until": third["previous_until"]}]));

    let told = json!({"on_done": {"url": receiver.url("/done")}});
    ended(&tenant, &sent_to(&tenant, &receiver.url("/"), told).await).await;
    let deliveries = receiver.await_deliveries(2).await;
    let mut tasks = Vec::new();
    for delivery in &deliveries {
        let schemes = delivery.headers[SIGNATURE_HEADER].to_str().unwrap().split(' ');
        let schemes: Vec<_> = schemes.map(|signature| signature.split(',').next().unwrap()).collect();
        assert_eq!(schemes, ["v1", "v1a", "v1a"]);
        assert!(delivery.verified(&secret).is_ok());
        for key in [&third, &second] {
            let key = text(&key["public_key"]);
            assert!(delivery.verified(&key).is_ok());
            tasks.push(verify_task(&key, &delivery.headers, std::str::from_utf8(&delivery.body).unwrap()));
        }
        assert_eq!(delivery.verified(&text(&first["public_key"])), Err(VerifyError::NoMatch));
    }
    let count = tasks.len();
    let verified = tokio::task::spawn_blocking(move || others(&tasks)).await.unwrap();
    assert_eq!(verified, vec![Value::Null; count]);
    let problem = tenant.post("/v2/jobs/signing-key/rotate", &json!({"overlap_seconds": 604_801})).await;
    assert_eq!(faults(&problem.problem(422, "validation")), [("/overlap_seconds", "out_of_range")]);
}

#[tokio::test]
async fn an_answer_of_202_says_that_the_end_will_be_told() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| status(202)).await;
    let job = sent_to(&tenant, &receiver.url("/"), json!({"timeout_seconds": 300})).await;
    let [delivery]: [Delivery; 1] = receiver.await_deliveries(1).await.try_into().unwrap();
    let claim = delivery.json()["job"]["claim"].clone();
    // For as long as an attempt may take.
    let running = eventually("the job to be left to its server", || async {
        let job = read(&tenant, &job).await;
        let until = time(&job["lease_until"]).duration_since(time(&job["started_at"]));
        (until >= SignedDuration::from_secs(299)).then_some(job)
    })
    .await;
    assert_eq!((&running["state"], &running["claim"]), (&json!("running"), &claim));
    let beat = json!({"claim": claim, "progress": {"fraction": 0.5, "message": "half"}});
    let beat = act(&tenant, &job, "heartbeat", beat).await.expect(200).json();
    assert_eq!(beat["progress"], json!({"fraction": 0.5, "message": "half"}));
    act(&tenant, &job, "complete", json!({"claim": 7})).await.problem(409, "conflict");
    let done = act(&tenant, &job, "complete", json!({"claim": claim, "result": "later"})).await.expect(200).json();
    assert_eq!(
        (&done["state"], &done["result"], classes(&done)),
        (&json!("succeeded"), &json!("later"), vec![&Value::Null])
    );
    assert_eq!(receiver.deliveries().len(), 1);
}

#[tokio::test]
async fn a_server_that_tells_the_end_before_it_answers_202_is_believed() {
    let tenant = Tenant::new().await;
    let teller = tenant.clone();
    let receiver = Receiver::working(move |delivery, _| {
        let teller = teller.clone();
        async move {
            let job = delivery.json()["job"].clone();
            act(&teller, &job, "complete", json!({"claim": job["claim"], "result": 1})).await.expect(200);
            status(202)
        }
    })
    .await;
    let done = ended(&tenant, &sent_to(&tenant, &receiver.url("/"), json!({})).await).await;
    assert_eq!((&done["state"], &done["result"]), (&json!("succeeded"), &json!(1)));
}

#[tokio::test]
async fn a_server_that_fails_is_sent_the_job_again() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|before| status([500, 429, 200][before.min(2)])).await;
    let job = sent_to(&tenant, &receiver.url("/"), json!({})).await;
    let done = ended(&tenant, &job).await;
    assert_eq!((&done["state"], &done["attempt"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(classes(&done), [&json!("http_500"), &json!("http_429"), &Value::Null]);
    let attempts = done["attempts"].as_array().unwrap();
    for pair in attempts.windows(2) {
        let pause = time(&pair[1]["started_at"]).duration_since(time(&pair[0]["ended_at"]));
        assert!(pause >= SignedDuration::from_millis(999), "{pause}");
    }
    assert_eq!(attempts[0]["failure"]["message"], "the answer was 500");
    assert_ne!(attempts[0]["failure"]["fingerprint"], attempts[1]["failure"]["fingerprint"]);
    let key = secret(&tenant).await;
    let id = job["id"].as_str().unwrap();
    for (delivery, number) in receiver.deliveries().iter().zip(1..) {
        assert_eq!(delivery.verified(&key), Ok(format!("{id}_1")), "it is the same message");
        assert_eq!(
            (&delivery.json()["job"]["attempt"], &delivery.json()["job"]["claim"]),
            (&json!(number), &json!(number))
        );
    }
    // Until its attempts are used up.
    let receiver = Receiver::start(|_| status(503)).await;
    let dead = ended(&tenant, &sent_to(&tenant, &receiver.url("/"), json!({"max_attempts": 2})).await).await;
    assert_eq!((&dead["state"], classes(&dead)), (&json!("dead"), vec![&json!("http_503"), &json!("http_503")]));
    assert_eq!(receiver.deliveries().len(), 2);
}

#[tokio::test]
async fn a_job_that_comes_again_after_its_server_took_it_over_is_another_message() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|before| status([500, 202, 500, 200, 200][before.min(4)])).await;
    let job = sent_to(&tenant, &receiver.url("/"), json!({})).await;
    let second = receiver.await_deliveries(2).await[1].json();
    // By its claim, as ever.
    let said = json!({"claim": second["job"]["claim"], "class": "out_of_stock"});
    act(&tenant, &job, "fail", said).await.expect(200);
    assert_eq!(ended(&tenant, &job).await["state"], "succeeded");
    act(&tenant, &job, "retry", json!({})).await.expect(200);
    assert_eq!(ended(&tenant, &job).await["state"], "succeeded");
    let key = secret(&tenant).await;
    let deliveries = receiver.await_deliveries(5).await;
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.verified(&key).unwrap()).collect();
    let id = job["id"].as_str().unwrap();
    assert_eq!(ids, [1, 1, 3, 3, 5].map(|claim| format!("{id}_{claim}")));
    let claims: Vec<_> = deliveries.iter().map(|delivery| delivery.json()["job"]["claim"].clone()).collect();
    assert_eq!(claims, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn what_tells_of_an_end_has_one_id_however_often_it_is_sent() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|before| status([500, 503, 202, 200][before.min(3)])).await;
    set_queue(&tenant, "callbacks", json!({"backoff": soon()})).await;
    job(&tenant, json!({"type": "noop", "on_done": {"url": receiver.url("/done")}})).await;
    let told = receiver.await_deliveries(3).await.remove(2).json()["job"].clone();
    // There is no work that could go on after a 202.
    let ended_by = ended(&tenant, &told).await;
    assert_eq!((&ended_by["state"], &ended_by["attempt"]), (&json!("succeeded"), &json!(3)));
    act(&tenant, &told, "retry", json!({})).await.expect(200);
    let key = secret(&tenant).await;
    for delivery in receiver.await_deliveries(4).await {
        assert_eq!(delivery.verified(&key).unwrap(), told["id"].as_str().unwrap());
    }
}

#[tokio::test]
async fn every_attempt_is_part_of_the_trace_of_the_request_that_made_the_job() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|before| status(if before == 0 { 500 } else { 200 })).await;
    let mut subscriber = Subscriber::of(&tenant.id).await;
    let make = async |body: Value| {
        let request = tenant.request(http::Method::POST, "/v2/jobs").json(&body);
        let traced = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"));
        // What a caller adds to it for others is not ours to send on.
        tests::Ask::answer(traced.header("tracestate", "vendor=opaque")).await.expect(201).json()
    };
    let to = receiver.url("/");
    let job = make(json!({"type": "a", "deliver_to": to, "backoff": soon(), "on_done": {"url": to}})).await;
    assert_eq!(ended(&tenant, &job).await["attempt"], 2);
    // Two attempts, and the callback that follows.
    let deliveries = receiver.await_deliveries(3).await;
    let traces: Vec<_> = deliveries.iter().map(|sent| sent.headers["traceparent"].to_str().unwrap()).collect();
    for trace in &traces {
        assert!(trace.starts_with(&format!("00-{TRACE}-")) && trace.ends_with("-01"), "{traces:?}");
        assert!(!trace.contains("b7ad6b7169203331"), "each is of a span of our own: {traces:?}");
    }
    assert_eq!(traces.iter().collect::<BTreeSet<_>>().len(), 3, "{traces:?}");
    assert!(deliveries.iter().all(|sent| !sent.headers.contains_key("tracestate")));

    // What is parked goes on in its own trace, though another request lets it go on.
    set_queue(&tenant, "held", json!({"paused": true})).await;
    let held = make(json!({"type": "a", "deliver_to": to, "queue": "held"})).await;
    let table = stack().environment("jobs.worker").unwrap().get("JOBS_TABLE").unwrap().to_owned();
    let store = JobStore::new(Dynamo::new(aws().dynamo), table);
    eventually("the job to be parked", || async {
        let stored = store.get(&tenant.id, &held["id"].as_str().unwrap().parse().unwrap()).await.unwrap();
        stored.unwrap().parked
    })
    .await;
    set_queue(&tenant, "held", json!({"paused": false})).await;
    ended(&tenant, &held).await;
    let last = receiver.await_deliveries(4).await.pop().unwrap();
    assert!(last.headers["traceparent"].to_str().unwrap().starts_with(&format!("00-{TRACE}-")), "{last:?}");

    // The event of an end is of it as well.
    let gone = Receiver::start(|_| status(410)).await;
    let dead = make(json!({"type": "a", "deliver_to": gone.url("/")})).await;
    let event = subscriber.await_event("job.dead", dead["id"].as_str().unwrap()).await;
    assert!(event["traceparent"].as_str().unwrap().starts_with(&format!("00-{TRACE}-")), "{event}");
}

#[tokio::test]
async fn a_server_says_when_it_wants_the_job_again() {
    let tenant = Tenant::new().await;
    let date = Clock::system().now().checked_add(SignedDuration::from_hours(2)).unwrap();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (header, at_least, at_most) in
        [("600", 600, 600), ("0", 1, 1), (date.as_str(), 7000, 7200), ("999999999", 86_400, 86_400), ("soon", 1, 1)]
    {
        let header = header.to_owned();
        let receiver = Receiver::working(move |_, before| {
            let header = header.clone();
            async move { if before == 0 { reply(503, &[("retry-after", &header)], "") } else { status(202) } }
        })
        .await;
        let job = sent_to(&tenant, &receiver.url("/"), json!({})).await;
        let failed = eventually("a first attempt to end", || async {
            let job = read(&tenant, &job).await;
            (job["attempts"].as_array().unwrap().len() == 1).then_some(job)
        })
        .await;
        let wait = time(&failed["run_at"]).duration_since(time(&failed["attempts"][0]["ended_at"])).as_secs();
        assert!((at_least..=at_most).contains(&wait), "{wait} s");
    }
}

#[tokio::test]
async fn a_server_that_is_gone_for_good_is_not_asked_again() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| status(410)).await;
    let dead = ended(&tenant, &sent_to(&tenant, &receiver.url("/"), json!({})).await).await;
    assert_eq!(
        (&dead["state"], &dead["attempt"], classes(&dead)),
        (&json!("dead"), &json!(1), vec![&json!("http_410")])
    );
    assert_eq!(receiver.deliveries().len(), 1);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let tenant = Tenant::new().await;
    let elsewhere = Receiver::start(|_| status(200)).await;
    for code in [301, 302, 303, 307, 308] {
        let location = elsewhere.url("/");
        let receiver = Receiver::start(move |_| reply(code, &[("location", &location)], "")).await;
        let dead = ended(&tenant, &sent_to(&tenant, &receiver.url("/"), json!({"max_attempts": 1})).await).await;
        assert_eq!((&dead["state"], classes(&dead)), (&json!("dead"), vec![&json!(format!("http_{code}"))]));
    }
    assert_eq!(elsewhere.deliveries().len(), 0);
}

#[tokio::test]
async fn a_server_that_takes_too_long_or_takes_no_connection_has_failed() {
    let tenant = Tenant::new().await;
    let slow = Receiver::working(|_, _| std::future::pending()).await;
    let body = json!({"max_attempts": 1, "timeout_seconds": 1});
    let dead = ended(&tenant, &sent_to(&tenant, &slow.url("/"), body).await).await;
    assert_eq!((&dead["state"], classes(&dead)), (&json!("dead"), vec![&json!("timeout")]));
    let took = time(&dead["attempts"][0]["ended_at"]).duration_since(time(&dead["attempts"][0]["started_at"]));
    assert!(took >= SignedDuration::from_secs(1), "{took}");

    // The port is kept, and nobody listens on it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let again = json!({"backoff": {"kind": "fixed", "seconds": 3600}});
    let job = sent_to(&tenant, &format!("http://{address}/"), again).await;
    let retrying = in_state(&tenant, &job, "retrying").await;
    assert_eq!(classes(&retrying), [&json!("connect_failed")]);
    let listener = socket.listen(16).unwrap();
    Receiver::on(listener, |_, _| std::future::ready(status(200)));
    act(&tenant, &job, "retry", json!({})).await.expect(200);
    let done = ended(&tenant, &job).await;
    assert_eq!((&done["state"], classes(&done)), (&json!("succeeded"), vec![&json!("connect_failed"), &Value::Null]));
}

#[tokio::test]
async fn a_url_that_must_not_be_asked_is_refused_wherever_it_stands() {
    let tenant = Tenant::new().await;
    for (url, code) in [
        ("https://10.0.0.1/", "forbidden_address"),
        ("https://192.168.1.1/", "forbidden_address"),
        ("https://169.254.169.254/latest/meta-data/", "forbidden_address"),
        ("https://0x0a.1/", "forbidden_address"),
        ("https://167772161/", "forbidden_address"),
        ("https://012.0.0.1/", "forbidden_address"),
        ("https://100.64.0.1/", "forbidden_address"),
        ("https://[fd00::1]/", "forbidden_address"),
        ("https://[::ffff:10.0.0.1]/", "forbidden_address"),
        ("https://[64:ff9b::a00:1]/", "forbidden_address"),
        ("https://0.0.0.0/", "forbidden_address"),
        ("http://example.com/", "not_https"),
        ("https://user:password@example.com/", "credentials"),
        ("https://example.com:6379/", "bad_port"),
        ("ftp://example.com/", "bad_scheme"),
        ("example.com", "not_a_url"),
        ("", "not_a_url"),
        (&format!("https://example.com/{}", "a".repeat(8192)), "too_long"),
    ] {
        let problem =
            tenant.post("/v1/jobs", &json!({"type": "a", "deliver_to": url})).await.problem(422, "validation");
        assert_eq!(faults(&problem), [("/deliver_to", code)], "{url}");
        let on_done = json!({"type": "a", "on_done": {"url": url}});
        let problem = tenant.post("/v1/jobs", &on_done).await.problem(422, "validation");
        assert_eq!(faults(&problem), [("/on_done/url", code)], "{url}");
        let problem = tenant.put("/v1/queues/default", &json!({"deliver_to": url})).await.problem(422, "validation");
        assert_eq!(faults(&problem), [("/deliver_to", code)], "{url}");
    }
    // The same of what a job asks itself, when it is made, and of one that is made of another's result, when it is done.
    for (url, code) in [
        ("https://10.0.0.1/", "forbidden_address"),
        ("http://example.com/", "not_https"),
        ("https://user:secret@example.com/", "credentials"),
        ("https://example.com:6379/", "bad_port"),
        ("ftp://example.com/", "bad_scheme"),
    ] {
        let request = json!({"type": "http.request", "payload": {"url": url}});
        let variant = json!({"name": "a", "width": 1, "format": "png"});
        let picture = json!({"type": "image.derive", "payload": {"source": {"url": url}, "variants": [variant]}});
        for (new, pointer) in [(&request, "/url"), (&picture, "/source/url")] {
            let pointer = format!("/payload{pointer}");
            let problem = tenant.post("/v1/jobs", new).await.problem(422, "validation");
            assert_eq!(faults(&problem), [(&*pointer, code)], "{new}");
            let after = json!({"type": "a", "on_done": {"job": new}});
            let problem = tenant.post("/v1/jobs", &after).await.problem(422, "validation");
            assert_eq!(faults(&problem), [(&*format!("/on_done/job{pointer}"), code)], "{after}");
        }
    }
    for (more, pointer, code) in [
        (json!({"method": "TRACE"}), "/payload/method", "bad_method"),
        (json!({"method": "CONNECT"}), "/payload/method", "bad_method"),
        (json!({"headers": {"host": "example.org"}}), "/payload/headers", "bad_header"),
    ] {
        let mut payload = json!({"url": "https://example.com/"});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let problem = tenant.post("/v1/jobs", &json!({"type": "http.request", "payload": payload})).await;
        assert_eq!(faults(&problem.problem(422, "validation")), [(pointer, code)], "{payload}");
    }
    let first = job(&tenant, json!({"type": "a", "on_done": {"job": {"type": "http.request"}}})).await;
    let taken = crate::jobs::leased(&tenant).await;
    let said = json!({"claim": taken["claim"], "result": {"url": "http://example.com/"}});
    act(&tenant, &first, "complete", said).await.expect(200);
    let all = tenant.get("/v1/jobs?type=http.request").await.expect(200).json();
    let dead = ended(&tenant, &all["data"][0]).await;
    assert_eq!((&dead["state"], classes(&dead)), (&json!("dead"), vec![&json!("payload")]));
}

#[tokio::test]
async fn a_queue_says_where_its_jobs_are_sent() {
    let tenant = Tenant::new().await;
    let (of_queue, of_job) = (Receiver::start(|_| status(200)).await, Receiver::start(|_| status(200)).await);
    set_queue(&tenant, "web", json!({"deliver_to": of_queue.url("/queue")})).await;
    let jobs = batch(
        &tenant,
        vec![
            json!({"type": "a", "queue": "web"}),
            json!({"type": "b", "queue": "web", "deliver_to": of_job.url("/job")}),
            json!({"type": "noop", "queue": "web"}),
        ],
    )
    .await;
    for (job, by) in jobs.iter().zip(["http", "http", "built_in"]) {
        let done = ended(&tenant, job).await;
        assert_eq!((&done["state"], &done["run_by"]), (&json!("succeeded"), &json!(by)));
    }
    let [to_queue]: [Delivery; 1] = of_queue.deliveries().try_into().unwrap();
    let [to_job]: [Delivery; 1] = of_job.deliveries().try_into().unwrap();
    assert_eq!((to_queue.path.as_str(), &to_queue.json()["type"]), ("/queue", &json!("a")));
    assert_eq!((to_job.path.as_str(), &to_job.json()["type"]), ("/job", &json!("b")));
}

#[tokio::test]
async fn a_request_job_tells_what_was_answered() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::working(|delivery, _| async move {
        if delivery.path == "/bad" { reply(404, &[], "no") } else { reply(201, &[], "made \u{e9}") }
    })
    .await;
    let request = |path: &str, more: Value| {
        let mut payload = json!({"url": receiver.url(path)});
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        json!({"type": "http.request", "max_attempts": 1, "payload": payload})
    };
    let headers = json!({"headers": {"x-test": "1"}, "body": "hello"});
    let jobs = batch(&tenant, vec![request("/good", headers), request("/bad", json!({}))]).await;
    let done = ended(&tenant, &jobs[0]).await;
    assert_eq!(
        (&done["state"], &done["result"]),
        (&json!("succeeded"), &json!({"status": 201, "body": "made \u{e9}"}))
    );
    let dead = ended(&tenant, &jobs[1]).await;
    assert_eq!((&dead["state"], classes(&dead)), (&json!("dead"), vec![&json!("http_404")]));
    let deliveries = receiver.deliveries();
    let good = deliveries.iter().find(|delivery| delivery.path == "/good").unwrap();
    assert_eq!((good.headers["x-test"].to_str().unwrap(), &good.body[..]), ("1", &b"hello"[..]));
    assert!(good.headers.get(SIGNATURE_HEADER).is_none());
}
