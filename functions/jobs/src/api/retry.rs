//! `POST /v2/jobs/{id}/retry`: have a job done again.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, ProblemType, Tagged, race};
use shared::identity::{Caller, permission};

use super::cancel::answer;
use super::made::permitted;
use crate::app::App;
use crate::job::{Job, JobId, Phase};
use crate::rules::millisecond;
use crate::view::{JobView, etag};

/// Have a job done again, or now.
///
/// A job that has ended begins anew, with all its attempts; one that is scheduled or retrying is done now. It is not the
/// only one of its `unique` key any more, where that was to hold until its end.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/retry", operation_id = "retry_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The job, queued", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: it is running, or waits for others", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn retry(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    conditions: Preconditions,
) -> Result<Tagged<JobView>, Problem> {
    let (app, engine, caller, conditions) = (&app, &app.engine, &caller, &conditions);
    race(&engine.random, || async move {
        let job = engine.jobs.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        permitted(caller, &job.kind, job.on_done.as_ref())?;
        let now = engine.clock.now();
        conditions.check(&etag(&job, now))?;
        if job.phase == Phase::Running {
            return Err(Problem::new(ProblemType::Conflict, "the job is running"));
        }
        if !job.waits_for.is_empty() {
            return Err(Problem::new(ProblemType::Conflict, "the job waits for others"));
        }
        let ready_at = millisecond(now);
        let done = engine.jobs.queue_again(&job, ready_at).await;
        if done.is_ok() {
            engine.dispatch_or_leave(&Job { ready_at, ..job.clone() }).await;
        }
        answer(app, &job, done).await
    })
    .await
}
