//! `POST /v1/jobs/batch`: have many things done.

use axum::extract::State;
use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use shared::http::{Document, FieldError, Json, Problem, ProblemType};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use super::made;
use crate::app::App;
use crate::job::Job;
use crate::rules::NewJob;
use crate::store::{Along, InsertError};
use crate::view::JobView;

/// The most jobs of a batch.
const MOST: usize = 100;

/// Jobs that are written at the same time.
const CONCURRENCY: usize = 16;

/// Jobs to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBatch {
    /// 1 to 100 jobs.
    #[schema(min_items = 1, max_items = 100)]
    jobs: Vec<NewJob>,
}

/// What came of each.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchView {
    /// In the order of the request.
    results: Vec<BatchResult>,
}

/// What came of one job of a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum BatchResult {
    /// It was made.
    Created {
        /// The job.
        job: Box<JobView>,
    },
    /// There is a job of this `unique` key already: this one.
    Existing {
        /// The job.
        job: Box<JobView>,
    },
    /// It could not be written. Send it again.
    Failed {
        /// Why.
        detail: String,
    },
}

/// Have up to 100 things done.
///
/// All jobs are checked before the first is made: one that is not valid refuses the batch. Each is made by itself then.
#[utoipa::path(
    post, path = "/v1/jobs/batch", operation_id = "create_jobs", tag = "jobs",
    request_body(content = NewBatch, example = json!({"jobs": [{"type": "noop"}, {"type": "sleep", "payload": {"milliseconds": 500}}]})),
    responses(
        (status = 200, description = "What came of each", body = BatchView, example = json!({
            "results": [{"outcome": "created", "job": {
                "id": "job_01k9z4n2y6e0qv3m8t5w7x9abc", "type": "invoice.send", "queue": "default", "state": "queued",
                "payload": {"invoice": 4711}, "payload_bytes": 16, "priority": "normal", "run_by": "http", "deliver_to": "https://example.com/jobs",
                "run_at": "2026-05-04T09:30:20.000Z", "attempt": 0, "max_attempts": 10,
                "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}, "timeout_seconds": 60,
                "unique_key": null, "concurrency_key": null, "tags": ["billing"], "depends_on": [], "waits_for": [], "progress": null, "cancel_requested": false,
                "claim": 0, "worker": null, "lease_until": null, "result": null,
                "attempts": [],
                "created_at": "2026-05-04T09:30:00.000Z", "created_by": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "started_at": null,
                "finished_at": null,
            }}],
        })),
        (status = 422, description = "validation: no job was made", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create_batch(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Json(batch): Json<NewBatch>,
) -> Result<Json<BatchView>, Problem> {
    if !(1..=MOST).contains(&batch.jobs.len()) {
        return Err(Problem::validation(vec![FieldError::new("/jobs", "out_of_range", "must be 1 to 100 jobs")]));
    }
    let (mut jobs, mut errors) = (Vec::new(), Vec::new());
    for (index, new) in batch.jobs.into_iter().enumerate() {
        match made::job(&app, &caller, new).await {
            Ok(job) => jobs.push(job),
            Err(problem) if problem.kind() == ProblemType::Validation => {
                errors.extend_from_slice(problem.below(&format!("/jobs/{index}")).errors());
            }
            Err(problem) => return Err(problem),
        }
    }
    if !errors.is_empty() {
        return Err(Problem::validation(errors));
    }
    let writes: Vec<_> = jobs.iter().map(|(job, payload)| insert(&app, job, payload)).collect();
    Ok(Json(BatchView { results: stream::iter(writes).buffered(CONCURRENCY).collect().await }))
}

async fn insert(app: &App, job: &Job, payload: &serde_json::value::RawValue) -> BatchResult {
    let engine = &app.engine;
    let inserted = match app.payloads.keep(job, payload).await {
        Ok(()) => engine.jobs.insert(job, Along::default()).await,
        Err(error) => Err(error.into()),
    };
    match inserted {
        Ok(()) => {
            engine.dispatch_or_leave(job).await;
            BatchResult::Created { job: Box::new(JobView::of(job, job.created_at)) }
        }
        Err(InsertError::NotUnique(id)) => match engine.jobs.get(&job.tenant_id, &id).await {
            Ok(Some(job)) => BatchResult::Existing { job: Box::new(JobView::of(&job, engine.clock.now())) },
            Ok(None) | Err(_) => failed(),
        },
        Err(error) => {
            tracing::warn!(error = shared::telemetry::chain(&error), "a job of a batch was not written");
            failed()
        }
    }
}

fn failed() -> BatchResult {
    BatchResult::Failed { detail: "it could not be written; send it again".to_owned() }
}
