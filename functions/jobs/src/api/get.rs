//! `GET /v2/jobs/{id}`: one job, at once or when something has happened to it.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use shared::http::{Document, FieldError, Path, Preconditions, Problem, Query, Tagged};
use shared::identity::{Caller, permission};
use utoipa::IntoParams;

use crate::app::App;
use crate::job::JobId;
use crate::view::{JobView, etag};

/// The longest wait in seconds.
const LONGEST_WAIT: u64 = 20;

/// The time between two looks at a job that is waited for, at first; it doubles up to a second.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// Wait up to so many seconds, 0 to 20: with `If-None-Match` for any change of that version, else for the job's end.
    #[serde(default)]
    #[param(minimum = 0, maximum = 20)]
    wait: u64,
}

/// One job.
///
/// With `wait`, the answer comes when the job has ended, or when the time is up, whichever is first. With
/// `If-None-Match` as well it comes with the first change, and is 304 when there is none.
#[utoipa::path(
    get, path = "/v2/jobs/{id}", operation_id = "get_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc"), Parameters, ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The job", body = JobView, headers(("ETag" = String))),
        (status = 304, description = "It is as it was"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    Path(id): Path<JobId>,
    Query(parameters): Query<Parameters>,
    conditions: Preconditions,
) -> Result<Tagged<JobView>, Problem> {
    if parameters.wait > LONGEST_WAIT {
        return Err(Problem::validation(vec![FieldError::new("?wait", "out_of_range", "must be 0 to 20")]));
    }
    let engine = &app.engine;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(parameters.wait);
    let mut pause = FIRST_LOOK;
    let (job, now) = loop {
        let job = engine.jobs.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        let now = engine.clock.now();
        let waits = if conditions.has_if_none_match() {
            conditions.not_modified(&etag(&job, now))
        } else {
            !job.phase.is_end()
        };
        let next = tokio::time::Instant::now() + pause;
        if !waits || next >= deadline {
            break (job, now);
        }
        tokio::time::sleep_until(next).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    };
    let tag = etag(&job, now);
    if conditions.not_modified(&tag) {
        return Ok(Tagged { etag: tag, body: None });
    }
    let payload = app.payloads.of(&job).await?;
    Ok(Tagged::new(tag, JobView::of(&job, now).with_payload(payload)))
}
