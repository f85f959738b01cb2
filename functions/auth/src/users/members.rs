//! `/v1/users`: the members of the caller's tenant.

pub mod end_sessions;
pub mod get;
pub mod list;
pub mod remove;
pub mod update;

use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::identity::Revoked;
use shared::time::Timestamp;

use super::race::Failure;
use crate::app::Core;
use crate::membership::Membership;
use crate::store::{Write, WriteError};
use crate::user::UserId;

impl Core {
    /// A member of the tenant, or 404.
    pub(crate) async fn member(&self, tenant: &TenantId, user: &UserId) -> Result<Membership, Problem> {
        self.accounts.membership(tenant, user).await?.ok_or_else(Problem::not_found)
    }

    /// The writes that end the access tokens which name the member's tenant.
    pub(super) fn member_revoked(&self, member: &Membership, now: Timestamp) -> Vec<Write> {
        let revoked = Revoked::Member { tenant: member.tenant_id, user: member.user_id.to_string() };
        self.accounts.identity().revocation_writes(&[revoked], now).into_iter().map(Write::sure).collect()
    }

    /// Does what changes or removes `before`.
    async fn write_member(&self, before: &Membership, writes: Vec<Write>) -> Result<(), Failure> {
        match self.accounts.transact(writes).await {
            Err(WriteError::LastOwner) => {
                // Another request may have changed this very member, and then there is nothing to refuse.
                let current = self.accounts.membership(&before.tenant_id, &before.user_id).await?;
                if current.is_some_and(|current| current.revision == before.revision) {
                    let detail = "make another member an owner first";
                    return Err(Problem::new(ProblemType::LastOwner, detail).into());
                }
                Err(Failure::Overtaken)
            }
            done => Ok(done?),
        }
    }
}
