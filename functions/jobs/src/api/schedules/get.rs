//! `GET /v2/schedules/{id}`: one schedule.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use super::view::ScheduleView;
use crate::app::App;
use crate::schedule::record::ScheduleId;

/// One schedule.
#[utoipa::path(
    get, path = "/v2/schedules/{id}", operation_id = "get_schedule", tag = "schedules",
    params(("id" = String, Path, example = "schedule_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The schedule", body = ScheduleView, headers(("ETag" = String))),
        (status = 304, description = "It is as it was"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    Path(id): Path<ScheduleId>,
    conditions: Preconditions,
) -> Result<Tagged<ScheduleView>, Problem> {
    let schedule = app.engine.jobs.schedule(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
    let view = ScheduleView::of(&schedule).map_err(Problem::internal)?;
    Ok(Tagged::unless_known(&conditions, schedule.etag(), view))
}
