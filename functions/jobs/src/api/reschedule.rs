//! `POST /v2/jobs/{id}/reschedule`: have a job done at another time.

use axum::extract::State;
use serde::Deserialize;
use shared::http::{Document, FieldError, Json, Path, Preconditions, Problem, ProblemType, Tagged, race};
use shared::identity::{Caller, permission};
use shared::time::{Timestamp, to_millisecond};
use utoipa::ToSchema;

use crate::app::App;
use crate::job::{JobId, Phase};
use crate::rules::is_too_far;
use crate::store::{Along, InsertError, StoreError};
use crate::view::{JobView, etag};

/// The other time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reschedule {
    /// When it is to be done: in the future, up to 10 years ahead.
    #[schema(value_type = String, format = DateTime)]
    run_at: Timestamp,
}

/// Have a waiting job done at another time.
///
/// Sent again, it sets the same time: while the job waits, the request needs no `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/reschedule", operation_id = "reschedule_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = Reschedule, example = json!({"run_at": "2027-01-01T00:00:00Z"})),
    responses(
        (status = 200, description = "The job, scheduled", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: it is running or has ended", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn reschedule(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    conditions: Preconditions,
    Json(wanted): Json<Reschedule>,
) -> Result<Tagged<JobView>, Problem> {
    let (engine, caller, conditions) = (&app.engine, &caller, &conditions);
    let ready_at = to_millisecond(wanted.run_at);
    race(&engine.random, || async move {
        let now = engine.clock.now();
        if ready_at <= now {
            return Err(Problem::validation(vec![FieldError::new("/run_at", "in_the_past", "must be in the future")]));
        }
        if is_too_far(ready_at, now) {
            let error = FieldError::new("/run_at", "out_of_range", "may be at most 10 years ahead");
            return Err(Problem::validation(vec![error]));
        }
        let job = engine.jobs.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        conditions.check(&etag(&job, now))?;
        if job.phase != Phase::Waiting {
            return Err(Problem::new(ProblemType::Conflict, "the job does not wait any more"));
        }
        let again = job.again(ready_at);
        match engine.jobs.queue_again(&job, &again, Along::default()).await {
            Ok(()) => engine.dispatch_or_leave(&again).await,
            Err(InsertError::Store(StoreError::Stale | StoreError::Conflict)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(Some(Tagged::new(etag(&again, now), JobView::of(&again, now))))
    })
    .await
}
