//! `GET /ready`: what Tenfold depends on answers.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use shared::http::{Document, Json};

use crate::app::App;
use crate::checks::{MAX_AGE, Overall, Report};

/// Check each dependency, all at once and within a second. The report is up to five seconds old. A client takes the
/// status, people the checks: 503 (the same document, with `Retry-After`) when a critical dependency is down, and 200
/// with `degraded` when an optional one is.
#[utoipa::path(
    get,
    path = "/ready",
    operation_id = "ready",
    summary = "Does everything that Tenfold depends on answer?",
    tag = "health",
    responses(
        (status = 200, description = "Everything critical answers.", body = Report),
        (status = 503, description = "Something critical does not.", body = Report,
            headers(("Retry-After" = u64, description = "When the next check takes place, in seconds."))),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn ready(State(app): State<App>) -> Response {
    let report = app.checks.report().await;
    let down = report.status == Overall::Down;
    let mut response = Json(&*report).into_response();
    if down {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let seconds = u64::try_from(MAX_AGE.as_secs()).unwrap_or(0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{Checks, Dependency};
    use shared::BoxError;
    use shared::time::{Clock, Timestamp};

    async fn answer(dependency: Dependency) -> Response {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let checks = Checks::new(vec![dependency], clock.clone());
        ready(State(App { started_at: clock.now(), clock, checks })).await
    }

    #[tokio::test]
    async fn a_critical_dependency_that_is_down_answers_503_with_retry_after() {
        let response = answer(Dependency::critical("a", || Box::pin(async { Err(BoxError::from("away")) }))).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers().get(RETRY_AFTER), Some(&HeaderValue::from_static("5")));
    }

    #[tokio::test]
    async fn an_optional_dependency_that_is_down_answers_200() {
        let response = answer(Dependency::optional("a", || Box::pin(async { Err(BoxError::from("away")) }))).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers().get(RETRY_AFTER), None);
    }
}
