//! `GET /v2/jobs/signing-key` and `POST /v2/jobs/signing-key/rotate`: the public key for the requests to one's own URLs.

use axum::extract::State;
use serde::Serialize;
use shared::http::{Document, Json, Problem};
use shared::identity::{Caller, Sensitive, permission};
use shared::signing::PublicKey;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::signing_secret::{Rotate, rotated};
use crate::app::App;
use crate::store::signing::{Scheme, SigningKeys};

/// The public key of what signs.
#[derive(Serialize, ToSchema)]
#[schema(as = JobSigningKey)]
pub struct KeyView {
    /// The key, as libraries of Standard Webhooks take it: Ed25519.
    #[schema(value_type = String, example = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")]
    public_key: Option<PublicKey>,
    /// When it was made.
    #[serde(serialize_with = "shared::time::millis")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The key before, as long as it signs as well.
    #[schema(value_type = Option<String>)]
    previous_public_key: Option<PublicKey>,
    /// Until when that is.
    #[serde(serialize_with = "shared::time::millis_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_until: Option<Timestamp>,
}

impl KeyView {
    fn of(keys: &SigningKeys, now: Timestamp) -> Self {
        let previous = keys.retiring(now);
        Self {
            public_key: keys.current.public(),
            created_at: keys.created_at,
            previous_public_key: previous.and_then(|previous| previous.key.public()),
            previous_until: previous.map(|previous| previous.until),
        }
    }
}

/// The public key for what is sent to your URLs.
///
/// Each request to a `deliver_to` or `on_done` URL carries, beside the signature with the secret, one by Ed25519: `v1a` of
/// [Standard Webhooks](https://www.standardwebhooks.com). A receiver that has the public key can check it, and cannot sign
/// itself. The key is made when it is first asked for, or used.
#[utoipa::path(
    get, path = "/v2/jobs/signing-key", operation_id = "get_job_signing_key", tag = "jobs",
    responses(
        (status = 200, description = "The public key", body = KeyView, example = json!({
            "public_key": "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "created_at": "2026-05-04T09:30:00.000Z",
            "previous_public_key": null, "previous_until": null,
        })),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(State(app): State<App>, caller: Caller<permission::ReadJobs>) -> Result<Json<KeyView>, Problem> {
    let engine = &app.engine;
    let keys = engine.jobs.signing_keys(&caller.tenant, Scheme::KeyPair, &engine.clock, &engine.random).await?;
    Ok(Json(KeyView::of(&keys, engine.clock.now())))
}

/// Change the key.
///
/// For the overlap both sign, so that receivers can be changed one after the other. A worker may sign with the old one for
/// 30 seconds more. The secret stays as it is.
#[utoipa::path(
    post, path = "/v2/jobs/signing-key/rotate", operation_id = "rotate_job_signing_key", tag = "jobs",
    request_body(content = Rotate, example = json!({"overlap_seconds": 86400})),
    responses(
        (status = 200, description = "The new key", body = KeyView, example = json!({
            "public_key": "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "created_at": "2026-05-04T09:30:00.000Z",
            "previous_public_key": null, "previous_until": null,
        })),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(app): State<App>,
    caller: Sensitive<permission::ManageJobs>,
    Json(wanted): Json<Rotate>,
) -> Result<Json<KeyView>, Problem> {
    let (keys, now) = rotated(&app, &caller.tenant, Scheme::KeyPair, &wanted).await?;
    Ok(Json(KeyView::of(&keys, now)))
}
