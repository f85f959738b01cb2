//! `POST /v2/schedules/{id}/run`: make the job of a schedule now.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use shared::http::idempotency::Submitted;
use shared::http::{Created, Document, Path, Problem, race_of_key};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use crate::api::made;
use crate::app::App;
use crate::job::Job;
use crate::rules::NewJob;
use crate::schedule::record::{Schedule, ScheduleId};
use crate::schedule::run::Run;
use crate::store::{Along, InsertError, StoreError};
use crate::view::{JobView, etag, location};

/// Nothing to say: an empty object.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunSchedule {}

/// Make the job of a schedule now.
///
/// Also of one that is paused, and whatever the job before does; with the overlap policy `queue` it waits for that one.
/// The next times stay as they are.
#[utoipa::path(
    post, path = "/v2/schedules/{id}/run", operation_id = "run_schedule", tag = "schedules",
    params(
        ("id" = String, Path, example = "schedule_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again and done once. Kept 24 hours."),
    ),
    request_body(content = RunSchedule, example = json!({})),
    responses(
        (status = 201, description = "The job was made", body = JobView, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation: its job is not acceptable any more; or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn run(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<ScheduleId>,
    asked: Submitted<RunSchedule>,
) -> Result<Response, Problem> {
    let (engine, route) = (&app.engine, format!("POST /v2/schedules/{id}/run"));
    race_of_key(&engine.random, &app.idempotency, (&caller.tenant, &route), &asked, async |attempt| {
        let schedule = engine.jobs.schedule(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        let new: NewJob = schedule.template().map_err(Problem::internal)?.into();
        // The payload of a schedule's job has its place in the job.
        let (job, _) = made::job(&app, &caller, new).await.map_err(|problem| problem.below("/job"))?;
        let job = Job { concurrency_key: job.concurrency_key.or_else(|| schedule.concurrency_key()), ..job };
        let fired_at = job.created_at;
        let run = Run { tick_at: None, resumed_at: None, fired_at, job_id: Some(job.id), skipped: None };
        let after = Schedule { last_job_id: Some(job.id), revision: schedule.revision + 1, ..schedule };
        let created =
            Created { location: location(&job.id), etag: etag(&job, fired_at), body: JobView::of(&job, fired_at) };
        let along = Along { idempotency: attempt.record(&created)? };
        match engine.jobs.fire(&after, &run, Some(&job), along).await {
            Ok(()) => {
                engine.dispatch_or_leave(&job).await;
                Ok(Some(created.into_response()))
            }
            // Another request or a tick was between; or the next try finds the answer of a request with the same key.
            Err(InsertError::KeyUsed | InsertError::Store(StoreError::Stale | StoreError::Conflict)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
