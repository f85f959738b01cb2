//! The key ring's item: one for the whole installation, and the public halves beside it in the identity table.

use serde::{Deserialize, Serialize};
use shared::dynamo::{Put, TransactWrite, n};

use super::{AccountStore, Accounts, Write, WriteError, item};
use crate::key_ring::KeyRing;

/// The partition of what belongs to no tenant, and the ring's place in it.
const KEY: (&str, &str) = ("system", "key_ring");

/// The ring as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredRing {
    /// The keys.
    pub keys: KeyRing,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

impl AccountStore {
    /// The ring as it is now; none before the first key was needed.
    pub async fn key_ring(&self) -> Result<Option<StoredRing>, WriteError> {
        self.one(KEY.0, KEY.1).await
    }
}

impl Accounts {
    /// Stores `keys` in place of the ring with the revision `before` (none: there was none), and publishes their public
    /// halves, both or neither. [`WriteError::Stale`] when another was faster.
    pub async fn put_key_ring(&self, keys: &KeyRing, before: Option<u64>) -> Result<(), WriteError> {
        let stored = StoredRing { keys: keys.clone(), revision: before.unwrap_or(0) + 1 };
        let put = Put::new(self.table(), item(KEY.0, KEY.1, &stored)?);
        let put = match before {
            Some(before) => put.only_if("revision = :before").value(":before", n(before)),
            None => put.only_if("attribute_not_exists(pk)"),
        };
        let public = self.identity().key_set_write(&keys.public())?;
        self.transact(vec![Write::or(TransactWrite::Put(put), WriteError::Stale), Write::sure(public)]).await
    }
}
