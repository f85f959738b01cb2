//! `/v1/auth/identities`: the accounts of providers by which a user signs in.

use axum::extract::State;
use http::Uri;
use serde::Serialize;
use shared::http::{Created, Document, ETag, Json, NoContent, Page, Path, Preconditions, Problem, ProblemType, Tagged};
use shared::identity::{Caller, Principal, permission};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::credential_owner::CredentialOwner;
use super::exchange::{SocialCode, linked, no_address};
use super::factors::raced;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::mail::task::Occasion;
use crate::mail::templates::{FactorChange, Message};
use crate::social::ceremony::{Intent, Proven};
use crate::social::identity::{IdentityId, LinkedIdentity, MOST_IDENTITIES, ProvenIdentity};
use crate::store::{Write, WriteError};
use crate::user::{User, UserId};

/// An account of a provider, as its user sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct IdentityView {
    /// The id.
    #[schema(example = "identity_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub id: String,
    /// The provider.
    #[schema(example = "google")]
    pub provider: String,
    /// The address that the provider had verified when it was linked.
    #[schema(example = "ann@example.com")]
    pub email: String,
    /// When it was linked.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
}

impl IdentityView {
    /// What is shown of `identity`.
    pub fn of(identity: &LinkedIdentity) -> Self {
        Self {
            id: identity.id.to_string(),
            provider: identity.provider.clone(),
            email: identity.email.to_string(),
            created_at: identity.created_at,
        }
    }

    /// The version: a link never changes.
    pub fn etag(identity: &LinkedIdentity) -> ETag {
        ETag::of_version(identity.id)
    }
}

