//! The settings of queues, as the functions know them: at most [`STALENESS`] old.

use shared::cache::Cache;
use shared::id::TenantId;
use shared::time::{Clock, SignedDuration};

use crate::name::QueueName;
use crate::queue::{Queue, Settings};
use crate::store::{JobStore, StoreError};

/// How late a change of a queue is noticed. Limits of concurrency are exact all the same: only which limit holds is late.
pub const STALENESS: SignedDuration = SignedDuration::from_secs(5);

/// The most queues that are remembered.
const CAPACITY: u64 = 10_000;

/// See the module. Clones share one memory.
#[derive(Clone, Debug)]
pub struct QueueCache {
    cache: Cache<(TenantId, QueueName), Option<Settings>>,
    jobs: JobStore,
    clock: Clock,
}

impl QueueCache {
    /// Reads what it does not know from `jobs`.
    pub fn new(jobs: JobStore, clock: Clock) -> Self {
        Self { cache: Cache::new(CAPACITY, STALENESS, clock.clone()), jobs, clock }
    }

    /// The settings of a queue: the default ones for a queue that there is not.
    pub async fn settings(&self, tenant: &TenantId, name: &QueueName) -> Result<Settings, StoreError> {
        Ok(self.known(tenant, name).await?.unwrap_or_default())
    }

    /// The same, and the queue comes to be.
    pub async fn settings_of_used(&self, tenant: &TenantId, name: &QueueName) -> Result<Settings, StoreError> {
        if let Some(settings) = self.known(tenant, name).await? {
            return Ok(settings);
        }
        match self.jobs.put_queue(tenant, &Queue::new(name.clone(), self.clock.now()), 0).await {
            // Somebody else was faster.
            Ok(()) | Err(StoreError::Stale) => {}
            Err(error) => return Err(error),
        }
        self.forget(tenant, name).await;
        self.settings(tenant, name).await
    }

    /// Forgets a queue that was changed.
    pub async fn forget(&self, tenant: &TenantId, name: &QueueName) {
        self.cache.remove(&(*tenant, name.clone())).await;
    }

    async fn known(&self, tenant: &TenantId, name: &QueueName) -> Result<Option<Settings>, StoreError> {
        let load = async { Ok(self.jobs.queue(tenant, name).await?.map(|queue| queue.settings)) };
        self.cache.get_or_load((*tenant, name.clone()), load).await.map_err(StoreError::Shared)
    }
}
