//! Users, their addresses, and the tenants that they make.

use serde::{Deserialize, Serialize};
use shared::dynamo::{AttributeValue, Check, Delete, Put, TransactWrite, Update, n};
use shared::id::TenantId;
use shared::time::Timestamp;

use super::{AccountStore, Write, WriteError, item, key, user_partition, with_outbox};
use crate::email::EmailAddress;
use crate::membership::Membership;
use crate::tenant::Tenant;
use crate::user::{User, UserId};

/// An account to be made.
#[derive(Debug)]
pub struct NewAccount<'a> {
    /// The user.
    pub user: &'a User,
    /// The user's own tenant; none for who joins one that exists.
    pub tenant: Option<&'a Tenant>,
    /// What the user is in it.
    pub membership: &'a Membership,
    /// The events for the relay.
    pub outbox: Option<AttributeValue>,
}

#[derive(Serialize, Deserialize)]
struct Claim {
    user_id: UserId,
}

fn email_partition(email: &EmailAddress) -> String {
    format!("email#{}", email.hash())
}

impl AccountStore {
    /// A user.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, WriteError> {
        self.one(user_partition(id), "user").await
    }

    /// The user with this address. Two reads, whether there is one or not: the time tells nothing.
    pub async fn user_by_email(&self, email: &EmailAddress) -> Result<Option<User>, WriteError> {
        let claim: Option<Claim> = self.one(email_partition(email), "email").await?;
        let partition = claim.map_or_else(|| "user#none".to_owned(), |claim| user_partition(&claim.user_id));
        self.one(partition, "user").await
    }

    /// Makes an account: the address is claimed, and all its records are written, or none.
    /// [`WriteError::Taken`] when the address is another's.
    pub async fn create_account(&self, new: NewAccount<'_>, along: Vec<Write>) -> Result<(), WriteError> {
        let mut writes = self.user_added(new.user, new.outbox)?;
        if let Some(tenant) = new.tenant {
            writes.push(self.tenant_added(tenant)?);
        }
        writes.extend(self.member_added(new.membership)?);
        writes.extend(along);
        self.transact(writes).await
    }

    /// Keeps a sign-up until its address is proved: the address is claimed, and nobody else sees anything of it.
    /// [`WriteError::Taken`] when the address is another's.
    pub async fn begin_account(&self, user: &User, along: Vec<Write>) -> Result<(), WriteError> {
        let mut writes = self.user_added(user, None)?;
        writes.extend(along);
        self.transact(writes).await
    }

    fn user_added(&self, user: &User, outbox: Option<AttributeValue>) -> Result<Vec<Write>, WriteError> {
        let record = with_outbox(item(user_partition(&user.id), "user", user)?, outbox);
        let put = Put::new(&self.table, record).only_if("attribute_not_exists(pk)");
        Ok(vec![self.claim_email(&user.email, &user.id)?, Write::or(TransactWrite::Put(put), WriteError::Stale)])
    }

    /// The write of a new tenant.
    pub fn tenant_added(&self, tenant: &Tenant) -> Result<Write, WriteError> {
        let record = item(tenant.id.to_string(), "tenant", tenant)?;
        let put = Put::new(&self.table, record).only_if("attribute_not_exists(pk)");
        Ok(Write::or(TransactWrite::Put(put), WriteError::Stale))
    }

    /// The write that makes an address one user's.
    pub fn claim_email(&self, email: &EmailAddress, user: &UserId) -> Result<Write, WriteError> {
        let claim = item(email_partition(email), "email", &Claim { user_id: *user })?;
        let put = Put::new(&self.table, claim).only_if("attribute_not_exists(pk)");
        Ok(Write::or(TransactWrite::Put(put), WriteError::Taken))
    }

    /// The write that gives an address up.
    pub fn release_email(&self, email: &EmailAddress) -> Write {
        Write::sure(TransactWrite::Delete(Delete::new(&self.table, key(email_partition(email), "email"))))
    }

    /// The write of a user over the revision before; events for the relay go along.
    pub fn user_write(&self, user: &User, outbox: Option<AttributeValue>) -> Result<Write, WriteError> {
        let record = with_outbox(item(user_partition(&user.id), "user", user)?, outbox);
        let put = Put::new(&self.table, record)
            .only_if("revision = :before")
            .value(":before", n(user.revision.saturating_sub(1)));
        Ok(Write::or(TransactWrite::Put(put), WriteError::Stale))
    }

    /// The condition that a user's record is still as it was read: what was proved by it holds.
    pub fn user_unchanged(&self, user: &User) -> Write {
        let check = Check::new(&self.table, key(user_partition(&user.id), "user"))
            .only_if("revision = :revision")
            .value(":revision", n(user.revision));
        Write::or(TransactWrite::Check(check), WriteError::Conflict)
    }

    /// Writes a changed user, with what goes along.
    pub async fn update_user(
        &self,
        user: &User,
        outbox: Option<AttributeValue>,
        along: Vec<Write>,
    ) -> Result<(), WriteError> {
        let mut writes = vec![self.user_write(user, outbox)?];
        writes.extend(along);
        self.transact(writes).await
    }

    /// The write that deletes a user of this revision.
    pub fn user_deletion(&self, user: &User) -> Write {
        let delete = Delete::new(&self.table, key(user_partition(&user.id), "user"))
            .only_if("revision = :revision")
            .value(":revision", n(user.revision));
        Write::or(TransactWrite::Delete(delete), WriteError::Stale)
    }

    /// A tenant.
    pub async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>, WriteError> {
        self.one(id.to_string(), "tenant").await
    }

    /// The write that notes that the access tokens of all members of a tenant end: its tokens from now on hold as of later.
    pub fn tokens_ended(&self, tenant: &TenantId, now: Timestamp) -> Result<Write, WriteError> {
        let update = Update::new(&self.table, key(tenant.to_string(), "tenant"), "SET tokens_ended_at = :now")
            .only_if("attribute_exists(pk)")
            .value(":now", serde_dynamo::to_attribute_value(now)?);
        Ok(Write::or(TransactWrite::Update(update), WriteError::Conflict))
    }

    /// Writes a changed tenant over the revision before.
    pub async fn update_tenant(
        &self,
        tenant: &Tenant,
        outbox: Option<AttributeValue>,
        along: Vec<Write>,
    ) -> Result<(), WriteError> {
        let record = with_outbox(item(tenant.id.to_string(), "tenant", tenant)?, outbox);
        let put = Put::new(&self.table, record)
            .only_if("revision = :before")
            .value(":before", n(tenant.revision.saturating_sub(1)));
        let mut writes = vec![Write::or(TransactWrite::Put(put), WriteError::Stale)];
        writes.extend(along);
        self.transact(writes).await
    }
}
