//! `GET /v2/queues/{name}/dead`: why jobs died.

use std::collections::BTreeMap;

use axum::extract::State;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use shared::http::{Document, Json, Path, Problem};
use shared::identity::{Caller, permission};
use shared::time::{Timestamp, rfc3339_millis};
use utoipa::ToSchema;

use crate::app::App;
use crate::attempt::Failure;
use crate::job::JobId;
use crate::name::QueueName;
use crate::store::list::Dead;

/// The most dead jobs that are counted.
pub(super) const MOST_COUNTED: usize = 10_000;

/// The most groups that are told.
const MOST_GROUPS: usize = 50;

/// The dead jobs of a queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadView {
    /// By what their failures have in common, the largest group first; at most 50.
    groups: Vec<DeadGroup>,
    /// All dead jobs.
    total: usize,
    /// Whether there are more than the 10,000 that were counted, or more groups.
    truncated: bool,
}

/// Dead jobs whose last failures are of one kind.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroup {
    /// What they have in common. A redrive takes it.
    fingerprint: String,
    /// How many.
    count: usize,
    /// When the first died.
    #[schema(format = DateTime)]
    first_at: String,
    /// When the last died.
    #[schema(format = DateTime)]
    last_at: String,
    /// The one that died last.
    #[schema(value_type = String)]
    last_job_id: JobId,
    /// Its failure.
    last_failure: Option<Failure>,
}

/// Why jobs of a queue died, grouped by what their failures have in common.
#[utoipa::path(
    get, path = "/v2/queues/{name}/dead", operation_id = "list_dead_jobs", tag = "queues",
    params(("name" = String, Path, example = "default")),
    responses(
        (status = 200, description = "The groups", body = DeadView, example = json!({
            "groups": [{
                "fingerprint": "5f0c1e9a2b7d4c68", "count": 12, "first_at": "2026-05-04T09:30:00.000Z",
                "last_at": "2026-05-04T10:12:00.000Z", "last_job_id": "job_01k9z4n2y6e0qv3m8t5w7x9abc",
                "last_failure": {"class": "http_503", "message": "the answer was 503", "fingerprint": "5f0c1e9a2b7d4c68"},
            }],
            "total": 12, "truncated": false,
        })),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn dead(
    State(app): State<App>,
    caller: Caller<permission::ReadJobs>,
    Path(name): Path<QueueName>,
) -> Result<Json<DeadView>, Problem> {
    let (all, more) = app.engine.jobs.dead(&caller.tenant, &name, None, MOST_COUNTED).await?;
    let total = all.len();
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for dead in all {
        groups.entry(dead.fingerprint.clone()).and_modify(|group| group.add(&dead)).or_insert_with(|| Group::of(&dead));
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
    let truncated = more || groups.len() > MOST_GROUPS;
    groups.truncate(MOST_GROUPS);
    let views = groups.into_iter().map(|(fingerprint, group)| {
        let (jobs, tenant) = (&app.engine.jobs, &caller.tenant);
        async move {
            let last = jobs.get(tenant, &group.last_id).await?;
            let failure = last.and_then(|job| job.history.last()?.failure.clone());
            Ok::<_, Problem>(group.view(fingerprint, failure))
        }
    });
    let views: Vec<_> = views.collect();
    let groups = stream::iter(views).buffered(8).try_collect().await?;
    Ok(Json(DeadView { groups, total, truncated }))
}

struct Group {
    count: usize,
    first_at: Timestamp,
    last_at: Timestamp,
    last_id: JobId,
}

impl Group {
    const fn of(dead: &Dead) -> Self {
        Self { count: 1, first_at: dead.at, last_at: dead.at, last_id: dead.id }
    }

    /// Another one: they come in the order of their deaths.
    fn add(&mut self, dead: &Dead) {
        self.count += 1;
        self.last_at = dead.at;
        self.last_id = dead.id;
    }

    fn view(self, fingerprint: String, last_failure: Option<Failure>) -> DeadGroup {
        DeadGroup {
            fingerprint,
            count: self.count,
            first_at: rfc3339_millis(self.first_at),
            last_at: rfc3339_millis(self.last_at),
            last_job_id: self.last_id,
            last_failure,
        }
    }
}
