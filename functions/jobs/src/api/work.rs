//! What a worker of the tenant's says of a job that it has: `POST /v2/jobs/{id}/{complete, fail, snooze, heartbeat}`. Each
//! names the claim, so that a worker whose lease has ended and whose job somebody else has is refused with 409.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::http::{Document, FieldError, Json, Path, Problem, ProblemType, Tagged};
use shared::identity::{Caller, Principal, permission};
use utoipa::ToSchema;

use crate::app::App;
use crate::attempt::{Failure, Outcome};
use crate::backoff::LONGEST_SECONDS;
use crate::handlers::LARGEST_RESULT;
use crate::job::{Job, JobId, Phase, Progress};
use crate::name::check_no_controls;
use crate::queue::LONGEST_TIMEOUT_SECONDS;
use crate::store::StoreError;
use crate::view::{JobView, etag};

/// The job is done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// The claim that came with the job.
    claim: u64,
    /// What came of it: any JSON, at most 16 KB.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    result: Option<Box<RawValue>>,
}

/// The attempt failed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The claim that came with the job.
    claim: u64,
    /// What kind of failure: a word of your own, 1 to 100 characters.
    #[schema(example = "out_of_stock")]
    class: String,
    /// What happened. 500 characters of it are kept.
    #[serde(default)]
    message: String,
    /// Whether no further attempt can succeed.
    #[serde(default)]
    permanent: bool,
    /// Wait at least so long before the next attempt: at most 30 days.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 2_592_000)]
    retry_after_seconds: Option<u32>,
}

/// It is not its time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Snooze {
    /// The claim that came with the job.
    claim: u64,
    /// In how many seconds it is to be taken up again: 1 second to 30 days.
    #[schema(minimum = 1, maximum = 2_592_000)]
    seconds: u32,
}

/// A sign of life.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The claim that came with the job.
    claim: u64,
    /// For how many seconds the lease holds from now on: 5 to 840. Without it, 60.
    #[serde(default)]
    #[schema(minimum = 5, maximum = 840)]
    lease_seconds: Option<u32>,
    /// How far it is.
    #[serde(default)]
    progress: Option<Progress>,
}

/// Say that a job is done.
///
/// Said again with the same claim and result, it is answered alike, so that nobody needs to know whether it was heard.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/complete", operation_id = "complete_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc")),
    request_body(content = Complete, example = json!({"claim": 1, "result": {"sent": true}})),
    responses(
        (status = 200, description = "The job", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: the claim is lost", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn complete(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    Json(said): Json<Complete>,
) -> Result<Tagged<JobView>, Problem> {
    let result = said.result.map(|result| result.get().to_owned());
    if result.as_ref().is_some_and(|result| result.len() > LARGEST_RESULT) {
        return Err(invalid("/result", "too_large", "may have at most 16 KB"));
    }
    end(&app, &caller, &id, said.claim, Outcome::Succeeded(result)).await
}

/// Say that an attempt failed.
///
/// Said again with the same claim and failure, it is answered alike as long as no other attempt has begun.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/fail", operation_id = "fail_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc")),
    request_body(content = Fail, example = json!({"claim": 1, "class": "out_of_stock", "message": "item 4711 is out of stock"})),
    responses(
        (status = 200, description = "The job: retrying, or dead", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: the claim is lost", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn fail(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    Json(said): Json<Fail>,
) -> Result<Tagged<JobView>, Problem> {
    check_no_controls(&said.class, 100).map_err(|refusal| refusal.at("/class"))?;
    if said.retry_after_seconds.is_some_and(|seconds| seconds > LONGEST_SECONDS) {
        return Err(invalid("/retry_after_seconds", "out_of_range", "may be at most 30 days"));
    }
    let outcome = Outcome::Failed {
        failure: Failure::new(said.class, said.message),
        permanent: said.permanent,
        retry_after: said.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into())),
    };
    end(&app, &caller, &id, said.claim, outcome).await
}

