//! `/v1/oauth-clients`: the programs that get tokens of their own at `/oauth/token`; one file for each endpoint.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod rotate_secret;
pub mod update;
pub(crate) mod view;

use shared::http::Problem;
use shared::id::TenantId;
use shared::identity::Scopes;
use shared::identity::permission::{ALL, may_be_delegated};
use shared::refusal::Refusal;

use super::authority::known;
use crate::app::Core;
use crate::oauth::client::{Client, ClientId, GrantType};

/// What a client may be registered with: known scopes and, for one that only acts for users, none that no user can give it.
fn scopes_of(asked: &Scopes, grant_types: &[GrantType]) -> Result<Scopes, Refusal> {
    let is_machine = grant_types.contains(&GrantType::ClientCredentials);
    // A machine without any could do nothing, and an application can sign users in.
    let scopes = known(asked, usize::from(is_machine))?;
    let can_be_given = |scope: &str| {
        let scope = Scopes::parse(scope);
        ALL.iter().any(|permission| may_be_delegated(permission) && scope.grant(permission))
    };
    if let Some(scope) = scopes.iter().find(|scope| !is_machine && !can_be_given(scope)) {
        let detail = format!("has `{scope}`, which no user gives an application: only client_credentials has it");
        return Err(Refusal::new("not_delegated", detail));
    }
    Ok(scopes)
}

impl Core {
    /// The tenant's client.
    async fn client(&self, tenant: &TenantId, id: &ClientId) -> Result<Client, Problem> {
        self.accounts.client_of(tenant, id).await?.ok_or_else(Problem::not_found)
    }
}
