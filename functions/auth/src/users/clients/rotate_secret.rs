//! `POST /v1/oauth-clients/{id}/rotate-secret`: a new secret in place of the old one.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use shared::http::idempotency::{Attempt, Submitted};
use shared::http::{Created, Document, Path, Problem, ProblemType};
use shared::identity::{Principal, Sensitive, permission};
use shared::refusal::Refusal;
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::view::{ClientView, ClientWithSecret};
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::oauth::client::{Client, ClientId, Proof, draw_secret};
use crate::store::{Write, WriteError};
use crate::users::authority::{Scoped, check_scopes};
use crate::users::race::{Failure, race_of_key};

/// The longest overlap: a week.
const LONGEST_OVERLAP: u32 = 7 * 24 * 60 * 60;

/// What is sent.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretRotation {
    /// How long the old secret is good beside the new one: 0 to 604800 (a week).
    #[schema(example = 86400)]
    overlap_seconds: u32,
}

/// Rotate the secret of an OAuth client.
///
/// The answer shows the new secret, this once. The old one is good for the overlap; one before that ends now. Tokens that
/// were issued stay good. It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    post, path = "/v1/oauth-clients/{id}/rotate-secret", operation_id = "rotate_oauth_client_secret", tag = "oauth-clients",
    request_body(content = SecretRotation, example = json!({"overlap_seconds": 86400})),
    params(
        ("id" = String, Path, example = "client_01k9z4n2y6e0qv3m8t5w7x9abc"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again (without the secret) and done once. Kept 24 hours."),
    ),
    responses(
        (status = 201, description = "The new secret", body = ClientWithSecret, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden: the client may do more than the caller, or the caller is a key with an end, networks or credits", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: the tenant has no such client", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it has no secret", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate_secret(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageClients>,
    origin: Origin,
    Path(id): Path<ClientId>,
    new: Submitted<SecretRotation>,
) -> Result<Response, Problem> {
    let overlap = new.body.overlap_seconds;
    if overlap > LONGEST_OVERLAP {
        let refusal = Refusal::new("out_of_range", format!("is 0 to {LONGEST_OVERLAP} seconds"));
        return Err(refusal.at("/overlap_seconds").into());
    }
    let route = format!("POST /v1/oauth-clients/{id}/rotate-secret");
    race_of_key(&core, &caller.tenant, &route, &new, async |attempt| {
        core.rotate_client_secret(&caller, &origin, &id, overlap, &attempt).await
    })
    .await
}

impl Core {
    async fn rotate_client_secret(
        &self,
        caller: &Principal,
        origin: &Origin,
        id: &ClientId,
        overlap: u32,
        attempt: &Attempt,
    ) -> Result<Response, Failure> {
        let before = self.client(&caller.tenant, id).await?;
        if !matches!(before.proof, Proof::Secret { .. }) {
            return Err(Problem::new(ProblemType::Conflict, "the client has no secret").into());
        }
        // Whoever knows the secret may do what the client may.
        check_scopes(caller, Scoped::Client, &before.scopes)?;
        self.limits_of(caller).await?.check_absent()?;
        let now = self.clock.now();
        let (secret, stored) = draw_secret(now, &self.random);
        let end = Timestamp::from_second(now.as_second() + i64::from(overlap)).map_err(Problem::internal)?;
        let proof = before.proof.rotated(stored, end);
        let client = Client { proof, updated_at: now, revision: before.revision + 1, ..before };
        let created = Created {
            location: format!("/v1/oauth-clients/{id}"),
            etag: ClientView::etag(&client),
            body: ClientWithSecret { client_secret: Some(secret.expose().to_owned()), client: ClientView::of(&client) },
        };
        let record = origin.by(caller, Action::ClientSecretRotated, now, &self.random).on(id);
        let mut writes = Vec::new();
        let answer = attempt.record_without_secret(&created, &created.body.again())?;
        writes.extend(answer.map(|write| Write::or(write, WriteError::KeyUsed)));
        writes.extend(self.accounts.client_writes(&client)?);
        writes.push(self.accounts.audit_write(&record.with(format!("overlap {overlap} s")))?);
        self.accounts.transact(writes).await?;
        Ok(created.into_response())
    }
}
