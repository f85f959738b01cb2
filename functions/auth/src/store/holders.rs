//! Which members a tenant has, by status and role; and that no role is deleted which somebody has.

use shared::dynamo::{Query, TransactWrite, Update, n, s};
use shared::id::TenantId;

use super::roles::sort_key;
use super::{AccountStore, Keyset, ListPage, Write, WriteError, key, read};
use crate::membership::{CustomRole, MemberStatus, Membership, RoleName};

/// The most reads of 1 MB in search of a member who has a role: some 100,000 members.
const MOST_READS: usize = 50;

/// Which members.
#[derive(Clone, Debug, Default)]
pub struct MemberFilter {
    /// Only those with this status.
    pub status: Option<MemberStatus>,
    /// Only those with this role.
    pub role: Option<RoleName>,
}

impl AccountStore {
    /// One page of a tenant's members, by user id.
    pub async fn member_page(
        &self,
        tenant: &TenantId,
        filter: &MemberFilter,
        keyset: &Keyset,
    ) -> Result<ListPage<Membership>, WriteError> {
        let mut query = self.members_of(tenant);
        let mut filters = Vec::new();
        if let Some(status) = filter.status {
            filters.push("#status = :status");
            let status = match status {
                MemberStatus::Active => "active",
                MemberStatus::Suspended => "suspended",
            };
            query = query.name("#status", "status").value(":status", s(status));
        }
        if let Some(role) = &filter.role {
            filters.push("contains(#roles, :role)");
            query = query.name("#roles", "roles").value(":role", s(role.as_str()));
        }
        if !filters.is_empty() {
            query = query.filter(filters.join(" AND "));
        }
        self.page(&tenant.to_string(), query, !filters.is_empty(), keyset).await
    }

    /// Whether a member has the role, suspended ones included. A tenant with too many members to look through
    /// ([`MOST_READS`]) counts as one that has such a member.
    pub async fn is_held(&self, role: &CustomRole) -> Result<bool, WriteError> {
        Ok(self.holders(role, 0).await?.is_none())
    }

    /// The members who have the role, suspended ones included; none when they are more than `most`, or in a tenant with too
    /// many members to look through.
    pub async fn holders(&self, role: &CustomRole, most: usize) -> Result<Option<Vec<Membership>>, WriteError> {
        let (mut holders, mut start) = (Vec::new(), None);
        for _ in 0..MOST_READS {
            let query = self
                .members_of(&role.tenant_id)
                .filter("contains(#roles, :role)")
                .name("#roles", "roles")
                .value(":role", s(role.name.as_str()))
                .consistent();
            let page = self.dynamo.query(query.after(start.take())).await?;
            if holders.len() + page.items.len() > most {
                return Ok(None);
            }
            for item in page.items {
                holders.push(read(item)?);
            }
            start = page.next;
            if start.is_none() {
                return Ok(Some(holders));
            }
        }
        Ok(None)
    }

    /// The write that goes with giving a role to a member. It raises the role's revision, so that neither a deletion nor
    /// a change of the role that read it before is done, and is [`WriteError::Stale`] when one was done since `role` was
    /// read.
    pub fn role_given(&self, role: &CustomRole) -> Write {
        let key = key(role.tenant_id.to_string(), sort_key(&role.name));
        let update = Update::new(&self.table, key, "SET revision = revision + :one")
            .only_if("revision = :before")
            .value(":one", n(1))
            .value(":before", n(role.revision));
        Write::or(TransactWrite::Update(update), WriteError::Stale)
    }

    fn members_of(&self, tenant: &TenantId) -> Query {
        Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(tenant.to_string()))
            .value(":prefix", s("member#"))
    }
}
