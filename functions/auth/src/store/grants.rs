//! Which applications a user let in.

use shared::dynamo::{Delete, Put, Query, TransactWrite, n, s};

use super::{AccountStore, Keyset, ListPage, Write, WriteError, item, key, user_partition};
use crate::oauth::client::ClientId;
use crate::oauth::grant::Grant;
use crate::user::UserId;

fn sort_key(client: &ClientId) -> String {
    format!("grant#{client}")
}

impl AccountStore {
    /// What a user lets an application do.
    pub async fn grant(&self, user: &UserId, client: &ClientId) -> Result<Option<Grant>, WriteError> {
        self.one(user_partition(user), sort_key(client)).await
    }

    /// A page of the applications that a user let in, by the client's id.
    pub async fn grants(&self, user: &UserId, keyset: &Keyset) -> Result<ListPage<Grant>, WriteError> {
        let pk = user_partition(user);
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(&pk))
            .value(":prefix", s("grant#"))
            .consistent();
        self.page(&pk, query, false, keyset).await
    }

    /// The write of a new grant, or of one over the revision before.
    pub fn grant_write(&self, grant: &Grant) -> Result<Write, WriteError> {
        let before = grant.revision.saturating_sub(1);
        let put = Put::new(&self.table, item(user_partition(&grant.user_id), sort_key(&grant.client_id), grant)?);
        let put = if before == 0 {
            put.only_if("attribute_not_exists(pk)")
        } else {
            put.only_if("revision = :before").value(":before", n(before))
        };
        Ok(Write::or(TransactWrite::Put(put), WriteError::Stale))
    }

    /// The write that ends a grant of this revision.
    pub fn grant_deletion(&self, grant: &Grant) -> Write {
        let delete = Delete::new(&self.table, key(user_partition(&grant.user_id), sort_key(&grant.client_id)))
            .only_if("revision = :revision")
            .value(":revision", n(grant.revision));
        Write::or(TransactWrite::Delete(delete), WriteError::Stale)
    }
}
