//! `POST /v2/jobs/batch`: have many things done.

mod writing;

use std::collections::BTreeSet;

use axum::extract::State;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::http::idempotency::{Answered, Submitted};
use shared::http::{Document, FieldError, Problem, ProblemType};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use self::writing::{New, Part};
use super::made;
use crate::app::App;
use crate::rules::NewJob;
use crate::view::JobView;

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
    /// It was not made: it could not be written, or what it depends on came to nothing at this moment. Send it again.
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
/// Sent again with its `Idempotency-Key`, those that were made before are answered as they were, and the others are made;
/// `Idempotency-Replayed` says that all were made before.
///
/// A whole flow can be one batch: a job may have a `ref`, and a later one of the batch names it with `{"ref": "…"}` in its
/// `depends_on`, beside the ids of jobs that there are already. Where the `unique` key of the first is taken, the second
/// depends on the job that has the key; where the first failed, so has the second.
#[utoipa::path(
    post, path = "/v2/jobs/batch", operation_id = "create_jobs", tag = "jobs",
    request_body(content = NewBatch, example = json!({"jobs": [{"type": "pages.split", "ref": "split", "payload": {"document": 4711}}, {"type": "pages.count", "depends_on": [{"ref": "split"}]}]})),
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
) -> Result<Answered<BatchView>, Problem> {
    let (app, caller, jobs) = (&app, &caller, &batch.body.jobs);
    if !(1..=MOST).contains(&jobs.len()) {
        return Err(Problem::validation(vec![FieldError::new("/jobs", "out_of_range", "must be 1 to 100 jobs")]));
    }
    let looks = (0..jobs.len()).map(|place| app.idempotency.begin_part(&caller.tenant, ROUTE, &batch, place));
    let begun: Vec<_> = stream::iter(looks).buffered(CONCURRENCY).try_collect().await?;
    let (mut parts, mut errors, mut earlier) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, (new, begun)) in jobs.iter().zip(begun).enumerate() {
        let at = format!("/jobs/{index}");
        match begun {
            Err(answer) => parts.push(Part::Before(answer)),
            Ok(attempt) => match made::job_of_batch(app, caller, new.clone(), &earlier).await {
                Ok((job, payload)) => parts.push(Part::New(Box::new(New { job, payload, attempt, place: index }))),
                Err(problem) if problem.kind() == ProblemType::Validation => {
                    errors.extend_from_slice(problem.below(&at).errors());
                }
                Err(problem) => return Err(problem),
            },
        }
        if let Some(reference) = &new.reference
            && !earlier.insert(reference.clone())
        {
            errors.push(FieldError::new(format!("{at}/ref"), "taken", "an earlier job of the batch has this ref"));
        }
    }
    if !errors.is_empty() {
        return Err(Problem::validation(errors));
    }
    let is_replay = parts.iter().all(|part| matches!(part, Part::Before(_)));
    Ok(Answered { body: BatchView { results: writing::write(app, caller, &batch, parts).await }, is_replay })
}
