//! A job as clients see it.

use serde::Serialize;
use serde_json::value::RawValue;
use shared::http::ETag;
use shared::time::{Timestamp, rfc3339_millis};
use utoipa::ToSchema;

use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::job::{Job, JobId, Priority, Progress, Runner, State};
use crate::name::{JobKey, JobType, QueueName, Tags};
use crate::payload::Payload;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job, example = json!({
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
}))]
pub struct JobView {
    /// Which one.
    #[schema(value_type = String, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc")]
    id: JobId,
    /// What it does.
    #[serde(rename = "type")]
    kind: JobType,
    /// Where it waits.
    queue: QueueName,
    /// Where it stands. New states may come.
    state: State,
    /// What it is about, as it was written. Absent where `payload_omitted` says so: lists leave out what is over 4 KB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value)]
    payload: Option<Box<RawValue>>,
    /// Whether the payload is left out here.
    payload_omitted: bool,
    /// The size of the payload in bytes.
    payload_bytes: u64,
    /// How soon it is taken up.
    priority: Priority,
    /// Who does it: `built_in`, `http` or `pull`.
    run_by: &'static str,
    /// Where it is sent.
    #[schema(format = "uri")]
    deliver_to: Option<String>,
    /// When it is, or was, due.
    #[schema(format = DateTime)]
    run_at: String,
    /// How many attempts were begun.
    attempts_begun: u32,
    /// How many may be.
    max_attempts: u32,
    /// How it waits between attempts.
    backoff: Backoff,
    /// How long one attempt may take.
    timeout_seconds: u32,
    /// What it is the only one of.
    unique_key: Option<JobKey>,
    /// What it shares a limit of concurrency with.
    concurrency_key: Option<JobKey>,
    /// Words to find it by.
    tags: Tags,
    /// The jobs that it depends on.
    #[schema(value_type = Vec<String>)]
    depends_on: Vec<JobId>,
    /// Those of them that have not ended.
    #[schema(value_type = Vec<String>)]
    waits_for: Vec<JobId>,
    /// What came of the jobs that it depends on: with a leased job alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    parents: Option<Vec<ParentView>>,
    /// How far it is.
    progress: Option<Progress>,
    /// Whether the worker was asked to stop.
    cancel_requested: bool,
    /// Names the claim of the worker that has it: what that worker says of it has to name it too.
    claim: u64,
    /// Who has it, or had it last.
    worker: Option<String>,
    /// Until when the worker has it without another sign of life.
    #[schema(format = DateTime)]
    lease_until: Option<String>,
    /// What came of it.
    #[schema(value_type = serde_json::Value)]
    result: Option<Box<RawValue>>,
    /// The attempts that have ended: the last 20.
    attempts: Vec<Attempt>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// By whom: the id of a user, an API key, a schedule or a job.
    created_by: String,
    /// When its last attempt was begun.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    finished_at: Option<String>,
}

/// What came of a job that another depends on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParentJob)]
pub struct ParentView {
    /// Which one.
    #[schema(value_type = String)]
    id: JobId,
    /// What it did.
    #[serde(rename = "type")]
    kind: JobType,
    /// How it ended.
    state: State,
    /// What came of it.
    #[schema(value_type = serde_json::Value)]
    result: Option<Box<RawValue>>,
}

impl ParentView {
    /// `job` at `now`.
    pub fn of(job: &Job, now: Timestamp) -> Self {
        Self { id: job.id, kind: job.kind.clone(), state: job.state(now), result: job.result_json() }
    }
}

impl JobView {
    /// `job` at `now`.
    pub fn of(job: &Job, now: Timestamp) -> Self {
        let (run_by, deliver_to) = match &job.runner {
            Runner::BuiltIn => ("built_in", None),
            Runner::Http { url } => ("http", Some(url.clone())),
            Runner::Pull => ("pull", None),
        };
        Self {
            id: job.id,
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            state: job.state(now),
            payload: match &job.payload {
                Payload::Inline(text) => RawValue::from_string(text.clone()).ok(),
                Payload::Stored { .. } => None,
            },
            payload_omitted: matches!(job.payload, Payload::Stored { .. }),
            payload_bytes: job.payload.bytes(),
            priority: job.priority,
            run_by,
            deliver_to,
            run_at: rfc3339_millis(job.ready_at),
            attempts_begun: job.attempt,
            max_attempts: job.max_attempts,
            backoff: job.backoff.clone(),
            timeout_seconds: job.timeout_seconds,
            unique_key: job.unique.as_ref().map(|unique| unique.key.clone()),
            concurrency_key: job.concurrency_key.clone(),
            tags: job.tags.clone(),
            depends_on: job.depends_on.clone(),
            waits_for: job.waits_for_in_order(),
            parents: None,
            progress: job.progress.clone(),
            cancel_requested: job.cancel_requested,
            claim: job.claims,
            worker: job.worker.clone(),
            lease_until: job.lease_until.map(rfc3339_millis),
            result: job.result_json(),
            attempts: job.history.clone(),
            created_at: rfc3339_millis(job.created_at),
            created_by: job.created_by.clone(),
            started_at: job.started_at.map(rfc3339_millis),
            finished_at: job.finished_at.map(rfc3339_millis),
        }
    }

    /// Which job it is.
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// The same with what came of the jobs that it depends on.
    pub fn with_parents(self, parents: Vec<ParentView>) -> Self {
        Self { parents: Some(parents).filter(|parents| !parents.is_empty()), ..self }
    }

    /// The same with a payload that is kept elsewhere.
    pub fn with_payload(self, payload: Box<RawValue>) -> Self {
        Self { payload: Some(payload), payload_omitted: false, ..self }
    }
}

/// The entity tag of a job as it is shown at `now`: the state follows from the time, so it is part of it.
pub(crate) fn etag(job: &Job, now: Timestamp) -> ETag {
    ETag::of_version(format_args!("{}-{}", job.revision, job.state(now) as u8))
}

/// The path of a job in the API.
pub(crate) fn location(id: &JobId) -> String {
    format!("/v2/jobs/{id}")
}
