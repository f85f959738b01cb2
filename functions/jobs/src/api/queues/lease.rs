//! `POST /v2/queues/{name}/lease`: take jobs to work on.

mod look;
mod round;
mod show;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::idempotency::{Answered, Planned, Submitted};
use shared::http::{Document, FieldError, Path, Problem};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use self::round::Round;
use crate::app::App;
use crate::name::{QueueName, check_no_controls};
use crate::queue::LONGEST_TIMEOUT_SECONDS;
use crate::view::JobView;

/// The most jobs that are leased at once.
const MOST: u32 = 32;

/// The longest wait in seconds.
const LONGEST_WAIT: u32 = 20;

/// What a worker wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLease {
    /// At most so many jobs: 1 to 32. Without it, 1.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 32, default = 1)]
    max: u32,
    /// For how many seconds they are yours without another sign of life: 5 to 840. Without it, 60.
    #[serde(default = "sixty")]
    #[schema(minimum = 5, maximum = 840, default = 60)]
    lease_seconds: u32,
    /// For how many seconds to wait for the first job: 0 to 20.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 20)]
    wait_seconds: u32,
    /// Who you are, for the history: up to 100 characters.
    #[serde(default)]
    worker: Option<String>,
}

const fn one() -> u32 {
    1
}
const fn sixty() -> u32 {
    60
}

/// The jobs that were leased.
#[derive(Debug, Serialize, ToSchema)]
pub struct Leased {
    /// None when there is nothing to do.
    jobs: Vec<JobView>,
}

/// Take jobs to work on.
///
/// Each comes with its payload and its `claim`, which names the lease in what you say of it: `complete`, `fail`, `snooze`,
/// `heartbeat`. A job whose lease ends is another's within a minute, and the attempt has failed. Higher priorities come
/// first, but each level has its turn.
///
/// A job whose `concurrency_key` is at its limit keeps no other from you: what stands behind it is leased. Of each priority, the
/// thousand jobs are looked at that wait longest; what stands behind a thousand that may not run waits for one of them.
///
/// A worker that did not get the answer sends the request again with its `Idempotency-Key`, and is answered with those jobs
/// that it got then and still has; with a key, the jobs that it may take are written down before it takes the first.
#[utoipa::path(
    post, path = "/v2/queues/{name}/lease", operation_id = "lease_jobs", tag = "queues",
    params(
        ("name" = String, Path, example = "default"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request takes no further jobs. Kept 24 hours. Each lease has a key of its own."),
    ),
    request_body(content = NewLease, example = json!({"max": 10, "lease_seconds": 60, "wait_seconds": 20, "worker": "berlin-3"})),
    responses(
        (status = 200, description = "The jobs, perhaps none", body = Leased, example = json!({
            "jobs": [{
                "id": "job_01k9z4n2y6e0qv3m8t5w7x9abc", "type": "invoice.send", "queue": "default", "state": "running",
                "payload": {"invoice": 4711}, "payload_bytes": 16, "payload_omitted": false, "priority": "normal", "run_by": "pull", "deliver_to": null,
                "run_at": "2026-05-04T09:30:20.000Z", "attempts_begun": 2, "max_attempts": 10,
                "backoff": {"kind": "exponential", "base_seconds": 10, "cap_seconds": 3600}, "timeout_seconds": 60,
                "unique_key": null, "concurrency_key": null, "tags": ["billing"], "depends_on": [], "waits_for": [], "progress": null, "cancel_requested": false,
                "claim": 2, "worker": "berlin-3", "lease_until": "2026-05-04T09:31:20.000Z", "result": null,
                "attempts": [{"number": 1, "started_at": "2026-05-04T09:30:00.000Z", "ended_at": "2026-05-04T09:30:01.000Z",
                              "worker": "berlin-1", "failure": {"class": "out_of_stock", "message": "item 4711 is out of stock", "fingerprint": "5f0c1e9a2b7d4c68"}}],
                "created_at": "2026-05-04T09:30:00.000Z", "created_by": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "started_at": "2026-05-04T09:30:20.000Z",
                "finished_at": null,
            }],
        })),
        (status = 409, description = "idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn lease(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(name): Path<QueueName>,
    asked: Submitted<NewLease>,
) -> Result<Answered<Leased>, Problem> {
    let wanted = &asked.body;
    wanted.check()?;
    let worker = wanted.worker.as_deref().unwrap_or(&caller.subject);
    let round = Round { app: &app, tenant: &caller.tenant, queue: &name, wanted, worker };
    let route = format!("POST /v2/queues/{name}/lease");
    let (jobs, is_replay) = match app.idempotency.begin_plan(&caller.tenant, &route, &asked).await? {
        Planned::First(attempt) => (round.wait(asked.has_key().then_some(&attempt)).await?, false),
        Planned::Again(reserved) => (round.still_held(reserved).await?, true),
    };
    Ok(Answered { body: Leased { jobs: show::all(&app, &jobs, is_replay).await? }, is_replay })
}

impl NewLease {
    fn check(&self) -> Result<(), Problem> {
        let mut errors = Vec::new();
        let mut range = |good: bool, pointer: &str, detail: &str| {
            if !good {
                errors.push(FieldError::new(pointer, "out_of_range", detail));
            }
        };
        range((1..=MOST).contains(&self.max), "/max", "must be 1 to 32");
        range((5..=LONGEST_TIMEOUT_SECONDS).contains(&self.lease_seconds), "/lease_seconds", "must be 5 to 840");
        range(self.wait_seconds <= LONGEST_WAIT, "/wait_seconds", "must be 0 to 20");
        if let Some(Err(refusal)) = self.worker.as_deref().map(|name| check_no_controls(name, 100)) {
            errors.push(FieldError::new("/worker", refusal.code, refusal.detail));
        }
        if errors.is_empty() { Ok(()) } else { Err(Problem::validation(errors)) }
    }
}
