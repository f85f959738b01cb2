//! `PUT /v2/queues/{name}`: set a queue.

use axum::extract::State;
use shared::http::{Created, Document, Json, Path, Preconditions, Problem, Stored, Tagged, race};
use shared::identity::{Caller, permission};
use shared::telemetry::chain;
use shared::time::to_millisecond;

use super::view::QueueView;
use crate::app::App;
use crate::message::Message;
use crate::name::QueueName;
use crate::queue::{Queue, Settings};
use crate::store::StoreError;

/// Set a queue.
///
/// What is left out has its default. Functions notice a change within 5 seconds. A queue that goes on, or may do more at
/// once, of all its jobs or of those of a key, takes up at once as many of the jobs that waited for that as it has room for.
///
/// A queue that is not there is made: with an `If-Match` it is not, as none has that version. With `If-None-Match: *` a
/// queue is made and none is changed.
#[utoipa::path(
    put, path = "/v2/queues/{name}", operation_id = "put_queue", tag = "queues",
    params(("name" = String, Path, example = "default"), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header)),
    request_body(content = Settings, example = json!({"paused": false, "concurrency": 5, "rate_limit": {"jobs": 100, "per_seconds": 60}, "max_attempts": 10})),
    responses(
        (status = 200, description = "The queue as it is now", body = QueueView, headers(("ETag" = String))),
        (status = 201, description = "The queue, which is new", body = QueueView, headers(("Location" = String), ("ETag" = String))),
        (status = 412, description = "precondition-failed: there is no queue, or it is there, or it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn put(
    State(app): State<App>,
    caller: Caller<permission::ManageJobs>,
    Path(name): Path<QueueName>,
    conditions: Preconditions,
    Json(settings): Json<Settings>,
) -> Result<Stored<QueueView>, Problem> {
    let mut faults = settings.faults();
    if let Some(url) = &settings.deliver_to {
        faults.extend(app.check_url(url).err().map(|refusal| refusal.at("/deliver_to")));
    }
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let (engine, caller, name, settings, conditions) = (&app.engine, &caller, &name, &settings, &conditions);
    let (queue, is_new) = race(&engine.random, || async move {
        let now = to_millisecond(engine.clock.now());
        let found = engine.jobs.queue(&caller.tenant, name).await?;
        let before = found.as_ref().map_or(0, |queue| queue.revision);
        match &found {
            Some(queue) => conditions.check(&queue.etag())?,
            None => conditions.check_absent()?,
        }
        let present = found.unwrap_or_else(|| Queue::new(name.clone(), now));
        let queue = Queue { settings: settings.clone(), updated_at: now, revision: before + 1, ..present };
        match engine.jobs.put_queue(&caller.tenant, &queue, before).await {
            Ok(()) => Ok(Some((queue, before == 0))),
            Err(StoreError::Stale) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    engine.queues.forget(&caller.tenant, name).await;
    if !queue.settings.paused {
        let release = Message::Release { tenant_id: caller.tenant, queue: name.clone(), after: None };
        if let Err(error) = engine.send_release(&release, caller.tenant).await {
            tracing::warn!(error = chain(&error), "parked jobs were left to the sweeper");
        }
    }
    let (etag, body) = (queue.etag(), QueueView::of(&queue));
    if !is_new {
        return Ok(Stored::Set(Tagged::new(etag, body)));
    }
    Ok(Stored::Made(Created { location: format!("/v2/queues/{name}"), etag, body }))
}
