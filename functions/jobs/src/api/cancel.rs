//! `POST /v2/jobs/{id}/cancel`: call a job off.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, ProblemType, Tagged, race};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::job::{JobId, Phase};
use crate::store::StoreError;
use crate::view::{JobView, etag};

/// Call a job off.
///
/// One that waits is cancelled at once. One that runs is asked to stop: its worker hears of it with its next heartbeat,
/// within 15 seconds, and `cancel_requested` is true until then. Jobs that depend on it are cancelled with it, unless they
/// run all the same. Asked again, the answer is the same: the request needs no `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/cancel", operation_id = "cancel_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The job, cancelled or asked to stop", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: it has succeeded or is dead", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn cancel(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    conditions: Preconditions,
) -> Result<Tagged<JobView>, Problem> {
    let (engine, caller, conditions) = (&app.engine, &caller, &conditions);
    race(&engine.random, || async move {
        let job = engine.jobs.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        let now = engine.clock.now();
        conditions.check(&etag(&job, now))?;
        if matches!(job.phase, Phase::Succeeded | Phase::Dead) {
            return Err(Problem::new(ProblemType::Conflict, "the job has ended already"));
        }
        match engine.cancel(&job, now).await {
            Ok(()) => {}
            Err(StoreError::Stale | StoreError::Conflict) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let job = engine.jobs.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        let now = engine.clock.now();
        Ok(Some(Tagged::new(etag(&job, now), JobView::of(&job, now))))
    })
    .await
}
