//! `GET`, `PATCH`, `DELETE /v1/me`: one's own account.

use std::time::Duration;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::dynamo::DynamoError;
use shared::events::Event;
use shared::events::identity::UserUpdated;
use shared::http::{Document, MergePatch, NoContent, Preconditions, Problem, ProblemType, Tagged};
use shared::identity::{Caller, Principal, permission};
use utoipa::ToSchema;

use super::credential_owner::CredentialOwner;
use super::factors::raced;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::erasure::delete_account;
use crate::mail::task::Occasion;
use crate::mail::templates::Message;
use crate::membership::Membership;
use crate::store::{MemberChange, WriteError};
use crate::user::{Name, User, UserId};
use crate::view::UserView;

/// How often an edit that meets others of the same account is tried.
const RACES: u32 = 6;
/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// What a user changes without further proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountEdit)]
pub struct Editable {
    /// What the user is called.
    #[schema(example = "Ann")]
    name: Option<Name>,
}

/// See one's own account.
#[utoipa::path(
    get, path = "/v1/me", operation_id = "get_me", tag = "account",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The account", body = UserView, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadAccount>,
    conditions: Preconditions,
) -> Result<Tagged<UserView>, Problem> {
    let user = app.me(&person(&caller)?).await?;
    Ok(Tagged::unless_known(&conditions, UserView::etag(&user), UserView::of(&user)))
}

/// Edit one's own account.
///
/// A JSON Merge Patch of the name. The address is changed at `/v1/auth/email/change`, which proves the new one first.
#[utoipa::path(
    patch, path = "/v1/me", operation_id = "update_me", tag = "account",
    params(("If-Match" = Option<String>, Header)),
    request_body(content = Editable, content_type = "application/merge-patch+json", example = json!({"name": "Ann Example"})),
    responses(
        (status = 200, description = "The account after the edit", body = UserView, headers(("ETag" = String))),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<UserView>, Problem> {
    let id = person(&caller)?;
    for attempt in 1..=RACES {
        let user = app.me(&id).await?;
        conditions.check(&UserView::etag(&user))?;
        let edited: Editable = patch.apply(&Editable { name: user.name.clone() })?;
        if edited.name == user.name {
            return Ok(Tagged::new(UserView::etag(&user), UserView::of(&user)));
        }
        let user = User { name: edited.name, ..user }.changed(app.clock.now());
        match app.renamed(&user, &caller).await {
            Ok(()) => return Ok(Tagged::new(UserView::etag(&user), UserView::of(&user))),
            // Another request was between: with an `If-Match` it is refused by what that left.
            Err(WriteError::Stale | WriteError::Conflict) => {
                tokio::time::sleep(app.random.pause(FIRST_PAUSE, attempt)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(raced())
}

/// Delete one's own account.
///
/// It is gone from all its tenants at once, with its sessions; what is left of it is erased within the hour. A mail tells its
/// address. The API keys and OAuth clients of a tenant in which nobody is left are refused within 30 seconds. Refused while it
/// is the only owner of a tenant with other members. It needs a sign-in within the last 15 minutes, with a second factor when one
/// is set up.
#[utoipa::path(
    delete, path = "/v1/me", operation_id = "delete_me", tag = "account",
    params(("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "The account is gone"),
        (status = 409, description = "last-owner; or conflict: another request changed the account meanwhile", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    CredentialOwner { caller, user }: CredentialOwner,
    conditions: Preconditions,
    origin: Origin,
) -> Result<NoContent, Problem> {
    conditions.check(&UserView::etag(&user))?;
    let now = app.clock.now();
    let record = origin.by(&caller, Action::AccountDeleted, now, &app.random).on(user.id);
    let letter = Box::new(Message::AccountDeleted { occurrence: origin.occurrence(now) });
    let notice = Occasion::Notice { user_id: user.id, email: Some(user.email.clone()), letter };
    let (mail, mail_write) = app.mail(notice)?;
    let along = vec![app.accounts.audit_write(&record)?, mail_write];
    match delete_account(&app.accounts, &user, along, now, &app.random).await {
        Ok(()) => {
            app.hurry(&mail).await;
            Ok(NoContent)
        }
        Err(WriteError::LastOwner) => Err(Problem::new(
            ProblemType::LastOwner,
            "you are the only owner of a tenant with other members: make another member an owner first",
        )),
        Err(WriteError::Stale) => Err(raced()),
        Err(error) => Err(error.into()),
    }
}

impl App {
    /// Writes a user with another name, and all memberships with it: lists of members show the name.
    async fn renamed(&self, user: &User, caller: &Principal) -> Result<(), WriteError> {
        let event = Event::new(caller.tenant, user.id, updated(user), user.updated_at, &self.random);
        let outbox = event.outbox().map_err(|error| DynamoError::Refused(error.into()))?;
        let mut along = Vec::new();
        for before in self.accounts.memberships(&user.id).await? {
            let after = Membership {
                name: user.name.clone(),
                updated_at: user.updated_at,
                access_changed_at: Some(before.access_changed_at()),
                revision: before.revision + 1,
                ..before.clone()
            };
            let change = MemberChange { before: &before, after: Some(&after), outbox: None };
            along.extend(self.accounts.member_changed(change)?);
        }
        self.accounts.update_user(user, Some(outbox), along).await
    }

    /// The caller's own record. A token may outlive its account by seconds.
    pub(crate) async fn me(&self, id: &UserId) -> Result<User, Problem> {
        self.accounts.user(id).await?.ok_or_else(Problem::not_found)
    }
}

/// The event of a changed user.
pub fn updated(user: &User) -> UserUpdated {
    UserUpdated {
        user_id: user.id.to_string(),
        email: user.email.to_string(),
        name: user.name.as_ref().map(ToString::to_string),
        verified: user.is_verified(),
    }
}
