//! Whether the deployment is alive and ready, for load balancers and people.

use http::Method;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::time::{Clock, SignedDuration, Timestamp};
use tests::{Answer, Ask as _, Fault, FaultProxy, Instance, anonymous, eventually};

async fn get(path: &str) -> Answer {
    anonymous(Method::GET, path).answer().await
}

/// The report of an instance, once it says `status`. Each check has a second, which a machine that runs all tests at once
/// may let pass, so it is asked again.
async fn report(status: &str, change: impl FnOnce(Environment) -> Environment) -> Answer {
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let instance = Instance::with(&::health::SERVICE, "health.api", clock.clone(), change).await;
    eventually(&format!("a report that says {status}"), || async {
        clock.advance(SignedDuration::from_secs(5));
        let answer = instance.http("GET", "/ready", &[], None).await;
        (answer.json()["status"] == status).then_some(answer)
    })
    .await
}

/// The state of a dependency in a report.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} is not in {report}"))
}

#[tokio::test]
async fn health_tells_the_version_and_the_uptime_to_anyone() {
    let answer = get("/health").await.expect(200);
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
    let body = answer.json();
    assert_eq!((&body["status"], &body["version"]), (&json!("ok"), &json!(env!("CARGO_PKG_VERSION"))));
    assert!(body["uptime_seconds"].is_u64());
}

#[tokio::test]
async fn health_touches_nothing_and_works_when_all_is_down() {
    let proxy = FaultProxy::start(|_| Some(Fault::ServerError)).await;
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let instance = Instance::with(&::health::SERVICE, "health.api", clock.clone(), |environment| {
        environment.with("AWS_ENDPOINT_URL", proxy.url()).with("REDIS_URL", "redis://127.0.0.1:1")
    })
    .await;
    clock.advance(SignedDuration::from_secs(42));
    let body = instance.http("GET", "/health", &[], None).await.expect(200).json();
    assert_eq!(body["uptime_seconds"], 42);
    assert_eq!(proxy.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn ready_names_each_dependency_with_its_latency() {
    let report = eventually("the stack to be ready", || async {
        let answer = get("/ready").await;
        (answer.json()["status"] == "ok").then_some(answer)
    });
    let report = report.await.expect(200).json();
    for (name, critical) in [("dynamodb", true), ("sqs", true), ("redis", false), ("postgres", false)] {
        let check = check(&report, name);
        assert_eq!((&check["status"], &check["critical"]), (&json!("ok"), &json!(critical)), "{report}");
        assert!(check["latency_ms"].as_f64().is_some_and(|latency| (0.0..1000.0).contains(&latency)), "{report}");
    }
    let checked: Timestamp = report["checked_at"].as_str().unwrap().parse().unwrap();
    assert!(Clock::system().now().duration_since(checked) < SignedDuration::from_mins(1));
}

#[tokio::test]
async fn ready_is_503_when_what_is_critical_is_down() {
    let proxy = FaultProxy::start(|_| Some(Fault::ServerError)).await;
    let answer = report("down", |environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await.expect(503);
    assert!(!answer.header("retry-after").is_empty());
    let report = answer.json();
    assert_eq!(
        (&check(&report, "dynamodb")["status"], &check(&report, "sqs")["status"]),
        (&json!("down"), &json!("down"))
    );
    // Public: neither an address nor a cause.
    assert!(!report.to_string().contains("127.0.0.1") && !report.to_string().contains("injected"), "{report}");
}

#[tokio::test]
async fn ready_is_200_and_degraded_when_what_is_optional_is_down() {
    let answer = report("degraded", |environment| environment.with("REDIS_URL", "redis://127.0.0.1:1")).await;
    let report = answer.expect(200).json();
    assert_eq!(check(&report, "redis")["status"], "down");
    assert_eq!(check(&report, "dynamodb")["status"], "ok", "one that is down hides no other");
}

#[tokio::test]
async fn what_is_no_part_of_the_deployment_is_off_and_no_fault() {
    let answer = report("ok", |environment| environment.with("REDIS_URL", "").with("DATABASE_URL", "")).await;
    let report = answer.expect(200).json();
    for name in ["redis", "postgres"] {
        assert_eq!(check(&report, name)["status"], "off", "{report}");
    }
}

#[tokio::test]
async fn however_many_ask_the_dependencies_are_asked_once_in_five_seconds() {
    let proxy = FaultProxy::watching().await;
    let clock = Clock::manual(Timestamp::UNIX_EPOCH);
    let instance = Instance::with(&::health::SERVICE, "health.api", clock.clone(), |environment| {
        environment.with("AWS_ENDPOINT_URL", proxy.url())
    })
    .await;
    let ask = async || {
        let asked = (0..20).map(|_| instance.http("GET", "/ready", &[], None));
        futures::future::join_all(asked).await;
        proxy.calls().len()
    };
    let once = ask().await;
    assert!(once >= 1);
    clock.advance(SignedDuration::from_millis(4_999));
    assert_eq!(ask().await, once);
    clock.advance(SignedDuration::from_millis(1));
    assert_eq!(ask().await, 2 * once);
}

#[tokio::test]
async fn both_routes_keep_the_conventions() {
    for path in ["/health", "/ready"] {
        let head = anonymous(Method::HEAD, path).answer().await;
        assert_eq!((head.body.len(), head.header("content-type")), (0, "application/json"));
        let answer = anonymous(Method::POST, path).answer().await;
        assert_eq!(answer.header("allow").replace(' ', ""), "GET,HEAD");
        answer.problem(405, "method-not-allowed");
    }
}
