//! The accounts table, and all that is known of it.
//!
//! | pk | sk | what |
//! |---|---|---|
//! | `<tenant>` | `tenant` | the tenant's record |
//! | `<tenant>` | `owners` | how many owners it has, so that the last one stays, and how many have joined, so that nobody joins as it ends |
//! | `<tenant>` | `member#<user id>` | a membership, as the tenant lists it; carries events in `outbox` |
//! | `<tenant>` | `role#<name>` | a custom role |
//! | `<tenant>` | `api_key#<key id>` | an API key, as the tenant lists it; what verifies it is in the identity table |
//! | `<tenant>` | `count#roles`, `count#api_keys`, `count#clients` | how many of these it has, so that it has no more than it may |
//! | `<tenant>` | `client#<client id>` | an OAuth client, as the tenant lists it |
//! | `<tenant>#audit` | `<audit id>` | an audit record; removed after [`crate::audit::KEPT`] |
//! | `user#<user id>` | `user` | the user's record; carries events in `outbox` |
//! | `user#<user id>` | `membership#<tenant>` | a membership again, as the user's log-in finds it |
//! | `user#<user id>` | `session#<session id>` | a session; removed after its end |
//! | `user#<user id>` | `grant#<client id>` | that the user let an application in |
//! | `user#<user id>` | `totp`, `totp_pending`, `recovery` | second factors |
//! | `user#<user id>` | `passkey#<hash>`, `identity#<hash>` | passkeys, and accounts of providers |
//! | `passkey#<hash>` | `passkey` | whose a passkey is: what makes it one user's alone |
//! | `identity#<hash>` | `identity` | whose a provider's account is, likewise |
//! | `client#<client id>` | `client` | an OAuth client again, as its credentials find it |
//! | `assertion#<hash>` | `assertion` | a client's assertion that was used; removed when it is dead |
//! | `email#<hash>` | `email` | whose an address is: what makes it one user's alone |
//! | `ticket#<hash>` | `ticket` | a one-time secret; removed after its time; `ticket#social#<hash>` are those of `auth.social`, `ticket#oauth.<kind>#<hash>` authorization requests and codes |
//! | `throttle#<hash>` | `throttle` | failed tries ([`crate::throttle`]); removed after a day |
//! | `sweep#<shard>` | `<time>#<user id>` | what the sweeper looks at then |
//! | `system` | `key_ring` | the signing keys, sealed |
//!
//! A user is found before a tenant is known, so that a user's own items, and what leads to them, are kept under the user's id. A membership is written twice in one transaction, so the two never disagree.

pub mod api_keys;
pub mod audit;
mod bounds;
mod clients;
mod departures;
mod factors;
mod grants;
mod holders;
mod identities;
pub mod key_ring;
mod members;
mod page;
mod roles;
mod sessions;
mod sweep;
mod tickets;
mod transaction;
mod users;

pub use bounds::{Counted, MOST_API_KEYS};
pub use clients::MOST_CLIENTS;
pub use holders::MemberFilter;
pub use members::MemberChange;
pub use page::{Keyset, ListPage};
pub use roles::MOST_ROLES;
pub use sessions::MOST_SESSIONS;
pub use sweep::{SHARDS, SweepEntry, SweepReason};
pub use users::NewAccount;

use serde::Serialize;
use serde::de::DeserializeOwned;
pub(crate) use shared::dynamo::key;
use shared::dynamo::{AttributeValue, Dynamo, DynamoError, Item, Put, TransactWrite, n};
use shared::events::OUTBOX;
use shared::http::Problem;
use shared::identity::store::IdentityStore;
use shared::time::Timestamp;

use crate::audit::{AuditRecord, KEPT};
use crate::user::UserId;

/// The table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccountStore {
    dynamo: Dynamo,
    table: String,
}

/// The table with the identity table beside it, for functions that also end what gives access. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Accounts {
    store: AccountStore,
    identity: IdentityStore,
}

impl Accounts {
    /// The store in `table`, with the identity table beside it.
    pub const fn new(dynamo: Dynamo, table: String, identity: IdentityStore) -> Self {
        Self { store: AccountStore::new(dynamo, table), identity }
    }

    /// The identity table, in which every function verifies credentials.
    pub const fn identity(&self) -> &IdentityStore {
        &self.identity
    }
}

impl std::ops::Deref for Accounts {
    type Target = AccountStore;

