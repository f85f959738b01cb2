//! `GET /v2/queues/{name}`: one queue, with its numbers.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use super::statistics::StatisticsView;
use super::view::QueueView;
use crate::app::App;
use crate::name::QueueName;

/// One queue, with its numbers.
///
/// Its `ETag` is the version of what is set for it: the numbers change without it. Ask without `If-None-Match` to see them.
#[utoipa::path(
    get, path = "/v2/queues/{name}", operation_id = "get_queue", tag = "queues",
    params(("name" = String, Path, example = "default"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The queue", body = QueueView, headers(("ETag" = String))),
        (status = 304, description = "What is set for it is as it was"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    Path(name): Path<QueueName>,
    conditions: Preconditions,
) -> Result<Tagged<QueueView>, Problem> {
    let (jobs, tenant, now) = (&app.engine.jobs, &caller.tenant, app.engine.clock.now());
    let queue = jobs.queue(tenant, &name).await?.ok_or_else(Problem::not_found)?;
    let (statistics, longest_ready) =
        tokio::try_join!(jobs.statistics(tenant, &name), jobs.longest_ready(tenant, &name, now))?;
    let view = QueueView::of(&queue).with_statistics(StatisticsView::of(&statistics, longest_ready, now));
    Ok(Tagged::unless_known(&conditions, queue.etag(), view))
}
