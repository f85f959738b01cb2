//! `POST /v1/api-keys/{id}/rotate`: a new key in place of an old one.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use shared::http::idempotency::{Attempt, Submitted};
use shared::http::{Document, Path, Problem, ProblemType};
use shared::identity::api_key::{ApiKey, ApiKeyId};
use shared::identity::store::ApiKeyRecord;
use shared::identity::{Principal, Sensitive, permission};
use shared::refusal::Refusal;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::view::ShownOnce;
use super::{Found, on_identity};
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::store::api_keys::ListedKey;
use crate::store::{Write, WriteError};
use crate::users::authority::{Scoped, check_scopes};
use crate::users::race::{Failure, race_of_key};

/// The longest overlap: a week.
const LONGEST_OVERLAP: u32 = 7 * 24 * 60 * 60;

/// What a client sends.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// How long the old key is good beside the new one: 0 to 604800 (a week).
    #[schema(example = 86400)]
    overlap_seconds: u32,
}

/// Rotate an API key.
///
/// The answer shows the new key, this once; it has the name, scopes, mode, networks, version and end of the old one, and
/// begins with its balance of credits. The old one is good for the overlap, or until its own end if that is sooner; an overlap of 0 ends
/// it within 30 seconds. A key is rotated once, then its successor is. Nobody rotates a key that may do more than they may
/// themselves; a key rotates, of others and itself, one that ends no later and is good from no other networks, and none when it
/// has credits. Sent again with its `Idempotency-Key`, the request is answered with `api_key: null`. It needs a sign-in within
/// the last 15 minutes.
#[utoipa::path(
    post, path = "/v1/api-keys/{id}/rotate", operation_id = "rotate_api_key", tag = "api-keys",
    request_body(content = Rotation, example = json!({"overlap_seconds": 86400})),
    params(
        ("id" = String, Path, example = "key_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again (without the secret) and done once. Kept 24 hours."),
    ),
    responses(
        (status = 201, description = "The new key", body = ShownOnce, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden: the key may do more than the caller, or passes the limits of the key that rotates it", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the tenant has no such key", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it is revoked, expired or rotated, or there are 500 keys", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(core): State<Core>,
    caller: Sensitive<permission::WriteApiKeys>,
    origin: Origin,
    Path(id): Path<ApiKeyId>,
    new: Submitted<Rotation>,
) -> Result<Response, Problem> {
    let overlap = new.body.overlap_seconds;
    if overlap > LONGEST_OVERLAP {
        let refusal = Refusal::new("out_of_range", format!("is 0 to {LONGEST_OVERLAP} seconds"));
        return Err(refusal.at("/overlap_seconds").into());
    }
    let route = format!("POST /v1/api-keys/{id}/rotate");
    race_of_key(&core, &caller.tenant, &route, &new, async |attempt| {
        core.rotate_key(&caller, &origin, &id, overlap, &attempt).await
    })
    .await
}

impl Core {
    async fn rotate_key(
        &self,
        caller: &Principal,
        origin: &Origin,
        id: &ApiKeyId,
        overlap: u32,
        attempt: &Attempt,
    ) -> Result<Response, Failure> {
        let now = self.clock.now();
        let Found { listed: before, record } = self.key(&caller.tenant, id).await?;
        let record = record.ok_or_else(Problem::not_found)?;
        check_rotatable(&before, &record, now)?;
        check_scopes(caller, Scoped::ApiKey, &before.scopes)?;
        self.limits_of(caller).await?.check(record.expires_at, &record.allowed_networks)?;

        let key = ApiKey::generate(record.mode, now, &self.random);
        let new = ApiKeyRecord {
            expires_at: record.expires_at,
            allowed_networks: record.allowed_networks,
            credits: record.credits.map(|credits| credits.at(now)),
            api_version: record.api_version,
            ..ApiKeyRecord::new(&key, caller.tenant, &before.name, record.scopes, &caller.subject)
        };
        let listed = ListedKey { revision: 1, ..ListedKey::of(&new) };
        let end = Timestamp::from_second(now.as_second() + i64::from(overlap)).map_err(Problem::internal)?;
        let end = record.expires_at.map_or(end, |sooner| end.min(sooner));
        let counted = usize::from(before.counts());
        let old =
            ListedKey { expires_at: Some(end), replaced_by: Some(key.id()), revision: before.revision + 1, ..before };
        let created = self.key_created(&key, &listed, &new)?;
        let detail = format!("{} overlap {overlap} s", key.id());
        let audit = origin.by(caller, Action::ApiKeyRotated, now, &self.random).on(id).with(detail);

        let identity = self.accounts.identity();
        let mut writes = Vec::new();
        let answer = attempt.record_without_secret(&created, &created.body.again())?;
        writes.extend(answer.map(|write| Write::or(write, WriteError::KeyUsed)));
        writes.push(on_identity(identity.expire_key_write(id, end)));
        writes.push(on_identity(identity.api_key_write(&new).map_err(Problem::from)?));
        writes.extend(self.accounts.key_listing(&[&old, &listed], counted)?);
        writes.push(self.accounts.audit_write(&audit)?);
        self.write_new_key(writes).await?;
        Ok(created.into_response())
    }
}

/// Refuses a key that is not good any more, or was rotated.
fn check_rotatable(key: &ListedKey, record: &ApiKeyRecord, now: Timestamp) -> Result<(), Problem> {
    if !record.holds_at(now) {
        return Err(Problem::new(ProblemType::Conflict, "the key is revoked or expired: make a new one"));
    }
    match key.replaced_by {
        Some(successor) => {
            Err(Problem::new(ProblemType::Conflict, format!("the key was rotated: rotate its successor {successor}")))
        }
        None => Ok(()),
    }
}
