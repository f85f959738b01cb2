//! `POST /v1/api-keys`: make a key.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use shared::http::idempotency::{Attempt, Submitted};
use shared::http::{Document, Problem};
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::{Principal, Sensitive, permission};

use super::on_identity;
use super::rules::NewApiKey;
use super::view::ShownOnce;
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::store::api_keys::ListedKey;
use crate::store::{Write, WriteError};
use crate::users::race::{Failure, race_of_key};

/// Make an API key.
///
/// The answer shows the key, this once. Sent again with its `Idempotency-Key`, the request is answered with the same key's
/// record and `api_key: null`, as the key is not stored: who lost it rotates or revokes it. A key belongs to the tenant: it
/// goes on when the member who made it is suspended, removed or gets other roles. A tenant has at most 500 keys that are not
/// revoked; one that has expired counts. A key that makes another one gives it no more than it has: an end that is no later,
/// networks that are within its own, and nothing at all when it has credits. It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    post, path = "/v1/api-keys", operation_id = "create_api_key", tag = "api-keys",
    request_body(content = NewApiKey, example = json!({
        "name": "Website", "scopes": ["links:read", "links:write"], "mode": "live", "allowed_networks": ["203.0.113.0/24"],
        "credits": {"amount": 1000, "refill": {"amount": 1000, "every_seconds": 86400}},
        "api_version": "v2",
    })),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again (without the secret) and done once. Kept 24 hours.")),
    responses(
        (status = 201, description = "The key was made", body = ShownOnce, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden: it would have more scopes than the caller, or pass the limits of the key that makes it", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: there are 500 keys", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(core): State<Core>,
    caller: Sensitive<permission::WriteApiKeys>,
    origin: Origin,
    new: Submitted<NewApiKey>,
) -> Result<Response, Problem> {
    let body = &new.body;
    race_of_key(&core, &caller.tenant, "POST /v1/api-keys", &new, async |attempt| {
        core.create_key(&caller, &origin, body, &attempt).await
    })
    .await
}

impl Core {
    async fn create_key(
        &self,
        caller: &Principal,
        origin: &Origin,
        new: &NewApiKey,
        attempt: &Attempt,
    ) -> Result<Response, Failure> {
        let now = self.clock.now();
        let draft = new.check(caller, &self.limits_of(caller).await?, now)?;
        let key = ApiKey::generate(draft.mode, now, &self.random);
        let record = draft.record(&key, caller, now);
        let listed = ListedKey { revision: 1, ..ListedKey::of(&record) };
        let created = self.key_created(&key, &listed, &record)?;
        let mode = match listed.mode {
            KeyMode::Live => "live",
            KeyMode::Test => "test",
        };
        let detail = format!("{mode} {}", created.body.key.scopes.join(" "));
        let audit = origin.by(caller, Action::ApiKeyCreated, now, &self.random).on(key.id()).with(detail);

        let mut writes = Vec::new();
        let answer = attempt.record_without_secret(&created, &created.body.again())?;
        writes.extend(answer.map(|write| Write::or(write, WriteError::KeyUsed)));
        writes.push(on_identity(self.accounts.identity().api_key_write(&record).map_err(Problem::from)?));
        writes.extend(self.accounts.key_listing(&[&listed], 0)?);
        writes.push(self.accounts.audit_write(&audit)?);
        self.write_new_key(writes).await?;
        Ok(created.into_response())
    }
}
