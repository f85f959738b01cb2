//! `POST /v2/jobs/batch`: have many things done.

use axum::extract::State;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::http::idempotency::{Attempt, Submitted, in_progress};
use shared::http::{Created, Document, FieldError, Json, Problem, ProblemType};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use super::made;
use crate::app::App;
use crate::job::Job;
use crate::rules::NewJob;
use crate::store::{Along, InsertError};
use crate::view::{JobView, etag, location};

const ROUTE: &str = "POST /v2/jobs/batch";

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
        /// The job, as it was when it was made.
        #[schema(value_type = JobView)]
        job: Made,
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

/// A job that was made: now, or by a request with the same idempotency key.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Made {
    /// Now.
    Now(Box<JobView>),
    /// Before, as it was answered then.
    Before(Box<RawValue>),
}

/// Have up to 100 things done.
///
/// All jobs are checked before the first is made: one that is not valid refuses the batch. Each is made by itself then.
/// Sent again with its `Idempotency-Key`, those that were made before are answered as they were, and the others are made.
#[utoipa::path(
    post, path = "/v2/jobs/batch", operation_id = "create_jobs", tag = "jobs",
    request_body(content = NewBatch, example = json!({"jobs": [{"type": "noop"}, {"type": "sleep", "payload": {"milliseconds": 500}}]})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, each job is made once. Kept 24 hours.")),
    responses(
        (status = 200, description = "What came of each", body = BatchView, example = json!({
            "results": [{"outcome": "created", "job": {
                "id": "job_01k9z4n2y6e0qv3m8t5w7x9abc", "type": "invoice.send", "queue": "default", "state": "queued",
                "payload": {"invoice": 4711}, "payload_bytes": 16, "payload_omitted": false, "priority": "normal", "run_by": "http", "deliver_to": "https://example.com/jobs",
                "run_at": "2026-05-04T09:30:20.000Z", "attempts_begun": 0, "max_attempts": 10,
                "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}, "timeout_seconds": 60,
                "unique_key": null, "concurrency_key": null, "tags": ["billing"], "depends_on": [], "waits_for": [], "progress": null, "cancel_requested": false,
                "claim": 0, "worker": null, "lease_until": null, "result": null,
                "attempts": [],
                "created_at": "2026-05-04T09:30:00.000Z", "created_by": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "started_at": null,
                "finished_at": null,
            }}],
        })),
        (status = 422, description = "validation: no job was made; or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create_batch(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    batch: Submitted<NewBatch>,
) -> Result<Json<BatchView>, Problem> {
    let (app, caller, jobs) = (&app, &caller, &batch.body.jobs);
    if !(1..=MOST).contains(&jobs.len()) {
        return Err(Problem::validation(vec![FieldError::new("/jobs", "out_of_range", "must be 1 to 100 jobs")]));
    }
    let looks = (0..jobs.len()).map(|place| app.idempotency.begin_part(&caller.tenant, ROUTE, &batch, place));
    let begun: Vec<_> = stream::iter(looks).buffered(CONCURRENCY).try_collect().await?;
    let (mut parts, mut errors) = (Vec::new(), Vec::new());
    for (index, (new, begun)) in jobs.iter().zip(begun).enumerate() {
        match begun {
            Err(answer) => parts.push(Part::Before(answer)),
            Ok(attempt) => match made::job(app, caller, new.clone()).await {
                Ok((job, payload)) => parts.push(Part::New(Box::new((job, payload, attempt)))),
                Err(problem) if problem.kind() == ProblemType::Validation => {
                    errors.extend_from_slice(problem.below(&format!("/jobs/{index}")).errors());
                }
                Err(problem) => return Err(problem),
            },
        }
    }
    if !errors.is_empty() {
        return Err(Problem::validation(errors));
    }
    let results = parts.into_iter().map(|part| part.made(app));
    Ok(Json(BatchView { results: stream::iter(results).buffered(CONCURRENCY).collect().await }))
}

/// One job of a batch.
enum Part {
    /// It was made by a request with the same key: what was answered for it.
    Before(Box<RawValue>),
    /// It is to be made.
    New(Box<(Job, Box<RawValue>, Attempt)>),
}

impl Part {
    async fn made(self, app: &App) -> BatchResult {
        match self {
            Self::Before(answer) => BatchResult::Created { job: Made::Before(answer) },
            Self::New(new) => {
                let (job, payload, attempt) = &*new;
                insert(app, job, payload, attempt).await.unwrap_or_else(|error| {
                    tracing::warn!(error = shared::telemetry::chain(&error), "a job of a batch was not written");
                    BatchResult::Failed { detail: "it could not be written; send it again".to_owned() }
                })
            }
        }
    }
}

async fn insert(app: &App, job: &Job, payload: &RawValue, attempt: &Attempt) -> Result<BatchResult, Problem> {
    let engine = &app.engine;
    app.payloads.keep(job, payload).await?;
    let created = Created {
        location: location(&job.id),
        etag: etag(job, job.created_at),
        body: JobView::of(job, job.created_at),
    };
    match engine.jobs.insert(job, Along { idempotency: attempt.record(&created)? }).await {
        Ok(()) => {
            engine.dispatch_or_leave(job).await;
            Ok(BatchResult::Created { job: Made::Now(Box::new(created.body)) })
        }
        Err(InsertError::NotUnique(id)) => {
            let job = engine.jobs.get(&job.tenant_id, &id).await?.ok_or_else(in_progress)?;
            Ok(BatchResult::Existing { job: Box::new(JobView::of(&job, engine.clock.now())) })
        }
        // Another request with the same key is under way: sent again, this one finds what it made.
        Err(InsertError::KeyUsed) => Err(in_progress()),
        Err(InsertError::Store(error)) => Err(error.into()),
    }
}
