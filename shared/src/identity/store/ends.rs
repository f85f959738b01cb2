//! Tenants that nobody is left in: what programs were given of them is refused from then on.

use super::{Corrupt, IdentityStore};
use crate::dynamo::{DynamoError, Item, Put, TransactWrite, n, s};
use crate::id::TenantId;
use crate::time::Timestamp;

fn partition(tenant: &TenantId) -> String {
    format!("ended#{tenant}")
}

impl IdentityStore {
    /// The write that ends all API keys and OAuth clients which a tenant has at `at`. What is made later is good: a tenant
    /// may begin again.
    pub fn tenant_end_write(&self, tenant: &TenantId, at: Timestamp) -> TransactWrite {
        let item: Item = [
            ("pk".to_owned(), s(partition(tenant))),
            ("sk".to_owned(), s("ended")),
            ("at_ms".to_owned(), n(at.as_millisecond())),
        ]
        .into();
        TransactWrite::Put(Put::new(&self.table, item))
    }

    /// When a tenant ended; none for one that did not. `consistent` asks for what is so at this moment.
    /// [`ended_with_tenant`](crate::identity::revocation::ended_with_tenant) says what ended with it.
    pub async fn tenant_ended(&self, tenant: &TenantId, consistent: bool) -> Result<Option<Timestamp>, DynamoError> {
        let key = [("pk", s(partition(tenant))), ("sk", s("ended"))].into();
        let Some(item) = self.dynamo.get(&self.table, key, consistent).await? else { return Ok(None) };
        let at = item.get("at_ms").and_then(|at| at.as_n().ok()).and_then(|at| at.parse().ok());
        let at = at.and_then(|at| Timestamp::from_millisecond(at).ok());
        Ok(Some(at.ok_or_else(|| Corrupt::new(&partition(tenant), "at_ms"))?))
    }
}
