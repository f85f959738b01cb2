//! The bounds that the document tells are those that the API keeps to.

use http::Method;
use serde_json::{Value, json};
use tests::{Ask as _, Tenant, openapi};

/// A number that is sent: where the document has it below its schemas, where it goes in a request, the body that it is put into
/// there, and what to send it by.
type Bounded = (&'static str, &'static str, Value, (Method, &'static str));

fn numbers() -> Vec<Bounded> {
    let queue = || (Method::PUT, "/v2/queues/default");
    let job = || (Method::POST, "/v2/jobs");
    let schedule = || (Method::POST, "/v2/schedules");
    let verb = |path: &'static str| (Method::POST, path);
    let new = json!({"type": "noop"});
    let daily = json!({"name": "a", "cron": "0 3 * * *", "job": {"type": "noop"}});
    let exponential =
        |base: u32, cap: u32| json!({"backoff": {"kind": "exponential", "base_seconds": base, "cap_seconds": cap}});
    let rate = json!({"rate_limit": {"jobs": 1, "per_seconds": 1}});
    vec![
        ("QueueSettings/properties/concurrency", "/concurrency", json!({}), queue()),
        ("QueueSettings/properties/concurrency_per_key", "/concurrency_per_key", json!({}), queue()),
        ("QueueSettings/properties/max_attempts", "/max_attempts", json!({}), queue()),
        ("QueueSettings/properties/timeout_seconds", "/timeout_seconds", json!({}), queue()),
        ("QueueSettings/properties/retention_days", "/retention_days", json!({}), queue()),
        ("QueueRateLimit/properties/jobs", "/rate_limit/jobs", rate.clone(), queue()),
        ("QueueRateLimit/properties/per_seconds", "/rate_limit/per_seconds", rate, queue()),
        ("JobBackoff/oneOf/0/properties/seconds", "/backoff/seconds", json!({"backoff": {"kind": "fixed"}}), queue()),
        ("JobBackoff/oneOf/1/properties/base_seconds", "/backoff/base_seconds", exponential(1, 2_592_000), queue()),
        ("JobBackoff/oneOf/1/properties/cap_seconds", "/backoff/cap_seconds", exponential(1, 1), queue()),
        (
            "JobBackoff/oneOf/2/properties/seconds/items",
            "/backoff/seconds/0",
            json!({"backoff": {"kind": "list", "seconds": [1]}}),
            queue(),
        ),
        ("NewJob/properties/max_attempts", "/max_attempts", new.clone(), job()),
        ("NewJob/properties/timeout_seconds", "/timeout_seconds", new.clone(), job()),
        ("NewJob/properties/delay_seconds", "/delay_seconds", new, job()),
        (
            "NewUnique/properties/period_seconds",
            "/unique/period_seconds",
            json!({"type": "noop", "unique": {"key": "k"}}),
            job(),
        ),
        ("ScheduledJob/properties/max_attempts", "/job/max_attempts", daily.clone(), schedule()),
        ("ScheduledJob/properties/timeout_seconds", "/job/timeout_seconds", daily, schedule()),
        (
            "Fail/properties/retry_after_seconds",
            "/retry_after_seconds",
            json!({"claim": 1, "class": "x"}),
            verb("/v2/jobs/ID/fail"),
        ),
        ("Snooze/properties/seconds", "/seconds", json!({"claim": 1}), verb("/v2/jobs/ID/snooze")),
        ("Heartbeat/properties/lease_seconds", "/lease_seconds", json!({"claim": 1}), verb("/v2/jobs/ID/heartbeat")),
        ("Rotate/properties/overlap_seconds", "/overlap_seconds", json!({}), verb("/v2/jobs/signing-key/rotate")),
        ("NewLease/properties/max", "/max", json!({}), verb("/v2/queues/q/lease")),
        ("NewLease/properties/lease_seconds", "/lease_seconds", json!({}), verb("/v2/queues/q/lease")),
        ("Redrive/properties/max", "/max", json!({}), verb("/v2/queues/q/redrive")),
        ("Redrive/properties/per_second", "/per_second", json!({}), verb("/v2/queues/q/redrive")),
    ]
}

#[tokio::test]
async fn a_number_is_taken_where_the_document_says_so_and_nowhere_else() {
    let document: Value = serde_json::from_str(&openapi::document(shared::http::versions::Version::V2)).unwrap();
    let schemas = &document["components"]["schemas"];
    for (schema, at, body, (method, path)) in numbers() {
        let tenant = Tenant::new().await;
        let job = crate::jobs::job(&tenant, json!({"type": "at.home", "queue": "other"})).await;
        let path = path.replace("ID", job["id"].as_str().unwrap());
        let bounds = schemas.pointer(&format!("/{schema}")).unwrap();
        let bound = |name: &str| bounds[name].as_i64().unwrap_or_else(|| panic!("{schema} has no {name}: {bounds}"));
        let (low, high) = (bound("minimum"), bound("maximum"));
        for (value, is_good) in [(low - 1, false), (low, true), (high, true), (high + 1, false)] {
            let mut body = body.clone();
            let (parent, name) = at.rsplit_once('/').unwrap();
            match body.pointer_mut(parent).unwrap() {
                Value::Array(list) => list[0] = json!(value),
                object => object[name] = json!(value),
            }
            let answer = tenant.request(method.clone(), &path).json(&body).answer().await;
            if is_good {
                // What a worker says of a job that it does not have is refused after the check.
                assert!(answer.status.is_success() || answer.status == 409, "{schema} takes {value}: {answer:?}");
            } else {
                let problem = answer.problem(422, "validation");
                let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
                assert!(at.starts_with(pointer), "{schema} {value}: {problem}");
            }
        }
    }
}
