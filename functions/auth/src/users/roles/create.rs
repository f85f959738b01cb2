//! `POST /v1/roles`: define a role.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use shared::http::idempotency::{Attempt, Submitted};
use shared::http::{Created, Document, Problem, ProblemType};
use shared::identity::{Principal, Scopes, Sensitive, permission};
use utoipa::ToSchema;

use super::kept_description;
use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::membership::{CustomRole, RoleName};
use crate::store::{Counted, MOST_ROLES, Write, WriteError};
use crate::users::authority::{check_permissions, known};
use crate::users::race::{Failure, race_of_key};
use crate::view::RoleView;

/// What a client sends.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// Its name: not one of the built-in roles' and not taken.
    name: RoleName,
    /// What it is for: 1 to 200 characters, without blanks at its ends.
    #[serde(default)]
    description: Option<String>,
    /// What it grants: 1 to 50 names of permissions, `resource:*`, or `*`.
    #[schema(value_type = Vec<String>)]
    permissions: Scopes,
}

/// Define a role.
///
/// A tenant has at most 50 roles of its own. A role grants nothing that its maker may not do. It needs a sign-in within the
/// last 15 minutes.
#[utoipa::path(
    post, path = "/v1/roles", operation_id = "create_role", tag = "roles",
    request_body(content = NewRole, example = json!({"name": "support", "description": "Answers customers", "permissions": ["links:read", "users:manage"]})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again and done once. Kept 24 hours.")),
    responses(
        (status = 201, description = "The role was made", body = RoleView, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden: it would grant more than the caller may do", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: the name is taken, or there are 50 roles", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageRoles>,
    origin: Origin,
    new: Submitted<NewRole>,
) -> Result<Response, Problem> {
    let body = &new.body;
    race_of_key(&core, &caller.tenant, "POST /v1/roles", &new, async |attempt| {
        core.create_role(&caller, &origin, body, &attempt).await
    })
    .await
}

impl Core {
    async fn create_role(
        &self,
        caller: &Principal,
        origin: &Origin,
        new: &NewRole,
        attempt: &Attempt,
    ) -> Result<Response, Failure> {
        let now = self.clock.now();
        let description = kept_description(new.description.as_deref()).map_err(Problem::from)?;
        let permissions = known(&new.permissions, 1).map_err(|refusal| Problem::from(refusal.at("/permissions")))?;
        check_permissions(caller, &Scopes::default(), &permissions)?;
        if new.name.built_in().is_some() {
            return Err(taken(&new.name).into());
        }
        let role = CustomRole {
            tenant_id: caller.tenant,
            name: new.name.clone(),
            description,
            permissions,
            created_at: now,
            updated_at: now,
            narrowed_at: None,
            revision: 1,
        };
        let created = Created {
            location: format!("/v1/roles/{}", role.name),
            etag: RoleView::etag(&role),
            body: RoleView::of(&role),
        };
        let record = origin.by(caller, Action::RoleCreated, now, &self.random).on(&role.name);
        let record = record.with(created.body.permissions.join(" "));
        let mut writes = Vec::new();
        writes.extend(attempt.record(&created)?.map(|write| Write::or(write, WriteError::KeyUsed)));
        writes.push(self.accounts.role_write(&role)?);
        writes.push(self.accounts.counted_more(&caller.tenant, Counted::Roles, 1));
        writes.push(self.accounts.audit_write(&record)?);
        match self.accounts.transact(writes).await {
            Ok(()) => Ok(created.into_response()),
            Err(WriteError::Taken) => Err(taken(&role.name).into()),
            Err(WriteError::Full) => {
                let detail = format!("the tenant has {MOST_ROLES} roles: delete one that is not needed");
                Err(Problem::new(ProblemType::Conflict, detail).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn taken(name: &RoleName) -> Problem {
    Problem::new(ProblemType::Conflict, format!("there is a role {name} already"))
}
