//! `GET /v2/queues`: the tenant's queues, with their numbers.

use std::collections::HashMap;

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::IntoParams;

use super::statistics::StatisticsView;
use super::view::QueueView;
use crate::app::App;
use crate::queue::Queue;
use crate::statistics::Statistics;
use crate::store::Part;

/// How many, from where on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// Rows in a page, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The tenant's queues, by name, with their numbers.
#[utoipa::path(
    get, path = "/v2/queues", operation_id = "list_queues", tag = "queues",
    params(Parameters),
    responses(
        (status = 200, description = "A page of queues", body = Page<QueueView>, headers(("Link" = String)), example = json!({
            "data": [{
                "name": "default", "paused": false, "concurrency": 5, "concurrency_per_key": 1, "rate_limit": {"jobs": 100, "per_seconds": 60},
                "deliver_to": "https://example.com/jobs", "max_attempts": 10,
                "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}, "timeout_seconds": 60, "retention_days": 14,
                "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
                "statistics": {
                    "depth": {"blocked": 0, "scheduled": 3, "queued": 12, "running": 5, "retrying": 1, "succeeded": 4711, "dead": 2, "cancelled": 0},
                    "oldest_queued_seconds": 7, "window_seconds": 870,
                    "per_minute": {"made": 60.2, "succeeded": 58.621, "failed_attempts": 1.517, "dead": 0.138, "cancelled": 0.0},
                    "error_rate": 0.025,
                },
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<QueueView>, Problem> {
    let after: Option<String> = app.cursors.start(&caller.tenant, &uri, parameters.cursor.as_deref()).await?;
    let limit = parameters.limit.get();
    let Part { records: queues, more } = app.engine.jobs.queues(&caller.tenant, after.as_deref(), limit).await?;
    let next = queues.last().filter(|_| more).map(|last| last.name.clone());
    let statistics = match (queues.first(), queues.last()) {
        (Some(first), Some(last)) => {
            app.engine.jobs.statistics_of_queues(&caller.tenant, &first.name, &last.name).await?
        }
        _ => HashMap::new(),
    };
    let (none, now) = (Statistics::default(), app.engine.clock.now());
    let view = |queue: &Queue| {
        let statistics = statistics.get(queue.name.as_str()).unwrap_or(&none);
        QueueView::of(queue).with_statistics(StatisticsView::of(statistics, None, now))
    };
    app.cursors.page(&caller.tenant, &uri, queues.iter().map(view).collect(), next).await
}