    fn deref(&self) -> &AccountStore {
        &self.store
    }
}

/// Why a write was not done.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What was to be made is there already: an address, a role, an identity.
    #[error("it exists already")]
    Taken,
    /// The record was changed or deleted since it was read, or a one-time secret was used.
    #[error("the record was changed since it was read")]
    Stale,
    /// The tenant would have no owner.
    #[error("the tenant would be left without an owner")]
    LastOwner,
    /// The tenant would have more of something than it may.
    #[error("the tenant has as many as it may")]
    Full,
    /// Another request with the same idempotency key was faster.
    #[error("a request with the same idempotency key was faster")]
    KeyUsed,
    /// Another transaction holds a record.
    #[error("another transaction holds the record")]
    Conflict,
    /// DynamoDB did not do it.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
    /// A record does not have the form it was written with.
    #[error("a record of the accounts table cannot be read")]
    Corrupt(#[from] serde_dynamo::Error),
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Dynamo(error) => error.into(),
            WriteError::Conflict | WriteError::Stale => Self::unavailable(error),
            error => Self::internal(error),
        }
    }
}

/// One write of a transaction, and what it means when its condition does not hold.
#[derive(Debug)]
pub struct Write {
    /// The write.
    pub write: TransactWrite,
    /// The error then.
    pub lost: WriteError,
}

impl Write {
    /// A write without a condition, or one that cannot fail.
    pub const fn sure(write: TransactWrite) -> Self {
        Self { write, lost: WriteError::Stale }
    }

    /// A write whose condition names a race or a rule.
    pub const fn or(write: TransactWrite, lost: WriteError) -> Self {
        Self { write, lost }
    }
}

pub(crate) fn user_partition(user: &UserId) -> String {
    format!("user#{user}")
}

/// An item with its key and the attributes of `record`.
pub(crate) fn item<T: Serialize>(pk: impl Into<String>, sk: impl Into<String>, record: &T) -> Result<Item, WriteError> {
    Ok(shared::dynamo::item(pk, sk, record)?)
}

pub(crate) fn read<T: DeserializeOwned>(item: Item) -> Result<T, WriteError> {
    Ok(serde_dynamo::from_item(item)?)
}

/// Adds events for the relay.
pub(crate) fn with_outbox(mut item: Item, outbox: Option<AttributeValue>) -> Item {
    if let Some(outbox) = outbox {
        item.insert(OUTBOX.to_owned(), outbox);
    }
    item
}

/// Has DynamoDB remove the item some time after `at`.
pub(crate) fn removed_at(mut item: Item, at: Timestamp) -> Item {
    item.insert("removed_at".to_owned(), n(at.as_second()));
    item
}

impl AccountStore {
    /// The store in `table`.
    pub const fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// The client, for the parts of this store in other modules of this service.
    pub(crate) const fn dynamo(&self) -> &Dynamo {
        &self.dynamo
    }

    /// The table's name, likewise.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// Reads one record as it is now.
    pub(crate) async fn one<T: DeserializeOwned>(
        &self,
        pk: impl Into<String>,
        sk: impl Into<String>,
    ) -> Result<Option<T>, WriteError> {
        self.dynamo.get(&self.table, key(pk, sk), true).await?.map(read).transpose()
    }

    /// The write of an audit record.
    pub fn audit_write(&self, record: &AuditRecord) -> Result<Write, WriteError> {
        self.audit_put(record, None)
    }

    /// The write of an audit record that carries events for the relay.
    pub fn audit_write_telling(&self, record: &AuditRecord, outbox: AttributeValue) -> Result<Write, WriteError> {
        self.audit_put(record, Some(outbox))
    }

    fn audit_put(&self, record: &AuditRecord, outbox: Option<AttributeValue>) -> Result<Write, WriteError> {
        let item = item(format!("{}#audit", record.tenant_id), record.id.to_string(), record)?;
        let until = record.at.checked_add(KEPT).unwrap_or(Timestamp::MAX);
        let item = with_outbox(removed_at(item, until), outbox);
        Ok(Write::sure(TransactWrite::Put(Put::new(&self.table, item))))
    }

    /// Writes an audit record alone: of what changed nothing.
    pub async fn audit(&self, record: &AuditRecord) -> Result<(), WriteError> {
        self.transact(vec![self.audit_write(record)?]).await
    }
}
