//! `GET /v2/schedules`: the tenant's schedules.

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::IntoParams;

use super::view::ScheduleView;
use crate::app::App;
use crate::schedule::record::ScheduleId;

/// How many, from where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// Rows in a page, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    pub(super) limit: Limit,
    /// The `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// The tenant's schedules, the newest first.
#[utoipa::path(
    get, path = "/v2/schedules", operation_id = "list_schedules", tag = "schedules",
    params(Parameters),
    responses(
        (status = 200, description = "A page of schedules", body = Page<ScheduleView>, headers(("Link" = String))),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<ScheduleView>, Problem> {
    let after: Option<ScheduleId> = app.cursors.start(&caller.tenant, &uri, parameters.cursor.as_deref()).await?;
    let limit = parameters.limit.get();
    let part = app.engine.jobs.schedules(&caller.tenant, after.as_ref(), limit).await?;
    let next = part.records.last().filter(|_| part.more).map(|last| last.id);
    let views: Result<_, _> = part.records.iter().map(ScheduleView::of).collect();
    app.cursors.page(&caller.tenant, &uri, views.map_err(Problem::internal)?, next).await
}
