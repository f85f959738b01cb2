//! A cache in the process with a stated staleness: bounded in entries, aged by the injected clock, and with one load
//! for many callers who miss at once.

use std::hash::Hash;
use std::sync::Arc;

use moka::future::Cache as Moka;

use crate::time::{Clock, SignedDuration, Timestamp};

/// Keeps values for a while. Clones share one store.
#[derive(Clone)]
pub struct Cache<K, V> {
    store: Moka<K, (Timestamp, V)>,
    max_age: SignedDuration,
    clock: Clock,
}

impl<K, V> std::fmt::Debug for Cache<K, V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cache").field("max_age", &self.max_age).finish_non_exhaustive()
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// At most `capacity` values, none older than `max_age`.
    pub fn new(capacity: u64, max_age: SignedDuration, clock: Clock) -> Self {
        Self { store: Moka::new(capacity), max_age, clock }
    }

    /// The value, unless it is too old.
    pub async fn get(&self, key: &K) -> Option<V> {
        let (loaded_at, value) = self.store.get(key).await?;
        (self.clock.now().duration_since(loaded_at) < self.max_age).then_some(value)
    }

    /// Keeps a value from now on.
    pub async fn insert(&self, key: K, value: V) {
        self.insert_as_of(key, value, self.clock.now()).await;
    }

    /// Keeps a value whose read was begun at `at`: from then on it may be out of date.
    pub async fn insert_as_of(&self, key: K, value: V, at: Timestamp) {
        self.store.insert(key, (at, value)).await;
    }

    /// Forgets a value.
    pub async fn remove(&self, key: &K) {
        self.store.invalidate(key).await;
    }

    /// The value, loaded when it is not there or too old. A failed load is not kept.
    pub async fn get_or_load<F, E>(&self, key: K, load: F) -> Result<V, Arc<E>>
    where
        F: Future<Output = Result<V, E>> + Send,
        E: Send + Sync + 'static,
    {
        if let Some(value) = self.get(&key).await {
            return Ok(value);
        }
        self.remove(&key).await;
        let loaded = self.store.try_get_with(key, async {
            // It ages from the beginning of the load, which may take long: what changed since is not in it.
            let asked_at = self.clock.now();
            Ok((asked_at, load.await?))
        });
        Ok(loaded.await?.1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_value_is_loaded_once_until_it_is_too_old() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let cache = Cache::new(10, SignedDuration::from_secs(10), clock.clone());
        let load = |value: u32| async move { Ok::<_, std::convert::Infallible>(value) };
        assert_eq!(cache.get_or_load("key", load(1)).await.unwrap(), 1);
        clock.advance(SignedDuration::from_secs(9));
        assert_eq!(cache.get_or_load("key", load(2)).await.unwrap(), 1);
        clock.advance(SignedDuration::from_secs(1));
        assert_eq!(cache.get_or_load("key", load(3)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_value_ages_while_it_is_loaded() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let cache = Cache::new(10, SignedDuration::from_secs(10), clock.clone());
        let slow = async {
            clock.advance(SignedDuration::from_secs(8));
            Ok::<_, std::convert::Infallible>(1)
        };
        assert_eq!(cache.get_or_load("key", slow).await.unwrap(), 1);
        assert_eq!(cache.get(&"key").await, Some(1));
        clock.advance(SignedDuration::from_secs(2));
        assert_eq!(cache.get(&"key").await, None);
    }
}
