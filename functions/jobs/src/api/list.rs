//! `GET /v2/jobs`: the tenant's jobs.

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use shared::time::Timestamp;
use utoipa::IntoParams;

use crate::app::App;
use crate::job::{Priority, State as JobState};
use crate::name::{JobType, QueueName, Tag};
use crate::store::list::ListQuery;
use crate::view::JobView;

/// Which jobs, in which order.
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
    /// `-created_at`, the newest first, or `created_at`.
    #[serde(default)]
    #[param(value_type = Option<String>, inline)]
    sort: Sort,
    /// Only jobs of this queue.
    #[param(value_type = Option<String>)]
    queue: Option<QueueName>,
    /// Only jobs in this state.
    state: Option<JobState>,
    /// Only jobs of this type.
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    kind: Option<JobType>,
    /// Only jobs with this tag.
    #[param(value_type = Option<String>)]
    tag: Option<Tag>,
    /// Only jobs of this priority.
    priority: Option<Priority>,
    /// Only jobs made at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_from: Option<Timestamp>,
    /// Only jobs made before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Sort {
    #[default]
    #[serde(rename = "-created_at")]
    NewestFirst,
    #[serde(rename = "created_at")]
    OldestFirst,
}

/// The tenant's jobs.
///
/// With a filter a page can be short and still have a next one: it ends when it has read some megabytes.
#[utoipa::path(
    get, path = "/v2/jobs", operation_id = "list_jobs", tag = "jobs",
    params(Parameters),
    responses(
        (status = 200, description = "A page of jobs", body = Page<JobView>, headers(("Link" = String)), example = json!({
            "data": [{
                "id": "job_01k9z4n2y6e0qv3m8t5w7x9abc", "type": "invoice.send", "queue": "default", "state": "retrying",
                "payload": {"invoice": 4711}, "payload_bytes": 16, "payload_omitted": false, "priority": "normal", "run_by": "http", "deliver_to": "https://example.com/jobs",
                "run_at": "2026-05-04T09:30:20.000Z", "attempts_begun": 1, "max_attempts": 10,
                "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}, "timeout_seconds": 60,
                "unique_key": null, "concurrency_key": null, "tags": ["billing"], "depends_on": [], "waits_for": [], "progress": null, "cancel_requested": false,
                "claim": 1, "worker": "worker-k7vq2mza", "lease_until": null, "result": null,
                "attempts": [{"number": 1, "started_at": "2026-05-04T09:30:00.000Z", "ended_at": "2026-05-04T09:30:01.000Z",
                              "worker": "worker-k7vq2mza", "failure": {"class": "http_503", "message": "the answer was 503", "fingerprint": "5f0c1e9a2b7d4c68"}}],
                "created_at": "2026-05-04T09:30:00.000Z", "created_by": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "started_at": "2026-05-04T09:30:00.000Z",
                "finished_at": null,
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
) -> Result<Page<JobView>, Problem> {
    let after = app.cursors.start(&caller.tenant, &uri, parameters.cursor.as_deref()).await?;
    let query = ListQuery {
        queue: parameters.queue,
        state: parameters.state,
        kind: parameters.kind,
        tag: parameters.tag,
        priority: parameters.priority,
        created_from: parameters.created_from,
        created_before: parameters.created_before,
        ascending: matches!(parameters.sort, Sort::OldestFirst),
        after,
        limit: parameters.limit.get(),
    };
    let now = app.engine.clock.now();
    let page = app.engine.jobs.list(&caller.tenant, &query, now).await?;
    let data = page.jobs.iter().map(|job| JobView::of(job, now)).collect();
    app.cursors.page(&caller.tenant, &uri, data, page.next).await
}
