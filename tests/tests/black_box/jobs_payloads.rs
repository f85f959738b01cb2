//! What jobs are about and what comes of them, to the letter; and what follows their end.

use http::Method;
use serde_json::{Value, json};
use shared::dynamo::AttributeValue;
use tests::{Answer, Ask as _, Tenant, eventually, stack};

use crate::jobs::{Receiver, act, ended, in_state, job, lease, leased, path_of, read, status};
use crate::link::faults;
use crate::resources::aws;

/// The largest payload.
const LARGEST: usize = 5 * 1024 * 1024;

/// JSON that a parser would write differently.
const ODD: &str = r#"{ "big": 123456789012345678901234567890.000100, "tiny":1e-400,  "a":1, "a" : 2, "n":-0, "e":1E+2,
    "text":"\u00e9 é 👩‍👩‍👧 \/ \ud83d\ude00", "empty":{ } }"#;

async fn create(tenant: &Tenant, payload: &str, more: &str) -> Answer {
    let body = format!("{{\"type\": \"a\", \"payload\": {payload}{more}}}");
    tenant.request(Method::POST, "/v1/jobs").header("content-type", "application/json").body(body).answer().await
}

/// Whether an answer has this member, to the byte.
fn has(answer: &Answer, name: &str, json: &str) -> bool {
    std::str::from_utf8(&answer.body).unwrap().contains(&format!("\"{name}\":{json},"))
}

#[tokio::test]
async fn a_payload_and_a_result_are_kept_to_the_byte() {
    let tenant = Tenant::new().await;
    for payload in [ODD, "0", "\"\"", "[ ]", "true", "{}", "-0.0"] {
        let made = create(&tenant, payload, "").await.expect(201);
        assert!(has(&made, "payload", payload), "{made:?}");
        let path = path_of(&made.json());
        assert!(has(&tenant.get(&path).await, "payload", payload));
        assert!(has(&tenant.get("/v1/jobs").await, "payload", payload));
        let wanted =
            tenant.request(Method::POST, "/v1/queues/default/lease").json(&json!({})).answer().await.expect(200);
        assert!(has(&wanted, "payload", payload));
        let said = format!("{{\"claim\": 1, \"result\": {payload}}}");
        let request =
            tenant.request(Method::POST, &format!("{path}/complete")).header("content-type", "application/json");
        assert!(has(&request.body(said).answer().await.expect(200), "result", payload));
        assert!(has(&tenant.get(&path).await, "result", payload));
    }
}

#[tokio::test]
async fn a_large_payload_is_kept_to_the_byte_and_comes_with_the_lease() {
    let tenant = Tenant::new().await;
    for size in [4096, 4097, 300 * 1024, LARGEST] {
        let payload = format!("\"{}\"", "\u{e9}".repeat((size - 2) / 2) + &"x".repeat(size % 2));
        assert_eq!(payload.len(), size);
        let made = create(&tenant, &payload, "").await.expect(201);
        assert_eq!(made.json()["payload_bytes"], size);
        let read = tenant.get(&path_of(&made.json())).await.expect(200);
        assert!(has(&read, "payload", &payload), "{size}");
        let taken = leased(&tenant).await;
        assert_eq!(taken["payload"], read.json()["payload"]);
    }
    let problem = create(&tenant, &format!("\"{}\"", "x".repeat(LARGEST - 1)), "").await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/payload", "too_large")]);
    create(&tenant, &format!("\"{}\"", "x".repeat(LARGEST + 256 * 1024)), "").await.problem(413, "payload-too-large");
}