/// Give a job back for a while.
///
/// The attempt does not count.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/snooze", operation_id = "snooze_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc")),
    request_body(content = Snooze, example = json!({"claim": 1, "seconds": 300})),
    responses(
        (status = 200, description = "The job, which waits", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: the claim is lost", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn snooze(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    Json(said): Json<Snooze>,
) -> Result<Tagged<JobView>, Problem> {
    if !(1..=LONGEST_SECONDS).contains(&said.seconds) {
        return Err(invalid("/seconds", "out_of_range", "must be 1 second to 30 days"));
    }
    end(&app, &caller, &id, said.claim, Outcome::Snoozed(Duration::from_secs(said.seconds.into()))).await
}

/// Give a sign of life.
///
/// The lease holds for a while longer. When the answer says `cancel_requested`, stop, and say that it failed.
#[utoipa::path(
    post, path = "/v2/jobs/{id}/heartbeat", operation_id = "heartbeat_job", tag = "jobs",
    params(("id" = String, Path, example = "job_01k9z4n2y6e0qv3m8t5w7x9abc")),
    request_body(content = Heartbeat, example = json!({"claim": 1, "lease_seconds": 60, "progress": {"fraction": 0.4, "message": "2 of 5 pages"}})),
    responses(
        (status = 200, description = "The job", body = JobView, headers(("ETag" = String))),
        (status = 409, description = "conflict: the claim is lost", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn heartbeat(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(id): Path<JobId>,
    Json(said): Json<Heartbeat>,
) -> Result<Tagged<JobView>, Problem> {
    let seconds = said.lease_seconds.unwrap_or(60);
    if !(5..=LONGEST_TIMEOUT_SECONDS).contains(&seconds) {
        return Err(invalid("/lease_seconds", "out_of_range", "must be 5 to 840"));
    }
    if let Some(progress) = &said.progress {
        if !(0.0..=1.0).contains(&progress.fraction) {
            return Err(invalid("/progress/fraction", "out_of_range", "must be 0 to 1"));
        }
        if progress.message.as_ref().is_some_and(|message| message.chars().count() > 200) {
            return Err(invalid("/progress/message", "too_long", "may have at most 200 characters"));
        }
    }
    let engine = &app.engine;
    let job = claimed(&app, &caller, &id, said.claim).await?;
    let now = engine.clock.now();
    let lease = Duration::from_secs(seconds.into());
    match engine.jobs.heartbeat(&job, now, lease, said.progress.as_ref()).await {
        Ok(job) => Ok(Tagged::new(etag(&job, now), JobView::of(&job, now))),
        Err(StoreError::Stale) => Err(lost()),
        Err(error) => Err(error.into()),
    }
}

/// Ends the attempt as its worker says.
async fn end(
    app: &App,
    caller: &Principal,
    id: &JobId,
    claim: u64,
    outcome: Outcome,
) -> Result<Tagged<JobView>, Problem> {
    let engine = &app.engine;
    let look = async || engine.jobs.get(&caller.tenant, id).await?.ok_or_else(Problem::not_found);
    let mut job = look().await?;
    // Whoever did not get the answer says the same again.
    if !job.was_ended_by(claim, &outcome) {
        let settled = engine.settle(&held(job, claim)?.acknowledged(), outcome.clone()).await;
        job = look().await?;
        match settled {
            Ok(_) => {}
            Err(StoreError::Stale) if job.was_ended_by(claim, &outcome) => {}
            Err(StoreError::Stale) => return Err(lost()),
            Err(error) => return Err(error.into()),
        }
    }
    let now = engine.clock.now();
    Ok(Tagged::new(etag(&job, now), JobView::of(&job, now)))
}

/// The job, if the claim still holds it. The lease may have ended, as long as nobody has noticed.
async fn claimed(app: &App, caller: &Principal, id: &JobId, claim: u64) -> Result<Job, Problem> {
    held(app.engine.jobs.get(&caller.tenant, id).await?.ok_or_else(Problem::not_found)?, claim)
}

fn held(job: Job, claim: u64) -> Result<Job, Problem> {
    if job.phase == Phase::Running && job.claims == claim { Ok(job) } else { Err(lost()) }
}

fn lost() -> Problem {
    Problem::new(
        ProblemType::Conflict,
        "the claim does not hold the job: its lease has ended, or the job was ended in another way",
    )
}

fn invalid(pointer: &str, code: &'static str, detail: &str) -> Problem {
    Problem::validation(vec![FieldError::new(pointer, code, detail)])
}
