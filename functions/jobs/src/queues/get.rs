//! `GET /v1/queues/{name}`: one queue.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use super::view::QueueView;
use crate::app::App;
use crate::name::QueueName;

/// One queue.
#[utoipa::path(
    get, path = "/v1/queues/{name}", operation_id = "get_queue", tag = "queues",
    params(("name" = String, Path, example = "default"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The queue", body = QueueView, headers(("ETag" = String))),
        (status = 304, description = "It is as it was"),
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
    let queue = app.engine.jobs.queue(&caller.tenant, &name).await?.ok_or_else(Problem::not_found)?;
    Ok(Tagged::unless_known(&conditions, queue.etag(), QueueView::of(&queue)))
}
