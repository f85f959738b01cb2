//! `/v1/auth/passkeys`: the passkeys of a user.

use axum::extract::State;
use http::Uri;
use serde::{Deserialize, Serialize};
use shared::http::{Document, ETag, MergePatch, NoContent, Page, Path, Preconditions, Problem, ProblemType, Tagged};
use shared::identity::{Caller, permission};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::credential_owner::CredentialOwner;
use super::factors::FactorEvent;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::factor::passkey::{PasskeyId, PasskeyRecord};
use crate::mail::templates::{Factor, FactorChange};
use crate::store::WriteError;
use crate::user::{Name, SecondFactors, User, UserId};

/// A passkey, as its user sees it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "passkey_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Phone", "backed_up": true, "blocked": false,
    "created_at": "2026-05-04T09:30:00.000Z", "last_used_at": "2026-05-04T10:30:00.000Z",
}))]
pub struct PasskeyView {
    /// The id.
    pub id: String,
    /// What the user calls it.
    pub name: Option<String>,
    /// Whether its authenticator keeps a backup of it, as those do that synchronise.
    pub backed_up: bool,
    /// Whether it is refused, as there may be a copy of it: its counter went back. Remove it, and register another.
    pub blocked: bool,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When somebody last signed in with it.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis_or_null")]
    pub last_used_at: Option<Timestamp>,
}

impl PasskeyView {
    /// What is shown of `passkey`.
    pub fn of(passkey: &PasskeyRecord) -> Self {
        Self {
            id: passkey.id.to_string(),
            name: passkey.name.as_ref().map(ToString::to_string),
            backed_up: passkey.is_backed_up(),
            blocked: passkey.cloned_at.is_some(),
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        }
    }

    /// The version: of what is shown.
    pub fn etag(&self) -> Result<ETag, Problem> {
        serde_json::to_vec(self).map(|bytes| ETag::of_bytes(&bytes)).map_err(Problem::internal)
    }
}

/// What a user changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditablePasskey {
    /// What the user calls it.
    #[schema(example = "Phone")]
    name: Option<Name>,
}

/// The passkeys of the user, the oldest first. There are 10 at most, so that the list has one page.
#[utoipa::path(
    get, path = "/v1/auth/passkeys", operation_id = "list_passkeys", tag = "auth",
    responses(
        (status = 200, description = "The passkeys", body = Page<PasskeyView>, example = json!({
            "data": [{
                "id": "passkey_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Phone", "backed_up": true, "blocked": false,
                "created_at": "2026-05-04T09:30:00.000Z", "last_used_at": "2026-05-04T10:30:00.000Z",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadAccount>,
    uri: Uri,
) -> Result<Page<PasskeyView>, Problem> {
    let passkeys = app.accounts.passkeys(&person(&caller)?).await?;
    Ok(Page::new(&uri, passkeys.iter().map(PasskeyView::of).collect(), None))
}

/// See a passkey.
#[utoipa::path(
    get, path = "/v1/auth/passkeys/{id}", operation_id = "get_passkey", tag = "auth",
    params(("id" = String, Path, example = "passkey_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The passkey", body = PasskeyView, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadAccount>,
    conditions: Preconditions,
    Path(id): Path<PasskeyId>,
) -> Result<Tagged<PasskeyView>, Problem> {
    let view = PasskeyView::of(&app.own_passkey(&person(&caller)?, &id).await?);
    Ok(Tagged::unless_known(&conditions, view.etag()?, view))
}

/// Rename a passkey.
///
/// A JSON Merge Patch of the name; `null` removes it.
#[utoipa::path(
    patch, path = "/v1/auth/passkeys/{id}", operation_id = "update_passkey", tag = "auth",
    params(("id" = String, Path, example = "passkey_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = EditablePasskey, content_type = "application/merge-patch+json", example = json!({"name": "Phone"})),
    responses(
        (status = 200, description = "The passkey after the edit", body = PasskeyView, headers(("ETag" = String))),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    conditions: Preconditions,
    Path(id): Path<PasskeyId>,
    patch: MergePatch,
) -> Result<Tagged<PasskeyView>, Problem> {
    let passkey = app.own_passkey(&person(&caller)?, &id).await?;
    conditions.check(&PasskeyView::of(&passkey).etag()?)?;
    let edited: EditablePasskey = patch.apply(&EditablePasskey { name: passkey.name.clone() })?;
    if edited.name != passkey.name {
        let renamed = app.accounts.rename_passkey(&passkey, edited.name.as_ref()).await;
        renamed.map_err(|error| match error {
            WriteError::Stale => Problem::new(ProblemType::PreconditionFailed, "it was changed meanwhile"),
            error => error.into(),
        })?;
    }
    let view = PasskeyView::of(&PasskeyRecord { name: edited.name, ..passkey });
    Ok(Tagged::new(view.etag()?, view))
}

/// Remove a passkey.
///
/// Refused while it is the only way to sign in: no password is set, and no other passkey or account of a provider is there.
/// The recovery codes go with the last second factor. It needs a sign-in within the last 15 minutes, with a second factor.
#[utoipa::path(
    delete, path = "/v1/auth/passkeys/{id}", operation_id = "delete_passkey", tag = "auth",
    params(("id" = String, Path, example = "passkey_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is not accepted any more"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it is the only way to sign in", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    origin: Origin,
    conditions: Preconditions,
    Path(id): Path<PasskeyId>,
) -> Result<NoContent, Problem> {
    let passkeys = app.accounts.passkeys(&user.id).await?;
    let (removed, kept): (Vec<_>, Vec<_>) = passkeys.into_iter().partition(|passkey| passkey.id == id);
    let passkey = removed.into_iter().next().ok_or_else(Problem::not_found)?;
    conditions.check(&PasskeyView::of(&passkey).etag()?)?;
    let usable = kept.iter().any(|passkey| passkey.cloned_at.is_none());
    if !usable && user.password.is_none() && !app.accounts.has_identity(&user.id).await? {
        let detail = "it is the only way to sign in: set a password or register another passkey first";
        return Err(Problem::new(ProblemType::Conflict, detail));
    }
    let left = u8::try_from(kept.len()).map_err(Problem::internal)?;
    let user = User { second_factors: SecondFactors { passkeys: left, ..user.second_factors }, ..user };
    let mut writes = app.accounts.passkey_removed(&passkey);
    if !user.second_factors.any() {
        writes.push(app.accounts.recovery_codes_removed(&user.id));
    }
    let event = FactorEvent {
        action: Action::FactorRemoved,
        target: passkey.id.to_string(),
        change: FactorChange::Removed,
        factor: Factor::Passkey,
        label: passkey.name.map(String::from),
        proved: Vec::new(),
    };
    app.change_factors(&caller, &origin, user, event, writes).await?;
    Ok(NoContent)
}

impl App {
    async fn own_passkey(&self, user: &UserId, id: &PasskeyId) -> Result<PasskeyRecord, Problem> {
        let passkeys = self.accounts.passkeys(user).await?;
        passkeys.into_iter().find(|passkey| passkey.id == *id).ok_or_else(Problem::not_found)
    }
}
