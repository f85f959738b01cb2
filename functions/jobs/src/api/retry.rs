//! `POST /v2/jobs/{id}/retry`: have a job done again.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use shared::http::idempotency::Triggered;
use shared::http::{Document, Path, Preconditions, Problem, ProblemType, Tagged, race_of_key};
use shared::identity::{Caller, permission};
use shared::time::to_millisecond;

use super::made::permitted;
use crate::app::App;
use crate::job::{JobId, Phase};
use crate::store::{Along, InsertError, StoreError};
use crate::view::{JobView, etag};

/// Have a job done again, or now.
///
/// A job that has ended begins anew, with all its attempts; one that is scheduled or retrying is done now. It is not the
/// only one of its `unique` key any more, where that was to hold until its end.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/retry", operation_id = "retry_job", tag = "jobs",
    params(
        ("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("If-Match" = Option<String>, Header),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key, the request is answered again, and the job is done again once. Kept 24 hours."),
    ),
    responses(
        (status = 200, description = "The job, queued", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: it is running, or waits for others; or idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn retry(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    conditions: Preconditions,
    asked: Triggered,
) -> Result<Response, Problem> {
    let (engine, route) = (&app.engine, format!("POST /v2/jobs/{id}/retry"));
    race_of_key(&engine.random, &app.idempotency, (&caller.tenant, &route), &asked, async |attempt| {
        let job = engine.jobs.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        permitted(&caller, &job.kind, job.on_done.as_ref())?;
        let now = engine.clock.now();
        conditions.check(&etag(&job, now))?;
        if job.phase == Phase::Running {
            return Err(Problem::new(ProblemType::Conflict, "the job is running"));
        }
        if !job.waits_for.is_empty() {
            return Err(Problem::new(ProblemType::Conflict, "the job waits for others"));
        }
        let again = job.again(to_millisecond(now));
        let answer = Tagged::new(etag(&again, now), JobView::of(&again, now));
        let along = Along { idempotency: attempt.record_change(&answer)? };
        match engine.jobs.queue_again(&job, &again, along).await {
            Ok(()) => {
                engine.dispatch_or_leave(&again).await;
                Ok(Some(answer.into_response()))
            }
            // The job was changed meanwhile; or the next try finds the answer of a request with the same key.
            Err(InsertError::KeyUsed | InsertError::Store(StoreError::Stale | StoreError::Conflict)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
