//! OAuth clients: each is written twice, where its credentials find it and where its tenant lists it.

use shared::dynamo::{Delete, DynamoError, Item, Put, Query, TransactWrite, n, s};
use shared::id::TenantId;
use shared::identity::revocation::ended_with_tenant;
use shared::time::Timestamp;

use super::{AccountStore, Accounts, Keyset, ListPage, Write, WriteError, item, key, removed_at};
use crate::oauth::client::{Client, ClientId};

/// The most clients that a tenant has.
pub const MOST_CLIENTS: usize = 100;

fn both_keys(tenant: &TenantId, id: &ClientId) -> [(String, String); 2] {
    let name = format!("client#{id}");
    [(tenant.to_string(), name.clone()), (name, "client".to_owned())]
}

impl Accounts {
    /// A client, by what its credentials name. One whose tenant ended is none.
    pub async fn client(&self, id: &ClientId) -> Result<Option<Client>, WriteError> {
        let found: Option<Client> = self.one(format!("client#{id}"), "client").await?;
        let Some(client) = found else { return Ok(None) };
        let ended_at = self.identity().tenant_ended(&client.tenant_id, true).await?;
        Ok(Some(client).filter(|client| !ended_with_tenant(client.created_at, ended_at)))
    }
}

impl AccountStore {
    /// A tenant's client.
    pub async fn client_of(&self, tenant: &TenantId, id: &ClientId) -> Result<Option<Client>, WriteError> {
        self.one(tenant.to_string(), format!("client#{id}")).await
    }

    /// A page of a tenant's clients, by id.
    pub async fn clients(&self, tenant: &TenantId, keyset: &Keyset) -> Result<ListPage<Client>, WriteError> {
        let pk = tenant.to_string();
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(&pk))
            .value(":prefix", s("client#"))
            .consistent();
        self.page(&pk, query, false, keyset).await
    }

    /// The writes of a new client, or of one over the revision before.
    pub fn client_writes(&self, client: &Client) -> Result<Vec<Write>, WriteError> {
        let before = client.revision.saturating_sub(1);
        let mut writes = Vec::new();
        for (pk, sk) in both_keys(&client.tenant_id, &client.id) {
            let put = Put::new(&self.table, item(pk, sk, client)?);
            let put = if before == 0 {
                put.only_if("attribute_not_exists(pk)")
            } else {
                put.only_if("revision = :before").value(":before", n(before))
            };
            writes.push(Write::or(TransactWrite::Put(put), WriteError::Stale));
        }
        Ok(writes)
    }

    /// The writes that delete a client of this revision.
    pub fn client_deletion(&self, client: &Client) -> Vec<Write> {
        let deletion = |(pk, sk)| {
            let delete = Delete::new(&self.table, key(pk, sk))
                .only_if("revision = :revision")
                .value(":revision", n(client.revision));
            Write::or(TransactWrite::Delete(delete), WriteError::Stale)
        };
        both_keys(&client.tenant_id, &client.id).map(deletion).into()
    }

    /// Notes that an assertion was used, until it is dead. `false` when it was used before.
    pub async fn note_assertion(&self, hash: &str, until: Timestamp) -> Result<bool, WriteError> {
        let item: Item = key(format!("assertion#{hash}"), "assertion").into();
        let put = Put::new(&self.table, removed_at(item, until)).only_if("attribute_not_exists(pk)");
        match self.dynamo.put(put).await {
            Ok(()) => Ok(true),
            Err(DynamoError::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
