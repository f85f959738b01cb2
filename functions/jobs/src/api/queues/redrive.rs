//! `POST /v2/queues/{name}/redrive`: have dead jobs done again.

use std::collections::BTreeSet;

use axum::extract::State;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use shared::http::idempotency::{Answered, Planned, Submitted};
use shared::http::{Document, FieldError, Path, Problem};
use shared::id::TenantId;
use shared::identity::{Caller, Principal, permission};
use shared::time::{SignedDuration, Timestamp, to_millisecond};
use utoipa::ToSchema;

use super::dead::MOST_COUNTED;
use crate::api::made::permitted;
use crate::app::App;
use crate::job::{Job, JobId, Phase};
use crate::name::QueueName;
use crate::store::{Along, InsertError, StoreError};

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
    params(
        ("name" = String, Path, example = "default"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request takes the same jobs, and no further ones. Kept 24 hours."),
    ),
    request_body(content = Redrive, example = json!({"fingerprint": "5f0c1e9a2b7d4c68", "max": 200, "per_second": 20, "dry_run": true})),
    responses(
        (status = 200, description = "What was done", body = Redriven, example = json!({"matched": 12, "redriven": 0})),
        (status = 409, description = "idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn redrive(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    Path(name): Path<QueueName>,
    asked: Submitted<Redrive>,
) -> Result<Answered<Redriven>, Problem> {
    let wanted = &asked.body;
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
    let (app, caller) = (&app, &caller);
    let route = format!("POST /v2/queues/{name}/redrive");
    let (selection, is_replay) = match app.idempotency.begin_plan(&caller.tenant, &route, &asked).await? {
        Planned::First(attempt) => {
            let selection = selected(app, &caller.tenant, &name, wanted).await?;
            app.idempotency.keep_plan(&attempt, &selection).await?;
            (selection, false)
        }
        Planned::Again(selection) => (selection, true),
    };
    let Selection { matched, dead } = selection;
    let now = app.engine.clock.now();
    let step = SignedDuration::from_millis(1000 / i64::from(wanted.per_second));
    let each: Vec<_> = (0_i32..)
        .zip(dead)
        .map(|(index, one)| redriven(app, caller, one, to_millisecond(now.checked_add(step * index).unwrap_or(now))))
        .collect();
    let done: Vec<_> = stream::iter(each).buffer_unordered(CONCURRENCY).try_collect().await?;
    let count = |counted: &Done| matches!(counted, Done::Now) || (is_replay && matches!(counted, Done::Before));
    let body = Redriven { matched, redriven: done.iter().filter(|done| count(done)).count() };
    Ok(Answered { body, is_replay })
}

/// What a redrive is to do.
#[derive(Deserialize, Serialize)]
struct Selection {
    matched: usize,
    /// The jobs, and when each died: one that has died anew is another case.
    dead: Vec<(Timestamp, JobId)>,
}

async fn selected(app: &App, tenant: &TenantId, queue: &QueueName, wanted: &Redrive) -> Result<Selection, Problem> {
    let mut dead = if let Some(ids) = &wanted.ids {
        named(app, tenant, queue, ids).await?
    } else {
        let (dead, _) = app.engine.jobs.dead(tenant, queue, wanted.fingerprint.as_deref(), MOST_COUNTED).await?;
        dead.into_iter().map(|dead| (dead.at, dead.id)).collect()
    };
    let matched = dead.len();
    dead.sort_unstable();
    dead.truncate(if wanted.dry_run { 0 } else { wanted.max });
    Ok(Selection { matched, dead })
}

/// Those of the ids that are of dead jobs of this queue, each once, and since when they are dead.
async fn named(
    app: &App,
    tenant: &TenantId,
    queue: &QueueName,
    ids: &[JobId],
) -> Result<Vec<(Timestamp, JobId)>, Problem> {
    let ids: BTreeSet<&JobId> = ids.iter().collect();
    let jobs: Vec<_> = ids.into_iter().map(|id| app.engine.jobs.get(tenant, id)).collect();
    let jobs: Vec<Option<Job>> = stream::iter(jobs).buffered(CONCURRENCY).try_collect().await?;
    let dead = jobs.into_iter().flatten().filter(|job| job.phase == Phase::Dead && job.queue == *queue);
    Ok(dead.filter_map(|job| Some((job.finished_at?, job.id))).collect())
}

/// What becomes of one job of a redrive.
enum Done {
    /// It is done again.
    Now,
    /// It is not dead any more: done again by another request, or by this one when it came first.
    Before,
    /// The caller could not ask for such a job, or it is gone.
    Not,
}

/// Has one job done again that is dead since then.
async fn redriven(
    app: &App,
    caller: &Principal,
    (died_at, id): (Timestamp, JobId),
    ready_at: Timestamp,
) -> Result<Done, Problem> {
    let engine = &app.engine;
    let Some(job) = engine.jobs.get(&caller.tenant, &id).await? else { return Ok(Done::Not) };
    if job.phase != Phase::Dead || job.finished_at != Some(died_at) {
        return Ok(Done::Before);
    }
    if permitted(caller, &job.kind, job.on_done.as_ref()).is_err() {
        return Ok(Done::Not);
    }
    let again = job.again(ready_at);
    match engine.jobs.queue_again(&job, &again, Along::default()).await {
        Ok(()) => {
            engine.dispatch_or_leave(&again).await;
            Ok(Done::Now)
        }
        Err(InsertError::Store(StoreError::Stale | StoreError::Conflict)) => Ok(Done::Before),
        Err(error) => Err(error.into()),
    }
}
