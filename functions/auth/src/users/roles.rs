//! `/v1/roles`: the built-in roles, and the tenant's own.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::refusal::Fault;
use shared::text::line;

use crate::app::Core;
use crate::membership::{CustomRole, RoleName};

/// The longest description, in characters.
const LONGEST_DESCRIPTION: usize = 200;

impl Core {
    /// A role of the tenant's own that shall be changed: 404 when there is none, 409 when it is built in.
    async fn own_role(&self, tenant: &TenantId, name: &RoleName) -> Result<CustomRole, Problem> {
        if name.built_in().is_some() {
            return Err(Problem::new(ProblemType::Conflict, "a built-in role stays as it is"));
        }
        self.accounts.role(tenant, name).await?.ok_or_else(Problem::not_found)
    }
}

/// A role's description as it is kept.
fn kept_description(description: Option<&str>) -> Result<Option<String>, Fault> {
    let kept = description.map(|text| line(text, LONGEST_DESCRIPTION).map(str::to_owned)).transpose();
    kept.map_err(|refusal| refusal.at("/description"))
}
