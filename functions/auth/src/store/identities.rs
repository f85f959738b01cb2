//! Accounts of providers: the user's own items, and the claims that make each one user's alone.

use serde::{Deserialize, Serialize};
use shared::dynamo::{Delete, Put, Query, TransactWrite, s};

use super::{AccountStore, Write, WriteError, item, key, read, user_partition};
use crate::social::identity::LinkedIdentity;
use crate::user::UserId;

/// The sort key of a claim; the partition key of one, and the sort key of the user's item, is [`identity_key`].
const IDENTITY: &str = "identity";

fn identity_key(hash: &str) -> String {
    format!("{IDENTITY}#{hash}")
}

/// What a claim says.
#[derive(Serialize, Deserialize)]
struct Claim {
    user_id: UserId,
}

impl AccountStore {
    /// The user to whom an account of a provider is linked, by its hash. The user may be deleted and not yet erased.
    pub async fn identity_owner(&self, hash: &str) -> Result<Option<UserId>, WriteError> {
        let claim: Option<Claim> = self.one(identity_key(hash), IDENTITY).await?;
        Ok(claim.map(|claim| claim.user_id))
    }

    /// A user's linked account by its hash.
    pub async fn identity_of(&self, user: &UserId, hash: &str) -> Result<Option<LinkedIdentity>, WriteError> {
        self.one(user_partition(user), identity_key(hash)).await
    }

    /// A user's linked accounts, the oldest first: at most [`crate::social::identity::MOST_IDENTITIES`].
    pub async fn identities(&self, user: &UserId) -> Result<Vec<LinkedIdentity>, WriteError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(user_partition(user)))
            .value(":prefix", s(identity_key("")))
            .consistent();
        let items = self.dynamo.query(query).await?.items;
        let mut identities: Vec<LinkedIdentity> = items.into_iter().map(read).collect::<Result<_, _>>()?;
        identities.sort_by_key(|identity| identity.id);
        Ok(identities)
    }

    /// The writes that link an account. [`WriteError::Taken`] when it is linked, to whichever user. The user's record is
    /// written with them, so that whoever signs in by it meanwhile is noticed.
    pub fn identity_added(&self, identity: &LinkedIdentity) -> Result<Vec<Write>, WriteError> {
        let sort_key = identity_key(&identity.hash());
        let claim = item(sort_key.as_str(), IDENTITY, &Claim { user_id: identity.user_id })?;
        let record = item(user_partition(&identity.user_id), sort_key, identity)?;
        let new = |item| {
            let put = Put::new(&self.table, item).only_if("attribute_not_exists(pk)");
            Write::or(TransactWrite::Put(put), WriteError::Taken)
        };
        Ok([claim, record].map(new).into())
    }

    /// The writes that unlink an account; likewise.
    pub fn identity_removed(&self, identity: &LinkedIdentity) -> Vec<Write> {
        let sort_key = identity_key(&identity.hash());
        let claim = Delete::new(&self.table, key(sort_key.as_str(), IDENTITY));
        let record = Delete::new(&self.table, key(user_partition(&identity.user_id), sort_key));
        vec![
            Write::or(TransactWrite::Delete(record.only_if("attribute_exists(pk)")), WriteError::Stale),
            Write::sure(TransactWrite::Delete(claim)),
        ]
    }
}
