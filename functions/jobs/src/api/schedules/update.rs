//! `PATCH /v2/schedules/{id}`: edit, pause or resume a schedule.

use axum::extract::State;
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, Tagged, race};
use shared::identity::{Caller, permission};

use super::create::checked;
use super::view::ScheduleView;
use crate::app::App;
use crate::schedule::record::ScheduleId;
use crate::schedule::rules::Editable;
use crate::store::StoreError;

/// Edit, pause or resume a schedule.
///
/// A JSON Merge Patch: members replace, `null` removes, what is absent stays. A `backoff` of another `kind`, or an `on_done`
/// of another, replaces the present one whole. A job that was made already, up to 150
/// seconds ahead of its time, stays as it is.
#[utoipa::path(
    patch, path = "/v2/schedules/{id}", operation_id = "update_schedule", tag = "schedules",
    params(("id" = String, Path, example = "schedule_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = Editable, content_type = "application/merge-patch+json", example = json!({"paused": true})),
    responses(
        (status = 200, description = "The schedule after the edit", body = ScheduleView, headers(("ETag" = String))),
        (status = 412, description = "precondition-failed: it has changed since it was read, which a tick does as well", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<ScheduleId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<ScheduleView>, Problem> {
    let (app, engine, caller, conditions, patch) = (&app, &app.engine, &caller, &conditions, &patch);
    race(&engine.random, || async move {
        let schedule = engine.jobs.schedule(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        conditions.check(&schedule.etag())?;
        let present = schedule.editable().map_err(Problem::internal)?;
        let job = present.job.patched_by(patch.at("/job/backoff"), patch.at("/job/on_done"));
        let edited: Editable = patch.apply(&Editable { job, ..present })?;
        let template = edited.job.clone();
        let edited = checked(app, caller, &template, schedule.edited(edited, engine.clock.now())).await?;
        match engine.jobs.update_schedule(&edited).await {
            Ok(()) => {
                let view = ScheduleView::of(&edited).map_err(Problem::internal)?;
                Ok(Some(Tagged::new(edited.etag(), view)))
            }
            Err(StoreError::Stale | StoreError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
