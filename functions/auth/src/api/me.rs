//! `GET`, `PATCH`, `DELETE /v1/me`: one's own account.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::dynamo::DynamoError;
use shared::events::Event;
use shared::events::identity::UserUpdated;
use shared::http::{Document, MergePatch, NoContent, Preconditions, Problem, ProblemType, Tagged};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use super::credential_owner::CredentialOwner;
use super::factors::raced;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::erasure::delete_account;
use crate::mail::task::Occasion;
use crate::mail::templates::Message;
use crate::membership::Membership;
use crate::store::{MemberChange, Write, WriteError};
use crate::user::{Name, User, UserId};
use crate::users::race::{Failure, race};
use crate::view::UserView;

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
    race(&app.random, || app.edit(&id, &conditions, &patch)).await
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
    async fn edit(
        &self,
        id: &UserId,
        conditions: &Preconditions,
        patch: &MergePatch,
    ) -> Result<Tagged<UserView>, Failure> {
        let user = self.me(id).await?;
        conditions.check(&UserView::etag(&user))?;
        let edited: Editable = patch.apply(&Editable { name: user.name.clone() })?;
        if edited.name == user.name {
            return Ok(Tagged::new(UserView::etag(&user), UserView::of(&user)));
        }
        let user = User { name: edited.name, ..user }.changed(self.clock.now());
        self.renamed(&user).await?;
        Ok(Tagged::new(UserView::etag(&user), UserView::of(&user)))
    }

    /// Writes a user with another name, and all memberships with it: lists of members show the name.
    async fn renamed(&self, user: &User) -> Result<(), WriteError> {
        let memberships = self.accounts.memberships(&user.id).await?;
        let along = self.shown_in(&memberships, user)?;
        self.accounts.update_user(user, None, along).await
    }

    /// The writes that have a user's memberships show the name and address of now, and tell the tenants' services: each by
    /// the write of the membership, so that none is told which the user has left.
    pub(crate) fn shown_in(&self, memberships: &[Membership], user: &User) -> Result<Vec<Write>, WriteError> {
        let mut writes = Vec::new();
        for before in memberships {
            let after = Membership {
                email: user.email.clone(),
                name: user.name.clone(),
                updated_at: user.updated_at,
                access_changed_at: Some(before.access_as_of()),
                revision: before.revision + 1,
                ..before.clone()
            };
            let event = Event::new(before.tenant_id, user.id, updated(user), user.updated_at, &self.random);
            let outbox = Some(event.outbox().map_err(|error| DynamoError::Refused(error.into()))?);
            writes.extend(self.accounts.member_changed(MemberChange { before, after: Some(&after), outbox })?);
        }
        Ok(writes)
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
