//! Memberships: each is written twice, and the numbers of a tenant's owners and of those who joined are kept with them.

use shared::dynamo::{AttributeValue, Delete, Item, Put, Query, TransactWrite, Update, n, s, text};
use shared::id::TenantId;

use super::{AccountStore, Write, WriteError, item, key, read, user_partition, with_outbox};
use crate::membership::Membership;
use crate::tenant::Tenant;
use crate::user::UserId;

/// A change of a membership.
#[derive(Debug)]
pub struct MemberChange<'a> {
    /// As it was read.
    pub before: &'a Membership,
    /// As it shall be; its revision is one higher. None removes it.
    pub after: Option<&'a Membership>,
    /// The events for the relay.
    pub outbox: Option<AttributeValue>,
}

fn member_sort_key(user: &UserId) -> String {
    format!("member#{user}")
}

impl AccountStore {
    /// A user's memberships.
    pub async fn memberships(&self, user: &UserId) -> Result<Vec<Membership>, WriteError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(user_partition(user)))
            .value(":prefix", s("membership#"))
            .consistent();
        self.dynamo.query(query).await?.items.into_iter().map(read).collect()
    }

    /// A user's membership in a tenant.
    pub async fn membership(&self, tenant: &TenantId, user: &UserId) -> Result<Option<Membership>, WriteError> {
        self.one(tenant.to_string(), member_sort_key(user)).await
    }

    /// A tenant and a user's membership in it, in one call.
    pub async fn member_of(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<(Option<Membership>, Option<Tenant>), WriteError> {
        let tenant = tenant.to_string();
        let keys = vec![key(tenant.as_str(), member_sort_key(user)), key(tenant, "tenant")];
        let (mut found, mut record) = (None, None);
        for item in self.dynamo.batch_get(&self.table, keys, true).await? {
            if text(&item, "sk") == Some("tenant") {
                record = Some(read(item)?);
            } else {
                found = Some(read(item)?);
            }
        }
        Ok((found, record))
    }

    /// The tenant's members after `after`, by user id: up to `limit`, and whether there are more.
    pub async fn members(
        &self,
        tenant: &TenantId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<(Vec<Membership>, bool), WriteError> {
        let start = after.map(|user| key(tenant.to_string(), member_sort_key(user)).into());
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(tenant.to_string()))
            .value(":prefix", s("member#"))
            .after(start)
            .limit(limit)
            .consistent();
        let page = self.dynamo.query(query).await?;
        let more = page.next.is_some();
        Ok((page.items.into_iter().map(read).collect::<Result<_, _>>()?, more))
    }

    /// The writes that add a member.
    pub fn member_added(&self, member: &Membership) -> Result<Vec<Write>, WriteError> {
        let mut writes = Vec::new();
        for item in both_items(member)? {
            let put = Put::new(&self.table, item).only_if("attribute_not_exists(pk)");
            writes.push(Write::or(TransactWrite::Put(put), WriteError::Taken));
        }
        writes.push(self.joined(member));
        Ok(writes)
    }

    /// Counts one who joins, so that a departure which ends the tenant at this moment is noticed, and notices it. Whoever is
    /// no owner joins a tenant that has one alone ([`WriteError::Conflict`]: it had when it was read).
    fn joined(&self, member: &Membership) -> Write {
        let update =
            |adds| Update::new(&self.table, key(member.tenant_id.to_string(), "owners"), adds).value(":one", n(1));
        let update = if counts(member) {
            update("ADD joined :one, owner_count :one")
        } else {
            update("ADD joined :one").only_if("owner_count >= :one")
        };
        Write::or(TransactWrite::Update(update), WriteError::Conflict)
    }

    /// The writes that change or remove a member. [`WriteError::LastOwner`] when the tenant would have none.
    pub fn member_changed(&self, change: MemberChange<'_>) -> Result<Vec<Write>, WriteError> {
        let before = change.before;
        let mut writes = Vec::new();
        match (counts(before), change.after.is_some_and(counts)) {
            (true, false) => writes.push(self.owner_removed(&before.tenant_id)),
            (false, true) => writes.push(self.owner_added(&before.tenant_id)),
            _ => {}
        }
        match change.after {
            Some(after) => {
                let [tenant_side, user_side] = both_items(after)?;
                for item in [with_outbox(tenant_side, change.outbox), user_side] {
                    let put =
                        Put::new(&self.table, item).only_if("revision = :before").value(":before", n(before.revision));
                    writes.push(Write::or(TransactWrite::Put(put), WriteError::Stale));
                }
            }
            None => writes.extend(self.both_removed(before)),
        }
        Ok(writes)
    }

    pub(super) fn both_removed(&self, member: &Membership) -> [Write; 2] {
        let deletion = |(pk, sk)| {
            let delete = Delete::new(&self.table, key(pk, sk))
                .only_if("revision = :before")
                .value(":before", n(member.revision));
            Write::or(TransactWrite::Delete(delete), WriteError::Stale)
        };
        both_keys(member).map(deletion)
    }

    fn owner_added(&self, tenant: &TenantId) -> Write {
        let update = Update::new(&self.table, key(tenant.to_string(), "owners"), "ADD owner_count :one");
        Write::sure(TransactWrite::Update(update.value(":one", n(1))))
    }

    fn owner_removed(&self, tenant: &TenantId) -> Write {
        let update = Update::new(&self.table, key(tenant.to_string(), "owners"), "ADD owner_count :less")
            .only_if("owner_count > :one")
            .value(":less", n(-1))
            .value(":one", n(1));
        Write::or(TransactWrite::Update(update), WriteError::LastOwner)
    }
}

/// Whether a member is one of the owners that are counted. One who is suspended is not: a tenant has one who can act.
pub(super) fn counts(member: &Membership) -> bool {
    member.is_owner() && member.is_active()
}

fn both_keys(member: &Membership) -> [(String, String); 2] {
    [
        (member.tenant_id.to_string(), member_sort_key(&member.user_id)),
        (user_partition(&member.user_id), format!("membership#{}", member.tenant_id)),
    ]
}

fn both_items(member: &Membership) -> Result<[Item; 2], WriteError> {
    let [(tenant, member_key), (user, membership_key)] = both_keys(member);
    Ok([item(tenant, member_key, member)?, item(user, membership_key, member)?])
}
