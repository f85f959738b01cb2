//! `/v1/roles`: the built-in roles, and the tenant's own.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::refusal::{Fault, Refusal};
use shared::text::is_unprintable;

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

fn check_description(description: Option<&String>) -> Result<(), Fault> {
    let Some(description) = description else { return Ok(()) };
    let refusal = if !(1..=LONGEST_DESCRIPTION).contains(&description.chars().count()) {
        Refusal::new("invalid_length", format!("must have 1 to {LONGEST_DESCRIPTION} characters"))
    } else if description.chars().any(is_unprintable) {
        Refusal::new("invalid_character", "must not have control or text direction characters")
    } else {
        return Ok(());
    };
    Err(refusal.at("/description"))
}
