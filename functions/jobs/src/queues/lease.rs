//! `POST /v2/queues/{name}/lease`: take jobs to work on.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, FieldError, Json, Path, Problem};
use shared::id::TenantId;
use shared::identity::{Caller, permission};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::app::App;
use crate::attempt::{Failure, Outcome};
use crate::job::{Job, Phase, Priority};
use crate::message::Ready;
use crate::name::QueueName;
use crate::queue::{LONGEST_TIMEOUT_SECONDS, Settings};
use crate::store::StoreError;
use crate::store::claim::{Claim, Claimant, Slot, mark, queue_scope};
use crate::view::JobView;

/// The most jobs that are leased at once.
const MOST: u32 = 32;

/// The most bytes of payloads that are leased at once, if there are several: an answer of Lambda may have 6 MB, in which
/// each quote counts twice.
const MOST_PAYLOADS: u64 = 2_500_000;

/// The longest wait in seconds.
const LONGEST_WAIT: u32 = 20;

/// The time between two looks at an empty queue, at first; it doubles up to a second.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// How many are looked at for each that is wanted: others may take some, and some may be over a limit.
const LOOK_AT: usize = 4;

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
#[utoipa::path(
    post, path = "/v2/queues/{name}/lease", operation_id = "lease_jobs", tag = "queues",
    params(("name" = String, Path, example = "default")),
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
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn lease(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(name): Path<QueueName>,
    Json(wanted): Json<NewLease>,
) -> Result<Json<Leased>, Problem> {
    wanted.check()?;
    let worker = wanted.worker.as_deref().unwrap_or(&caller.subject);
    let deadline = Instant::now() + Duration::from_secs(wanted.wait_seconds.into());
    let round = Round { app: &app, tenant: &caller.tenant, queue: &name, wanted: &wanted, worker };
    let mut pause = FIRST_LOOK;
    let jobs = loop {
        let jobs = round.take().await?;
        let next = Instant::now() + pause;
        if !jobs.is_empty() || next >= deadline {
            break jobs;
        }
        tokio::time::sleep_until(next).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    };
    let now = app.engine.clock.now();
    let mut views = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let payload = match app.payloads.of(job).await {
            Ok(payload) => payload,
            // No worker can do it; the others are leased all the same.
            Err(error @ (StoreError::NoPayload | StoreError::Encode(_))) => {
                let failure = Failure::new("payload", error.to_string());
                match app.engine.settle(job, Outcome::poison(failure)).await {
                    Ok(_) | Err(StoreError::Stale) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        views.push(JobView::of(job, now).with_payload(payload).with_parents(app.engine.parents(job).await?));
    }
    Ok(Json(Leased { jobs: views }))
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
        let name = self.worker.as_deref().unwrap_or("worker");
        range((1..=100).contains(&name.chars().count()), "/worker", "has 1 to 100 characters");
        if name.chars().any(char::is_control) {
            errors.push(FieldError::new("/worker", "control_character", "must not have control characters"));
        }
        if errors.is_empty() { Ok(()) } else { Err(Problem::validation(errors)) }
    }
}

/// One look at a queue.
struct Round<'a> {
    app: &'a App,
    tenant: &'a TenantId,
    queue: &'a QueueName,
    wanted: &'a NewLease,
    worker: &'a str,
}

impl Round<'_> {
    /// Takes what can be taken now, up to what is wanted.
    async fn take(&self) -> Result<Vec<Job>, Problem> {
        let engine = &self.app.engine;
        let settings = engine.queues.settings(self.tenant, self.queue).await?;
        let mut taken = Vec::new();
        if settings.paused {
            return Ok(taken);
        }
        let most = usize::try_from(self.wanted.max).unwrap_or(1);
        let mut room = MOST_PAYLOADS;
        for priority in turns(&engine.random) {
            if taken.len() == most {
                break;
            }
            let ready = engine
                .jobs
                .ready(self.tenant, self.queue, priority, engine.clock.now(), LOOK_AT * (most - taken.len()))
                .await?;
            for id in ready {
                if taken.len() == most {
                    return Ok(taken);
                }
                // Its key is in the job: the index has only its id.
                let Some(job) = engine.jobs.get(self.tenant, &id).await? else { continue };
                // The index is behind the table, and other workers look at it too: a claim in vain costs a write.
                if job.phase != Phase::Waiting {
                    continue;
                }
                let bytes = job.payload.bytes();
                if bytes > room && !taken.is_empty() {
                    return Ok(taken);
                }
                let ready = Ready {
                    tenant_id: *self.tenant,
                    job_id: id,
                    queue: self.queue.clone(),
                    concurrency_key: job.concurrency_key,
                };
                match self.claim(&ready, &settings).await? {
                    Taken::Job(job) => {
                        room = room.saturating_sub(bytes);
                        taken.push(*job);
                    }
                    Taken::Not => {}
                    Taken::NoMore => return Ok(taken),
                }
            }
        }
        Ok(taken)
    }

    async fn claim(&self, ready: &Ready, settings: &Settings) -> Result<Taken, Problem> {
        let engine = &self.app.engine;
        if let Some(rate) = settings.rate_limit
            && self.app.rates.wait(ready, rate).await?.is_some()
        {
            return Ok(Taken::NoMore);
        }
        let slots = Slot::all_of(settings, self.queue, ready.concurrency_key.as_ref());
        let mark = mark(&engine.random);
        let claimant = Claimant {
            worker: self.worker,
            mark: &mark,
            now: engine.clock.now(),
            lease: Duration::from_secs(self.wanted.lease_seconds.into()),
            slots: &slots,
        };
        match engine.jobs.claim(ready, true, &claimant).await {
            Ok(Claim::Claimed(job)) => Ok(Taken::Job(job)),
            Ok(Claim::Full(scope)) if scope == queue_scope(self.queue) => Ok(Taken::NoMore),
            // Another worker was faster, or its key is at its limit.
            Ok(Claim::Full(_) | Claim::Refused(_)) | Err(StoreError::Conflict) => Ok(Taken::Not),
            Err(error) => Err(error.into()),
        }
    }
}

enum Taken {
    Job(Box<Job>),
    Not,
    NoMore,
}

/// The levels in the order of this turn: a level is first in 6, 3 and 1 of 10 turns, so that none starves.
fn turns(random: &shared::random::Random) -> [Priority; 3] {
    let [high, normal, low] = Priority::ALL;
    match random.bytes::<1>()[0] {
        0..=153 => [high, normal, low],
        154..=230 => [normal, high, low],
        _ => [low, high, normal],
    }
}
