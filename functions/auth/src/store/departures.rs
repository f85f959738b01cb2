//! Leaving a tenant with the whole account. Whoever is the last one ends it: what programs have of it is refused from then
//! on, and nobody joins any more, not even at the same moment. `auth.admin` begins it again, with another owner.

use serde::Deserialize;
use shared::dynamo::{Put, TransactWrite, Update, n};
use shared::identity::revocation::Revoked;
use shared::time::Timestamp;

use super::{Accounts, MemberChange, Write, WriteError, item, key};
use crate::membership::Membership;
use crate::tenant::{Settings, SignUp, Tenant};

/// What is counted of a tenant's members.
#[derive(Debug, Default, Deserialize)]
struct Counts {
    /// How many have joined; none in a tenant that nobody has joined since this is counted.
    joined: Option<u64>,
}

impl Accounts {
    /// The writes that take a member out of a tenant. [`WriteError::LastOwner`] when others would be left without an owner,
    /// [`WriteError::Stale`] when somebody joins at this moment.
    pub async fn departure(&self, member: &Membership, now: Timestamp) -> Result<Vec<Write>, WriteError> {
        // Read before the members are: whoever is not among these has raised it, or will find the tenant ended.
        let counts: Option<Counts> = self.one(member.tenant_id.to_string(), "owners").await?;
        let (members, _) = self.members(&member.tenant_id, None, 2).await?;
        if members.len() > 1 {
            return self.member_changed(MemberChange { before: member, after: None, outbox: None });
        }
        let mut writes: Vec<_> = self.both_removed(member).into();
        writes.push(self.last_counted_out(member, counts.unwrap_or_default().joined));
        if let Some(tenant) = self.tenant(&member.tenant_id).await? {
            writes.push(self.closed(tenant, now)?);
        }
        let identity = self.identity();
        writes.push(Write::sure(identity.tenant_end_write(&member.tenant_id, now)));
        let revoked = identity.revocation_writes(&[Revoked::Tenant(member.tenant_id)], now);
        writes.extend(revoked.into_iter().map(Write::sure));
        Ok(writes)
    }

    /// Leaves no owner, unless somebody has joined since `joined` was read.
    fn last_counted_out(&self, member: &Membership, joined: Option<u64>) -> Write {
        let owners = i64::from(super::members::counts(member));
        let update = Update::new(self.table(), key(member.tenant_id.to_string(), "owners"), "ADD owner_count :less")
            .value(":less", n(-owners));
        let update = match joined {
            Some(joined) => update.only_if("joined = :joined").value(":joined", n(joined)),
            None => update.only_if("attribute_not_exists(joined)"),
        };
        Write::or(TransactWrite::Update(update), WriteError::Stale)
    }

    /// The tenant, which takes nobody in any more.
    fn closed(&self, tenant: Tenant, now: Timestamp) -> Result<Write, WriteError> {
        let before = tenant.revision;
        let settings = Settings { sign_up: SignUp::Closed, ..tenant.settings };
        let tenant = Tenant { settings, updated_at: now, tokens_ended_at: Some(now), revision: before + 1, ..tenant };
        let put = Put::new(self.table(), item(tenant.id.to_string(), "tenant", &tenant)?);
        let put = put.only_if("revision = :before").value(":before", n(before));
        Ok(Write::or(TransactWrite::Put(put), WriteError::Stale))
    }
}