/// The payloads of a tenant that are in the bucket.
pub(crate) async fn objects(tenant: &Tenant) -> Vec<String> {
    let bucket = stack().environment("jobs.api").unwrap().get("JOBS_BUCKET").unwrap().to_owned();
    let found = aws().s3.list_objects_v2().bucket(bucket).prefix(tenant.id.to_string()).send().await.unwrap();
    found.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_job_whose_payload_is_gone_is_dead_and_does_not_keep_others_from_their_worker() {
    let tenant = Tenant::new().await;
    let large = format!("\"{}\"", "x".repeat(10_000));
    let lost = path_of(&create(&tenant, &large, "").await.expect(201).json());
    let bucket = stack().environment("jobs.api").unwrap().get("JOBS_BUCKET").unwrap().to_owned();
    aws().s3.delete_object().bucket(bucket).key(objects(&tenant).await.remove(0)).send().await.unwrap();
    let good = create(&tenant, "1", "").await.expect(201).json();

    let wanted = json!({"max": 2});
    let answer = tenant.post("/v1/queues/default/lease", &wanted).await.expect(200).json();
    let ids: Vec<_> = answer["jobs"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [&good["id"]]);
    let dead = tenant.get("/v1/jobs?state=dead").await.expect(200).json();
    assert_eq!(path_of(&dead["data"][0]), lost);
    assert_eq!(dead["data"][0]["attempts"][0]["failure"]["class"], "payload");
}

#[tokio::test]
async fn a_payload_goes_when_the_table_has_let_go_of_its_job() {
    let tenant = Tenant::new().await;
    let large = format!("\"{}\"", "x".repeat(10_000));
    let kept = path_of(&create(&tenant, &large, "").await.expect(201).json());
    let before = objects(&tenant).await;
    let gone = create(&tenant, &large, "").await.expect(201).json();
    assert_eq!(objects(&tenant).await.len(), 2);
    // As DynamoDB does when the time to live is over. The job is in one of these partitions.
    let table = stack().environment("jobs.api").unwrap().get("JOBS_TABLE").unwrap().to_owned();
    for partition in 0..::jobs::store::PARTITIONS {
        let delete = aws().dynamo.delete_item().table_name(&table);
        let delete = delete.key("pk", AttributeValue::S(format!("{}#{partition}", tenant.id)));
        let sk = AttributeValue::S(format!("job#{}", gone["id"].as_str().unwrap()));
        delete.key("sk", sk).send().await.unwrap();
    }
    eventually("its payload has gone", async || (objects(&tenant).await == before).then_some(())).await;
    assert!(has(&tenant.get(&kept).await.expect(200), "payload", &large));
}

#[tokio::test]
async fn a_worker_gets_no_more_large_payloads_than_an_answer_can_hold() {
    let tenant = Tenant::new().await;
    // Each quote has to be escaped on its way.
    let payload = format!("[{}\"\"]", "\"\",".repeat(400_000));
    for _ in 0..4 {
        create(&tenant, &payload, "").await.expect(201);
    }
    let wanted = json!({"max": 4, "wait_seconds": 20});
    for _ in 0..2 {
        assert_eq!(lease(&tenant, "default", wanted.clone()).await.len(), 2);
    }
}

#[tokio::test]
async fn a_built_in_job_has_its_payload_checked_when_it_is_asked_for() {
    let tenant = Tenant::new().await;
    for (body, expected) in [
        (json!({"type": "sleep"}), vec![("/payload", "invalid_type")]),
        (json!({"type": "sleep", "payload": {}}), vec![("/payload/milliseconds", "missing_field")]),
        (json!({"type": "sleep", "payload": []}), vec![("/payload", "invalid_type")]),
        (
            json!({"type": "sleep", "payload": {"milliseconds": 840_001}}),
            vec![("/payload/milliseconds", "out_of_range")],
        ),
        (json!({"type": "sleep", "payload": {"milliseconds": 1, "x": 1}}), vec![("/payload/x", "unknown_field")]),
        (
            json!({"type": "http.request", "payload": {"url": "nonsense", "method": "a b"}}),
            vec![("/payload/method", "invalid"), ("/payload/url", "not_a_url")],
        ),
        (json!({"type": "noop", "deliver_to": "https://example.com/"}), vec![("/deliver_to", "not_allowed")]),
        (
            json!({"type": "a", "on_done": {"job": {"type": "sleep", "payload": {"milliseconds": "1"}}}}),
            vec![("/on_done/job/payload/milliseconds", "invalid_type")],
        ),
        (
            json!({"type": "a", "on_done": {"job": {"type": "b", "payload": "x".repeat(17_000)}}}),
            vec![("/on_done/job/payload", "too_large")],
        ),
    ] {
        let problem = tenant.post("/v1/jobs", &body).await.problem(422, "validation");
        assert_eq!(faults(&problem), expected, "{body}");
    }
}

#[tokio::test]
async fn a_result_may_have_sixteen_kilobytes() {
    let tenant = Tenant::new().await;
    job(&tenant, json!({"type": "a"})).await;
    let taken = leased(&tenant).await;
    let said = |length: usize| json!({"claim": 1, "result": "x".repeat(length)});
    let problem = act(&tenant, &taken, "complete", said(16 * 1024 - 1)).await.problem(422, "validation");
    assert_eq!(faults(&problem), [("/result", "too_large")]);
    let done = act(&tenant, &taken, "complete", said(16 * 1024 - 2)).await.expect(200).json();
    assert_eq!(done["result"].as_str().unwrap().len(), 16 * 1024 - 2);
}

#[tokio::test]
async fn a_url_is_told_of_every_end_with_a_signature() {
    let tenant = Tenant::new().await;
    let receiver = Receiver::start(|_| status(204)).await;
    let new = async |kind: &str| job(&tenant, json!({"type": kind, "on_done": {"url": receiver.url("/done")}})).await;
    let secret = tenant.get("/v1/jobs/signing-secret").await.expect(200).json()["secret"].as_str().unwrap().to_owned();
    let succeeded = new("good").await;
    act(&tenant, &leased(&tenant).await, "complete", json!({"claim": 1, "result": {"ok": [1, 2]}})).await.expect(200);
    let dead = new("bad").await;
    let failure = json!({"claim": 1, "class": "broken", "message": "for good", "permanent": true});
    act(&tenant, &leased(&tenant).await, "fail", failure).await.expect(200);
    let cancelled = new("cancelled").await;
    act(&tenant, &cancelled, "cancel", json!({})).await.expect(200);

    let deliveries = receiver.await_deliveries(3).await;
    for (job, state, result, class) in [
        (succeeded, "succeeded", json!({"ok": [1, 2]}), json!(null)),
        (dead, "dead", json!(null), json!("broken")),
        (cancelled, "cancelled", json!(null), json!(null)),
    ] {
        let delivery = deliveries.iter().find(|delivery| delivery.json()["data"]["job_id"] == job["id"]);
        let delivery = delivery.unwrap_or_else(|| panic!("nothing was told of {state}"));
        let body = delivery.json();
        assert_eq!((&body["type"], delivery.path.as_str()), (&json!("job.done"), "/done"));
        let id = body["job"]["id"].as_str().unwrap().to_owned();
        assert_eq!(delivery.verified(&secret), Ok(id.clone()));
        let data = &body["data"];
        assert_eq!((&data["type"], &data["queue"], &data["state"]), (&job["type"], &json!("default"), &json!(state)));
        assert_eq!((&data["result"], &data["failure"]["class"]), (&result, &class));
        // The telling is a job as well, which is seen and tried again like any other.
        let callback = in_state(&tenant, &json!({"id": id}), "succeeded").await;
        assert_eq!((&callback["queue"], &callback["created_by"]), (&json!("callbacks"), &job["id"]));
    }
    assert_eq!(receiver.deliveries().len(), 3);
}

#[tokio::test]
async fn a_job_that_follows_has_the_result_for_its_payload_unless_it_has_one() {
    let tenant = Tenant::new().await;
    let first =
        job(&tenant, json!({"type": "first", "priority": "high", "on_done": {"job": {"type": "second"}}})).await;
    let said = format!("{{\"claim\": 1, \"result\": {ODD}}}");
    let taken = leased(&tenant).await;
    let request = tenant.request(Method::POST, &format!("{}/complete", path_of(&taken)));
    request.header("content-type", "application/json").body(said).answer().await.expect(200);
    let wanted = tenant.request(Method::POST, "/v1/queues/default/lease").json(&json!({"wait_seconds": 20}));
    let second = wanted.answer().await.expect(200);
    assert!(has(&second, "payload", ODD));
    let second = second.json()["jobs"][0].clone();
    assert_eq!(
        (&second["type"], &second["priority"], &second["created_by"]),
        (&json!("second"), &json!("high"), &first["id"])
    );

    let follow_up = json!({"type": "noop", "queue": "other", "payload": {"own": true}});
    let first = job(&tenant, json!({"type": "noop", "on_done": {"job": follow_up}})).await;
    ended(&tenant, &first).await;
    let second = eventually("the job that follows", || async {
        tenant.get("/v1/jobs?queue=other").await.expect(200).json()["data"].get(0).cloned()
    })
    .await;
    let second = ended(&tenant, &second).await;
    assert_eq!((&second["state"], &second["payload"]), (&json!("succeeded"), &json!({"own": true})));
}

#[tokio::test]
async fn nothing_follows_a_job_that_did_not_succeed() {
    let tenant = Tenant::new().await;
    let body = json!({"type": "a", "on_done": {"job": {"type": "b"}}});
    job(&tenant, body.clone()).await;
    act(&tenant, &leased(&tenant).await, "fail", json!({"claim": 1, "class": "x", "permanent": true}))
        .await
        .expect(200);
    let cancelled = job(&tenant, body).await;
    act(&tenant, &cancelled, "cancel", json!({})).await.expect(200);
    assert_eq!(read(&tenant, &cancelled).await["state"], "cancelled");
    let all: Vec<Value> = tenant.get("/v1/jobs?type=b").await.expect(200).json()["data"].as_array().unwrap().clone();
    assert_eq!(all, Vec::<Value>::new());
}
