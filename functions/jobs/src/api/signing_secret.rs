//! `GET /v2/jobs/signing-secret` and `POST /v2/jobs/signing-secret/rotate`: what signs the requests to one's own URLs.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::idempotency::{Answered, Planned, Submitted};
use shared::http::{Document, FieldError, Json, Problem, ProblemType, race};
use shared::id::TenantId;
use shared::identity::{Sensitive, permission};
use shared::time::{SignedDuration, Timestamp, rfc3339_millis, to_millisecond};
use utoipa::ToSchema;

use crate::app::App;
use crate::store::signing::{MOST_RETIRING, Retiring, Scheme, SigningKeys};
use crate::store::{Along, InsertError, StoreError};

/// The longest time in which a key signs that was replaced, in seconds: 7 days.
const LONGEST_OVERLAP: u32 = 7 * 24 * 60 * 60;

/// The secret that signs.
#[derive(Serialize, ToSchema)]
#[schema(as = JobSigningSecret)]
pub struct SecretView {
    /// The secret, as libraries of Standard Webhooks take it.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
    /// When it was made.
    #[serde(serialize_with = "shared::time::millis")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until when the one before signs as well. Of several, the one that was replaced last.
    #[serde(serialize_with = "shared::time::millis_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_until: Option<Timestamp>,
    /// All that sign as well, the one that was replaced last first: at most 3.
    retiring: Vec<RetiringSecretView>,
}

/// A secret that was replaced and signs as well.
#[derive(Serialize, ToSchema)]
#[schema(as = RetiringJobSigningSecret)]
pub struct RetiringSecretView {
    /// Until when.
    #[serde(serialize_with = "shared::time::millis")]
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

impl SecretView {
    fn of(keys: &SigningKeys, now: Timestamp) -> Self {
        let retiring: Vec<_> = keys.retiring(now).map(|&Retiring { until, .. }| RetiringSecretView { until }).collect();
        Self {
            secret: keys.current.expose().to_owned(),
            created_at: keys.created_at,
            previous_until: retiring.first().map(|previous| previous.until),
            retiring,
        }
    }
}

/// How to change what signs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// For how many seconds the present one signs as well: 0 to 604,800; a day without it.
    #[serde(default = "a_day")]
    #[schema(default = 86_400, minimum = 0, maximum = 604_800)]
    overlap_seconds: u32,
}

/// A request that says nothing breaks no receiver.
const fn a_day() -> u32 {
    86_400
}

/// The secret that signs what is sent to your URLs.
///
/// Each request to a `deliver_to` or `on_done` URL carries signatures by [Standard
/// Webhooks](https://www.standardwebhooks.com): `v1` with this secret, and `v1a` with the key whose public half `GET
/// /v2/jobs/signing-key` tells. The secret is made when it is first asked for, or used.
#[utoipa::path(
    get, path = "/v2/jobs/signing-secret", operation_id = "get_job_signing_secret", tag = "jobs",
    responses(
        (status = 200, description = "The secret", body = SecretView, example = json!({
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "created_at": "2026-05-04T09:30:00.000Z", "previous_until": null, "retiring": [],
        })),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Sensitive<permission::ManageJobs>,
) -> Result<Json<SecretView>, Problem> {
    let engine = &app.engine;
    let keys = engine.jobs.signing_keys(&caller.tenant, Scheme::Secret, &engine.clock, &engine.random).await?;
    Ok(Json(SecretView::of(&keys, engine.clock.now())))
}

/// Change the secret.
///
/// For the overlap both sign, so that receivers can be changed one after the other. A worker may sign with the old one for
/// 30 seconds more. A secret that was replaced before signs for as long as it was promised, whatever is asked for now: up to
/// 3 do; while there are 3, the present one can only be replaced with an overlap of 0.
#[utoipa::path(
    post, path = "/v2/jobs/signing-secret/rotate", operation_id = "rotate_job_signing_secret", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is done once, and answered with the secret as it is then. Kept 24 hours, without the secret.")),
    request_body(content = Rotate, example = json!({"overlap_seconds": 86400})),
    responses(
        (status = 200, description = "The new secret", body = SecretView, example = json!({
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "created_at": "2026-05-04T09:30:00.000Z",
            "previous_until": "2026-05-05T09:30:00.000Z", "retiring": [{"until": "2026-05-05T09:30:00.000Z"}],
        })),
        (status = 409, description = "conflict: 3 earlier secrets sign still; or idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(app): State<App>,
    caller: Sensitive<permission::ManageJobs>,
    wanted: Submitted<Rotate>,
) -> Result<Answered<SecretView>, Problem> {
    rotated(&app, &caller.tenant, Scheme::Secret, &wanted, SecretView::of).await
}

/// Gives the tenant a new key of a scheme, and answers with a view of its keys. The record of a request with an
/// `Idempotency-Key` says that it was done and no more: what it answered is a secret, and may be out of date.
pub(super) async fn rotated<V>(
    app: &App,
    tenant: &TenantId,
    scheme: Scheme,
    wanted: &Submitted<Rotate>,
    view: impl Fn(&SigningKeys, Timestamp) -> V,
) -> Result<Answered<V>, Problem> {
    let overlap_seconds = wanted.body.overlap_seconds;
    if overlap_seconds > LONGEST_OVERLAP {
        let error = FieldError::new("/overlap_seconds", "out_of_range", "may be at most 604800");
        return Err(Problem::validation(vec![error]));
    }
    let (engine, view) = (&app.engine, &view);
    let overlap = SignedDuration::from_secs(overlap_seconds.into());
    race(&engine.random, || async move {
        let planned = app.idempotency.begin_plan(tenant, scheme.rotation(), wanted).await?;
        let keys = engine.jobs.signing_keys(tenant, scheme, &engine.clock, &engine.random).await?;
        let now = to_millisecond(engine.clock.now());
        let attempt = match planned {
            Planned::First(attempt) => attempt,
            Planned::Again(()) => return Ok(Some(Answered { body: view(&keys, now), is_replay: true })),
        };
        let until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
        let keys = keys.rotated(scheme, &engine.random, now, until).map_err(|end| full(end, now))?;
        let along = Along { idempotency: attempt.record_plan(&())? };
        match engine.jobs.put_signing_keys(tenant, scheme, &keys, along).await {
            Ok(()) => Ok(Some(Answered { body: view(&keys, now), is_replay: false })),
            // Another rotation was between; or the next try finds that a request with the same key was.
            Err(InsertError::KeyUsed | InsertError::Store(StoreError::Stale | StoreError::Conflict)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// No more may sign until the first of them ends.
fn full(end: Timestamp, now: Timestamp) -> Problem {
    let wait = u64::try_from(end.duration_since(now).as_millis()).unwrap_or_default().div_ceil(1000);
    let detail = format!("{MOST_RETIRING} that were replaced sign still, the first until {}", rfc3339_millis(end));
    Problem::new(ProblemType::Conflict, detail).retry_after(wait)
}
