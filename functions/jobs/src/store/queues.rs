//! The queues of a tenant.

use shared::dynamo::{Put, Query, n, s};
use shared::id::TenantId;

use super::{JobStore, Part, StoreError, item, key, read};
use crate::name::QueueName;
use crate::queue::Queue;

impl JobStore {
    /// A queue.
    pub async fn queue(&self, tenant: &TenantId, name: &QueueName) -> Result<Option<Queue>, StoreError> {
        self.dynamo
            .get(&self.table, key(tenant.to_string(), format!("queue#{name}")), true)
            .await?
            .map(read)
            .transpose()
    }

    /// Writes a queue, when it still has the revision `before`; 0 when there is to be none.
    pub async fn put_queue(&self, tenant: &TenantId, queue: &Queue, before: u64) -> Result<(), StoreError> {
        let item = item(tenant.to_string(), format!("queue#{}", queue.name), queue)?;
        let put = Put::new(&self.table, item.clone());
        let put = if before == 0 {
            put.only_if("attribute_not_exists(pk)")
        } else {
            put.only_if("revision = :before").value(":before", n(before))
        };
        self.put_once(put, &item).await
    }

    /// The queues of a tenant by name, after one of them.
    pub async fn queues(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Part<Queue>, StoreError> {
        let low = after.map_or_else(|| "queue#".to_owned(), |name| format!("queue#{name}"));
        let query = Query::new(&self.table, "pk = :pk AND sk BETWEEN :low AND :high")
            .value(":pk", s(tenant.to_string()))
            // A `!` sorts before every character of a name.
            .value(":low", s(format!("{low}!")))
            .value(":high", s("queue$"));
        self.part(query, limit).await
    }
}
