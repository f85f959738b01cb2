//! A cache in the process with a stated staleness: bounded in entries, aged by the injected clock, and with one load
//! for many callers who miss at once.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use moka::future::Cache as Moka;

use crate::BoxFuture;
use crate::time::{Clock, SignedDuration, Timestamp};

/// Keeps values for a while. Clones share one store.
pub struct Cache<K, V> {
    /// Its types are the same whatever is kept: moka is thousands of functions, which each crate would compile again for
    /// each pair of types.
    store: Moka<Arc<dyn Key>, Kept>,
    max_age: SignedDuration,
    clock: Clock,
    types: PhantomData<fn(K) -> V>,
}

/// A value of whatever type, and when its read was begun.
type Kept = (Timestamp, Anything);
type Anything = Arc<dyn Any + Send + Sync>;

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), max_age: self.max_age, clock: self.clock.clone(), types: PhantomData }
    }
}

impl<K, V> std::fmt::Debug for Cache<K, V> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cache").field("max_age", &self.max_age).finish_non_exhaustive()
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// At most `capacity` values, none older than `max_age`.
    pub fn new(capacity: u64, max_age: SignedDuration, clock: Clock) -> Self {
        Self { store: new_store(capacity), max_age, clock, types: PhantomData }
    }

    /// The value, unless it is too old.
    pub async fn get(&self, key: &K) -> Option<V> {
        let (loaded_at, value) = look_up(&self.store, key).await?;
        let is_young = self.clock.now().duration_since(loaded_at) < self.max_age;
        is_young.then(|| of_its_type::<V>(value).as_ref().clone())
    }

    /// Keeps a value from now on.
    pub async fn insert(&self, key: K, value: V) {
        self.insert_as_of(key, value, self.clock.now()).await;
    }

    /// Keeps a value whose read was begun at `at`: from then on it may be out of date.
    pub async fn insert_as_of(&self, key: K, value: V, at: Timestamp) {
        keep(&self.store, Arc::new(key), (at, Arc::new(value))).await;
    }

    /// Forgets a value.
    pub async fn remove(&self, key: &K) {
        forget(&self.store, key).await;
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
        let load = async {
            // It ages from the beginning of the load, which may take long: what changed since is not in it.
            let asked_at = self.clock.now();
            match load.await {
                Ok(value) => Ok((asked_at, Arc::new(value) as Anything)),
                Err(error) => Err(Arc::new(error) as Anything),
            }
        };
        match load_once(&self.store, Arc::new(key), Box::pin(load)).await {
            Ok(value) => Ok(of_its_type::<V>(value).as_ref().clone()),
            Err(error) => Err(of_its_type(error)),
        }
    }
}

/// What a cache kept, which is of no other type than the cache says.
fn of_its_type<T: Send + Sync + 'static>(kept: Anything) -> Arc<T> {
    let Ok(kept) = kept.downcast() else { unreachable!("a store belongs to one cache") };
    kept
}

// What follows is compiled in this crate only. So its futures are boxed.

fn new_store(capacity: u64) -> Moka<Arc<dyn Key>, Kept> {
    Moka::new(capacity)
}

fn look_up<'a>(store: &'a Moka<Arc<dyn Key>, Kept>, key: &'a dyn Key) -> BoxFuture<'a, Option<Kept>> {
    Box::pin(store.get(key))
}

fn keep(store: &Moka<Arc<dyn Key>, Kept>, key: Arc<dyn Key>, kept: Kept) -> BoxFuture<'_, ()> {
    Box::pin(store.insert(key, kept))
}

fn forget<'a>(store: &'a Moka<Arc<dyn Key>, Kept>, key: &'a dyn Key) -> BoxFuture<'a, ()> {
    Box::pin(store.invalidate(key))
}

fn load_once<'a>(
    store: &'a Moka<Arc<dyn Key>, Kept>,
    key: Arc<dyn Key>,
    load: BoxFuture<'a, Result<Kept, Anything>>,
) -> BoxFuture<'a, Result<Anything, Anything>> {
    Box::pin(async move {
        match store.try_get_with(key, load).await {
            Ok((_, value)) => Ok(value),
            Err(error) => Err(error.as_ref().clone()),
        }
    })
}

/// A key of whatever type.
trait Key: Any + Send + Sync {
    fn hash_into(&self, hasher: &mut dyn Hasher);
    fn is(&self, other: &dyn Key) -> bool;
}

impl<K: Hash + Eq + Send + Sync + 'static> Key for K {
    fn hash_into(&self, mut hasher: &mut dyn Hasher) {
        self.hash(&mut hasher);
    }

    fn is(&self, other: &dyn Key) -> bool {
        (other as &dyn Any).downcast_ref::<K>() == Some(self)
    }
}

impl Hash for dyn Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.hash_into(hasher);
    }
}

impl PartialEq for dyn Key {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for dyn Key {}

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
