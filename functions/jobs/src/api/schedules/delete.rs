//! `DELETE /v2/schedules/{id}`: delete a schedule.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Preconditions, Problem, race};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::schedule::record::ScheduleId;
use crate::store::StoreError;

/// Delete a schedule.
///
/// It makes no job any more. Those that it has made stay, also one that was made ahead, up to 150 seconds before its
/// time.
#[utoipa::path(
    delete, path = "/v2/schedules/{id}", operation_id = "delete_schedule", tag = "schedules",
    params(("id" = String, Path, example = "schedule_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<ScheduleId>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    let (engine, caller, conditions) = (&app.engine, &caller, &conditions);
    race(&engine.random, || async move {
        let schedule = engine.jobs.schedule(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        conditions.check(&schedule.etag())?;
        match engine.jobs.delete_schedule(&schedule).await {
            Ok(()) => Ok(Some(NoContent)),
            Err(StoreError::Stale | StoreError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
