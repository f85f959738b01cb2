//! Handlers that fail: the client is answered all the same, and learns nothing of the inside.

use axum::Router;
use axum::routing::get;
use lambda_runtime::Context;
use shared::http::Problem;
use shared::lambda::Function;
use shared::time::Clock;
use tests::{Instance, http_event};

async fn panics() -> &'static str {
    panic!("the secret of arn:aws:dynamodb:eu-west-1")
}

async fn fails() -> Result<&'static str, Problem> {
    Err(Problem::internal(std::io::Error::other("SELECT secret FROM users")))
}

fn instance() -> Instance {
    let router = Router::new()
        .route("/panics", get(panics))
        .route("/fails", get(fails))
        .route("/hangs", get(std::future::pending::<()>))
        .route("/works", get(async || "it works"));
    Instance::from_function(Function::http(&Instance::runtime(), router))
}

#[tokio::test]
async fn a_panic_is_a_500_that_tells_nothing_but_the_request_id() {
    let instance = instance();
    for path in ["/panics", "/fails"] {
        let answer = instance.http("GET", path, &[("x-request-id", "find-me")], None).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("cache-control"), "no-store");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let problem = answer.problem(500, "internal");
        assert_eq!(problem["request_id"], "find-me");
        assert!(!text.contains("secret") && !text.contains("arn:") && !text.contains("SELECT"), "{text}");
    }
    assert_eq!(instance.http("GET", "/works", &[], None).await.expect(200).body, "it works");
}

#[tokio::test]
async fn work_that_does_not_end_in_the_functions_time_is_a_504() {
    let mut context = Context::default();
    // Half a second is kept back for the answer.
    context.deadline = u64::try_from(Clock::system().now().as_millisecond()).unwrap() + 600;
    let event = http_event("GET", "/hangs", &[], None);
    instance().http_in(&event, context).await.problem(504, "timeout");
}

#[tokio::test]
async fn a_function_whose_time_is_over_answers_504_at_once() {
    let mut context = Context::default();
    context.deadline = 1_000_000_000_000;
    instance().http_in(&http_event("GET", "/hangs", &[], None), context).await.problem(504, "timeout");
}

#[tokio::test]
async fn an_event_that_is_no_request_is_an_error_of_the_invocation() {
    let instance = instance();
    for event in
        [serde_json::json!({}), serde_json::json!({"Records": []}), serde_json::json!(null), serde_json::json!([1])]
    {
        assert!(instance.invoke(&event).await.is_err(), "{event}");
    }
}
