//! `POST /v2/queues/{name}/redrive`: have dead jobs done again.

use std::collections::BTreeSet;

use axum::extract::State;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use shared::http::{Document, FieldError, Json, Path, Problem};
use shared::id::TenantId;
use shared::identity::{Caller, Principal, permission};
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use super::dead::MOST_COUNTED;
use crate::api::made::permitted;
use crate::app::App;
use crate::job::{Job, JobId, Phase};
use crate::name::QueueName;
use crate::rules::millisecond;
use crate::store::StoreError;

/// The most jobs of one redrive.
const MOST: usize = 500;

/// Jobs that are written at the same time.
const CONCURRENCY: usize = 16;

/// Which dead jobs, and how fast.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Redrive {
    /// Only those whose last failure has this fingerprint.
    #[serde(default)]
    fingerprint: Option<String>,
    /// Only these, in place of a fingerprint: 1 to 500. What is not a dead job of the queue is left as it is.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, min_items = 1, max_items = 500)]
    ids: Option<Vec<JobId>>,
    /// At most so many, those that died first: 1 to 500. Without it, 100.
    #[serde(default = "hundred")]
    #[schema(minimum = 1, maximum = 500, default = 100)]
    max: usize,
    /// How many become ready in a second: 1 to 100. Without it, 10.
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 100, default = 10)]
    per_second: u32,
    /// Only count them.
    #[serde(default)]
    dry_run: bool,
}

const fn hundred() -> usize {
    100
}
const fn ten() -> u32 {
    10
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Redriven {
    /// How many dead jobs there are of this selection, up to 10,000.
    matched: usize,
    /// How many are done again.
    redriven: usize,
}

/// Have dead jobs done again, with all their attempts.
///
/// They become ready one after the other, as many in a second as asked. With `dry_run` they are counted only.
#[utoipa::path(
    post, path = "/v2/queues/{name}/redrive", operation_id = "redrive_dead_jobs", tag = "queues",
    params(("name" = String, Path, example = "default")),
    request_body(content = Redrive, example = json!({"fingerprint": "5f0c1e9a2b7d4c68", "max": 200, "per_second": 20, "dry_run": true})),
    responses(
        (status = 200, description = "What was done", body = Redriven, example = json!({"matched": 12, "redriven": 0})),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn redrive(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(name): Path<QueueName>,
    Json(wanted): Json<Redrive>,
) -> Result<Json<Redriven>, Problem> {
    let mut errors = Vec::new();
    if !(1..=MOST).contains(&wanted.max) {
        errors.push(FieldError::new("/max", "out_of_range", "must be 1 to 500"));
    }
    if !(1..=100).contains(&wanted.per_second) {
        errors.push(FieldError::new("/per_second", "out_of_range", "must be 1 to 100"));
    }
    if wanted.ids.as_ref().is_some_and(|ids| !(1..=MOST).contains(&ids.len())) {
        errors.push(FieldError::new("/ids", "out_of_range", "must be 1 to 500 ids"));
    }
    if wanted.ids.is_some() && wanted.fingerprint.is_some() {
        errors.push(FieldError::new("/ids", "conflict", "must not come with a fingerprint"));
    }
    if !errors.is_empty() {
        return Err(Problem::validation(errors));
    }
    let engine = &app.engine;
    let mut dead = if let Some(ids) = wanted.ids {
        named(&app, &caller.tenant, &name, ids).await?
    } else {
        let fingerprint = wanted.fingerprint.as_deref();
        let (dead, _) = engine.jobs.dead(&caller.tenant, &name, fingerprint, MOST_COUNTED).await?;
        dead.into_iter().map(|dead| (dead.at, dead.id)).collect()
    };
    let matched = dead.len();
    if wanted.dry_run {
        return Ok(Json(Redriven { matched, redriven: 0 }));
    }
    dead.sort_unstable();
    dead.truncate(wanted.max);
    let now = engine.clock.now();
    let step = SignedDuration::from_millis(1000 / i64::from(wanted.per_second));
    let again: Vec<_> = (0_i32..)
        .zip(dead)
        .map(|(index, (_, id))| {
            let ready_at = now.checked_add(step * index).unwrap_or(now);
            again(&app, &caller, id, millisecond(ready_at))
        })
        .collect();
    let done: Vec<_> = stream::iter(again).buffer_unordered(CONCURRENCY).collect().await;
    let mut redriven = 0;
    for one in done {
        redriven += usize::from(one?);
    }
    Ok(Json(Redriven { matched, redriven }))
}

/// Those of the ids that are of dead jobs of this queue, each once, and since when they are dead.
async fn named(
    app: &App,
    tenant: &TenantId,
    queue: &QueueName,
    ids: Vec<JobId>,
) -> Result<Vec<(Timestamp, JobId)>, Problem> {
    let ids: BTreeSet<JobId> = ids.into_iter().collect();
    let jobs: Vec<_> = ids.iter().map(|id| app.engine.jobs.get(tenant, id)).collect();
    let jobs: Vec<Option<Job>> = stream::iter(jobs).buffered(CONCURRENCY).try_collect().await?;
    let dead = jobs.into_iter().flatten().filter(|job| job.phase == Phase::Dead && job.queue == *queue);
    Ok(dead.filter_map(|job| Some((job.finished_at?, job.id))).collect())
}

/// Has one dead job done again; false when it is not dead any more, or when the caller could not ask for such a job.
async fn again(app: &App, caller: &Principal, id: JobId, ready_at: Timestamp) -> Result<bool, Problem> {
    let engine = &app.engine;
    let Some(job) = engine.jobs.get(&caller.tenant, &id).await? else { return Ok(false) };
    if job.phase != Phase::Dead || permitted(caller, &job.kind, job.on_done.as_ref()).is_err() {
        return Ok(false);
    }
    match engine.jobs.queue_again(&job, ready_at).await {
        Ok(()) => {
            engine.dispatch_or_leave(&Job { ready_at, ..job }).await;
            Ok(true)
        }
        Err(StoreError::Stale | StoreError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
