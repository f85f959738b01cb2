//! `GET /v2/jobs/signing-key` and `POST /v2/jobs/signing-key/rotate`: the public key for the requests to one's own URLs.

use axum::extract::State;
use serde::Serialize;
use shared::http::idempotency::{Answered, Submitted};
use shared::http::{Document, Json, Problem};
use shared::identity::{Caller, Sensitive, permission};
use shared::signing::PublicKey;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::signing_secret::{Rotate, rotated};
use crate::app::App;
use crate::store::signing::{Retiring, Scheme, SigningKeys};

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
    /// The key before, as long as it signs as well. Of several, the one that was replaced last.
    #[schema(value_type = Option<String>)]
    previous_public_key: Option<PublicKey>,
    /// Until when that is.
    #[serde(serialize_with = "shared::time::millis_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_until: Option<Timestamp>,
    /// All that sign as well, the one that was replaced last first: at most 3.
    retiring: Vec<RetiringKeyView>,
}

/// A key that was replaced and signs as well.
#[derive(Serialize, ToSchema)]
#[schema(as = RetiringJobSigningKey)]
pub struct RetiringKeyView {
    /// The key.
    #[schema(value_type = String, example = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")]
    public_key: Option<PublicKey>,
    /// Until when.
    #[serde(serialize_with = "shared::time::millis")]
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

impl KeyView {
    fn of(keys: &SigningKeys, now: Timestamp) -> Self {
        let view = |retiring: &Retiring| RetiringKeyView { public_key: retiring.key.public(), until: retiring.until };
        let previous = keys.retiring(now).next();
        Self {
            public_key: keys.current.public(),
            created_at: keys.created_at,
            previous_public_key: previous.and_then(|previous| previous.key.public()),
            previous_until: previous.map(|previous| previous.until),
            retiring: keys.retiring(now).map(view).collect(),
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
            "previous_public_key": null, "previous_until": null, "retiring": [],
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
/// 30 seconds more. The secret stays as it is. A key that was replaced before signs for as long as it was promised, whatever is
/// asked for now: up to 3 do; while there are 3, the present one can only be replaced with an overlap of 0.
#[utoipa::path(
    post, path = "/v2/jobs/signing-key/rotate", operation_id = "rotate_job_signing_key", tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is done once, and answered with the key as it is then. Kept 24 hours.")),
    request_body(content = Rotate, example = json!({"overlap_seconds": 86400})),
    responses(
        (status = 200, description = "The new key", body = KeyView, example = json!({
            "public_key": "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "created_at": "2026-05-04T09:30:00.000Z",
            "previous_public_key": "whpk_9eG0T1vTDkGTqRrgl5PGVFbAQTS4YVGLXPLDuMmoYuM=", "previous_until": "2026-05-05T09:30:00.000Z",
            "retiring": [{"public_key": "whpk_9eG0T1vTDkGTqRrgl5PGVFbAQTS4YVGLXPLDuMmoYuM=", "until": "2026-05-05T09:30:00.000Z"}],
        })),
        (status = 409, description = "conflict: 3 earlier keys sign still; or idempotency-in-progress", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(app): State<App>,
    caller: Sensitive<permission::ManageJobs>,
    wanted: Submitted<Rotate>,
) -> Result<Answered<KeyView>, Problem> {
    rotated(&app, &caller.tenant, Scheme::KeyPair, &wanted, KeyView::of).await
}