/// The linked accounts of the user, the oldest first. There are 10 at most, so that the list has one page.
#[utoipa::path(
    get, path = "/v1/auth/identities", operation_id = "list_identities", tag = "account",
    responses(
        (status = 200, description = "The accounts of providers", body = Page<IdentityView>, example = json!({
            "data": [{
                "id": "identity_01k9z4n2y6e0qv3m8t5w7x9abc", "provider": "google", "email": "ann@example.com",
                "created_at": "2026-05-04T09:30:00.000Z",
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
) -> Result<Page<IdentityView>, Problem> {
    let identities = app.accounts.identities(&person(&caller)?).await?;
    Ok(Page::new(&uri, identities.iter().map(IdentityView::of).collect(), None))
}

/// See a linked account.
#[utoipa::path(
    get, path = "/v1/auth/identities/{id}", operation_id = "get_identity", tag = "account",
    params(("id" = String, Path, example = "identity_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The account of the provider", body = IdentityView, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadAccount>,
    conditions: Preconditions,
    Path(id): Path<IdentityId>,
) -> Result<Tagged<IdentityView>, Problem> {
    let identities = app.accounts.identities(&person(&caller)?).await?;
    let identity = identities.iter().find(|identity| identity.id == id).ok_or_else(Problem::not_found)?;
    Ok(Tagged::unless_known(&conditions, IdentityView::etag(identity), IdentityView::of(identity)))
}

/// Link the account of a provider.
///
/// By the code and binding of a social log-in that was begun to link, or that was answered `account-exists`. The address
/// that the provider has verified must be the account's own, so that nobody leaves a way in of their own behind. It signs in
/// from now on. An `Idempotency-Key` is not looked at: the code is good once. It needs a sign-in within the last 15 minutes,
/// with a second factor where one is set up.
#[utoipa::path(
    post, path = "/v1/auth/identities", operation_id = "link_identity", tag = "account",
    request_body(content = SocialCode, example = json!({"code": "tf_ot_Vx2…", "binding": "tf_ot_8aK…"})),
    responses(
        (status = 201, description = "It is linked", body = IdentityView, headers(("Location" = String), ("ETag" = String))),
        (status = 400, description = "invalid-one-time-token", body = Document, content_type = "application/problem+json"),
        (status = 403, description = "email-not-verified: the provider has not verified an address", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it is linked already, its address is another, or the user has 10", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn link(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    origin: Origin,
    Json(given): Json<SocialCode>,
) -> Result<Created<IdentityView>, Problem> {
    let (now, intents) = (app.clock.now(), [Intent::Link, Intent::SignIn]);
    let (ticket, proven) = Proven::find(&app.accounts, &given.code, &given.binding, &intents, now).await?;
    check_address(&user, &proven.identity)?;
    if app.accounts.identities(&user.id).await?.len() >= MOST_IDENTITIES {
        let detail = format!("a user has at most {MOST_IDENTITIES} accounts of providers: unlink one first");
        return Err(Problem::new(ProblemType::Conflict, detail));
    }
    let identity = linked(IdentityId::new(now, &app.random), &user.id, &proven.identity, &user.email, now);
    let mut writes = app.accounts.identity_added(&identity)?;
    writes.push(app.accounts.ticket_used(&ticket));
    app.change_identities(&caller, &origin, user, &identity, Action::IdentityLinked, writes).await?;
    Ok(Created {
        location: format!("/v1/auth/identities/{}", identity.id),
        etag: IdentityView::etag(&identity),
        body: IdentityView::of(&identity),
    })
}

/// Unlink the account of a provider.
///
/// It signs in no more. Refused while it is the only way to sign in: no password is set, and no passkey or other account of
/// a provider is there. It needs a sign-in within the last 15 minutes, with a second factor where one is set up.
#[utoipa::path(
    delete, path = "/v1/auth/identities/{id}", operation_id = "unlink_identity", tag = "account",
    params(("id" = String, Path, example = "identity_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is unlinked"),
        (status = 404, description = "not-found", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: it is the only way to sign in", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it is another one", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn unlink(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    origin: Origin,
    conditions: Preconditions,
    Path(id): Path<IdentityId>,
) -> Result<NoContent, Problem> {
    let identities = app.accounts.identities(&user.id).await?;
    let (removed, kept): (Vec<_>, Vec<_>) = identities.into_iter().partition(|identity| identity.id == id);
    let identity = removed.into_iter().next().ok_or_else(Problem::not_found)?;
    conditions.check(&IdentityView::etag(&identity))?;
    if kept.is_empty() && user.password.is_none() && !app.has_usable_passkey(&user.id).await? {
        let detail = "it is the only way to sign in: set a password, register a passkey or link another provider first";
        return Err(Problem::new(ProblemType::Conflict, detail));
    }
    let writes = app.accounts.identity_removed(&identity);
    app.change_identities(&caller, &origin, user, &identity, Action::IdentityUnlinked, writes).await?;
    Ok(NoContent)
}

/// Refuses an account of a provider whose address is not the user's own.
fn check_address(user: &User, proven: &ProvenIdentity) -> Result<(), Problem> {
    let email = proven.email.as_ref().ok_or_else(no_address)?;
    if *email == user.email {
        return Ok(());
    }
    let detail = "the provider has verified another address than the account's: make the two the same first";
    Err(Problem::new(ProblemType::Conflict, detail))
}

impl App {
    async fn has_usable_passkey(&self, user: &UserId) -> Result<bool, Problem> {
        Ok(self.accounts.passkeys(user).await?.iter().any(|passkey| passkey.cloned_at.is_none()))
    }

    /// Writes what links or unlinks an account, with the user's record; it is recorded, and the user told.
    async fn change_identities(
        &self,
        caller: &Principal,
        origin: &Origin,
        user: User,
        identity: &LinkedIdentity,
        action: Action,
        mut along: Vec<Write>,
    ) -> Result<(), Problem> {
        let now = self.clock.now();
        let record = origin.by(caller, action, now, &self.random).on(identity.id).with(&identity.provider);
        along.push(self.accounts.audit_write(&record)?);
        let change = if action == Action::IdentityLinked { FactorChange::Added } else { FactorChange::Removed };
        let (provider, occurrence) = (identity.provider.clone(), origin.occurrence(now));
        let letter = Box::new(Message::IdentityChanged { change, provider, occurrence });
        let (mail, mail_write) = self.mail(Occasion::Notice { user_id: user.id, email: None, letter })?;
        along.push(mail_write);
        match self.accounts.update_user(&user.changed(now), None, along).await {
            Ok(()) => self.hurry(&mail).await,
            Err(WriteError::Taken) => {
                return Err(Problem::new(ProblemType::Conflict, "the account of the provider is linked already"));
            }
            Err(WriteError::Stale) => return Err(raced()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
