//! `GET /v2/schedules/{id}/history`: what came of a schedule's ticks.

use axum::extract::State;
use http::Uri;
use shared::http::{Document, Page, Path, Problem, Query};
use shared::identity::{Caller, permission};

use super::list::Parameters;
use super::view::RunView;
use crate::app::App;
use crate::schedule::record::ScheduleId;

/// What came of a schedule's ticks in the last 30 days, the newest first.
#[utoipa::path(
    get, path = "/v2/schedules/{id}/history", operation_id = "list_schedule_runs", tag = "schedules",
    params(("id" = String, Path, example = "schedule_01k9z4n2y6e0qv3m8t5w7x9abc"), Parameters),
    responses(
        (status = 200, description = "A page of runs", body = Page<RunView>, headers(("Link" = String))),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn history(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    Path(id): Path<ScheduleId>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<RunView>, Problem> {
    let jobs = &app.engine.jobs;
    jobs.schedule(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
    let after: Option<String> = app.cursors.start(&caller.tenant, &uri, parameters.cursor.as_deref()).await?;
    let limit = parameters.limit.get();
    let mut runs = jobs.runs(&caller.tenant, &id, after.as_deref(), limit + 1).await?;
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).map(|last| last.place.as_str());
    let data = runs.iter().map(|kept| RunView::of(&kept.run)).collect();
    app.cursors.page(&caller.tenant, &uri, data, next).await
}
