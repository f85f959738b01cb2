//! `GET /v2/jobs/signing-secret` and `POST /v2/jobs/signing-secret/rotate`: what signs the requests to one's own URLs.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, FieldError, Json, Problem, race};
use shared::id::TenantId;
use shared::identity::{Sensitive, permission};
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::app::App;
use crate::store::StoreError;
use crate::store::signing::{Scheme, SigningKeys};

/// The longest time in which two keys of a scheme sign, in seconds: 7 days.
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
    /// Until when the one before signs as well.
    #[serde(serialize_with = "shared::time::millis_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_until: Option<Timestamp>,
}

impl SecretView {
    fn of(keys: &SigningKeys, now: Timestamp) -> Self {
        Self {
            secret: keys.current.expose().to_owned(),
            created_at: keys.created_at,
            previous_until: keys.retiring(now).map(|previous| previous.until),
        }
    }
}

/// How to change what signs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// For how many seconds the present one signs as well: 0 to 604,800; a day without it.
    #[serde(default = "a_day")]
    #[schema(default = 86_400)]
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
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "created_at": "2026-05-04T09:30:00.000Z", "previous_until": null,
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
/// 30 seconds more.
#[utoipa::path(
    post, path = "/v2/jobs/signing-secret/rotate", operation_id = "rotate_job_signing_secret", tag = "jobs",
    request_body(content = Rotate, example = json!({"overlap_seconds": 86400})),
    responses(
        (status = 200, description = "The new secret", body = SecretView, example = json!({
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "created_at": "2026-05-04T09:30:00.000Z", "previous_until": null,
        })),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(app): State<App>,
    caller: Sensitive<permission::ManageJobs>,
    Json(wanted): Json<Rotate>,
) -> Result<Json<SecretView>, Problem> {
    let (keys, now) = rotated(&app, &caller.tenant, Scheme::Secret, &wanted).await?;
    Ok(Json(SecretView::of(&keys, now)))
}

/// The tenant's keys of a scheme with a new one, and the time of the change.
pub(super) async fn rotated(
    app: &App,
    tenant: &TenantId,
    scheme: Scheme,
    wanted: &Rotate,
) -> Result<(SigningKeys, Timestamp), Problem> {
    if wanted.overlap_seconds > LONGEST_OVERLAP {
        let error = FieldError::new("/overlap_seconds", "out_of_range", "may be at most 604800");
        return Err(Problem::validation(vec![error]));
    }
    let engine = &app.engine;
    let overlap = SignedDuration::from_secs(wanted.overlap_seconds.into());
    race(&engine.random, || async move {
        let keys = engine.jobs.signing_keys(tenant, scheme, &engine.clock, &engine.random).await?;
        let now = engine.clock.now();
        let until = now.checked_add(overlap).unwrap_or(Timestamp::MAX);
        let keys = keys.rotated(scheme, &engine.random, now, until);
        match engine.jobs.put_signing_keys(tenant, scheme, &keys).await {
            Ok(()) => Ok(Some((keys, now))),
            Err(StoreError::Stale) => Ok(None),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
