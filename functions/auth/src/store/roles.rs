//! A tenant's own roles.

use shared::dynamo::{Delete, Put, Query, TransactWrite, n, s};
use shared::id::TenantId;

use super::{AccountStore, Write, WriteError, item, key, read};
use crate::membership::{CustomRole, RoleName};

/// The most roles that a tenant makes.
pub const MOST_ROLES: usize = 50;

pub(super) fn sort_key(name: &RoleName) -> String {
    format!("role#{name}")
}

impl AccountStore {
    /// A role.
    pub async fn role(&self, tenant: &TenantId, name: &RoleName) -> Result<Option<CustomRole>, WriteError> {
        self.one(tenant.to_string(), sort_key(name)).await
    }

    /// All roles of a tenant, by name.
    pub async fn roles(&self, tenant: &TenantId) -> Result<Vec<CustomRole>, WriteError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(tenant.to_string()))
            .value(":prefix", s("role#"))
            .consistent();
        self.dynamo.query(query).await?.items.into_iter().map(read).collect()
    }

    /// The write of a new role ([`WriteError::Taken`] when the name is), or of one over the revision before.
    pub fn role_write(&self, role: &CustomRole) -> Result<Write, WriteError> {
        let put = Put::new(&self.table, item(role.tenant_id.to_string(), sort_key(&role.name), role)?);
        Ok(match role.revision.checked_sub(1) {
            None | Some(0) => Write::or(TransactWrite::Put(put.only_if("attribute_not_exists(pk)")), WriteError::Taken),
            Some(before) => {
                let put = put.only_if("revision = :before").value(":before", n(before));
                Write::or(TransactWrite::Put(put), WriteError::Stale)
            }
        })
    }

    /// The write that deletes a role of this revision.
    pub fn role_deletion(&self, role: &CustomRole) -> Write {
        let delete = Delete::new(&self.table, key(role.tenant_id.to_string(), sort_key(&role.name)))
            .only_if("revision = :revision")
            .value(":revision", n(role.revision));
        Write::or(TransactWrite::Delete(delete), WriteError::Stale)
    }
}
