//! `POST /v2/jobs`: have something done.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;
use http::header::LOCATION;
use shared::http::idempotency::{Attempt, Submitted};
use shared::http::{Created, Document, Problem, Tagged, race_of_key};
use shared::identity::{Caller, permission};

use super::made;
use crate::app::App;
use crate::job::Job;
use crate::rules::NewJob;
use crate::store::{Along, InsertError, StoreError};
use crate::view::{JobView, etag, location};

/// The largest body in bytes: the largest payload, and what is around it.
pub(super) const BODY_LIMIT: usize = crate::payload::LARGEST + 256 * 1024;

const ROUTE: &str = "POST /v2/jobs";

/// Have something done, now or later.
///
/// A job whose `unique` key is taken is not made: the answer is 200 with the job that has the key.
///
/// The types that are built in check their payload:
/// - `image.derive` makes smaller pictures: `{"source": {"url"}, "variants": [{"name", "width", "height", "fit":
///   "inside|contain|cover", "format": "jpeg|png|webp", "quality"}]}`, up to 8 variants with sides up to 4096. WebP is
///   written without loss.
/// - `mail.send` sends a mail to up to 10 addresses: `{"to": [], "subject", "text", "html", "reply_to"}`. It needs
///   `mail:send` besides, and keeps within the tenant's quota. A mail may come twice, with one `Message-ID`.
/// - `report.usage` adds up the jobs of up to 92 days that are still kept: `{"from", "to", "group_by":
///   ["day", "type", "queue", "state"], "format": "json|csv"}`.
/// - `tenant.export` writes all that the tenant has into files, without any secret: `{}`. It needs `tenant:export` besides,
///   and so do its files.
/// - `http.request` sends a request: `{"url", "method", "headers", "body"}`.
/// - `noop` and `sleep` (`{"milliseconds", "fail_attempts", "poison"}`) are for trials.
///
/// The results of the first, the third and the fourth name files, which `GET /v2/jobs/{id}/files/{name}` leads to.
#[utoipa::path(
    post, path = "/v2/jobs", operation_id = "create_job", tag = "jobs",
    request_body(content = NewJob, example = json!({"type": "invoice.send", "payload": {"invoice": 4711}, "delay_seconds": 60})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again and done once. Kept 24 hours.")),
    responses(
        (status = 201, description = "The job was made", body = JobView, headers(("Location" = String), ("ETag" = String))),
        (status = 200, description = "There is a job of this `unique` key already: this one", body = JobView, headers(("Location" = String), ("ETag" = String))),
        (status = 409, description = "idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    caller: Caller<permission::WriteJobs>,
    new: Submitted<NewJob, BODY_LIMIT>,
) -> Result<Response, Problem> {
    race_of_key(&app.engine.random, &app.idempotency, (&caller.tenant, ROUTE), &new, async |attempt| {
        let (job, payload) = made::job(&app, &caller, new.body.clone()).await?;
        app.payloads.keep(&job, &payload).await?;
        insert(&app, &job, &attempt).await
    })
    .await
}

/// Writes the job and sends it; none when it is to be tried again.
async fn insert(app: &App, job: &Job, attempt: &Attempt) -> Result<Option<Response>, Problem> {
    let engine = &app.engine;
    let created = Created {
        location: location(&job.id),
        etag: etag(job, job.created_at),
        body: JobView::of(job, job.created_at),
    };
    let along = Along { idempotency: attempt.record(&created)? };
    let inserted = engine.jobs.insert(job, along).await;
    if inserted.as_ref().is_err_and(InsertError::is_refusal) {
        app.payloads.discard(job).await;
    }
    match inserted {
        Ok(()) => {
            engine.dispatch_or_leave(job).await;
            Ok(Some(created.into_response()))
        }
        Err(InsertError::NotUnique(id)) => {
            // Its hold on the key may end at this moment.
            let Some(job) = engine.jobs.get(&job.tenant_id, &id).await? else { return Ok(None) };
            let now = engine.clock.now();
            let mut response = Tagged::new(etag(&job, now), JobView::of(&job, now)).into_response();
            let place = HeaderValue::try_from(location(&job.id)).map_err(Problem::internal)?;
            response.headers_mut().insert(LOCATION, place);
            Ok(Some(response))
        }
        // The next try finds the answer of the request that was faster, or its job, which has the `unique` key; or that a
        // job has ended on which this one depends.
        Err(InsertError::KeyUsed | InsertError::Store(StoreError::Conflict | StoreError::Stale)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
