//! `DELETE /v1/roles/{name}`: delete a role that nobody has.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Preconditions, Problem, ProblemType};
use shared::identity::{Principal, Sensitive, permission};

use crate::app::Core;
use crate::audit::{Action, Origin};
use crate::membership::RoleName;
use crate::store::Counted;
use crate::users::race::{Failure, race};
use crate::view::RoleView;

/// Delete a role.
///
/// Refused while a member has it, a suspended one included: so that nobody has it again when another one is made under the
/// name. `GET /v1/users?role=…` finds them. It needs a sign-in within the last 15 minutes.
#[utoipa::path(
    delete, path = "/v1/roles/{name}", operation_id = "delete_role", tag = "roles",
    params(("name" = String, Path, example = "support"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 404, description = "not-found: the tenant has no such role", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: a member has it, or it is built in", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(core): State<Core>,
    caller: Sensitive<permission::ManageRoles>,
    origin: Origin,
    Path(name): Path<RoleName>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    race(&core.random, || core.delete_role(&caller, &origin, &name, &conditions)).await
}

impl Core {
    async fn delete_role(
        &self,
        caller: &Principal,
        origin: &Origin,
        name: &RoleName,
        conditions: &Preconditions,
    ) -> Result<NoContent, Failure> {
        let role = self.own_role(&caller.tenant, name).await?;
        conditions.check(&RoleView::etag(&role))?;
        // Whoever is given the role after the reading raises its revision, and the deletion is not done.
        if self.accounts.is_held(&role).await? {
            return Err(Problem::new(ProblemType::Conflict, "members have the role: take it from them first").into());
        }
        let record = origin.by(caller, Action::RoleDeleted, self.clock.now(), &self.random).on(name);
        let writes = vec![
            self.accounts.role_deletion(&role),
            self.accounts.counted_less(&caller.tenant, Counted::Roles),
            self.accounts.audit_write(&record)?,
        ];
        self.accounts.transact(writes).await?;
        Ok(NoContent)
    }
}
