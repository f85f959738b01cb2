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

use crate::app::Core;
use crate::oauth::client::{Client, ClientId, GrantType};

/// How many scopes a client has at least: a machine without any could do nothing, and an application can sign users in.
fn least_scopes(grant_types: &[GrantType]) -> usize {
    usize::from(grant_types.contains(&GrantType::ClientCredentials))
}

impl Core {
    /// The tenant's client.
    async fn client(&self, tenant: &TenantId, id: &ClientId) -> Result<Client, Problem> {
        self.accounts.client_of(tenant, id).await?.ok_or_else(Problem::not_found)
    }
}
