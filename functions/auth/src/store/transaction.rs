//! Several writes as one.

use shared::dynamo::Lost;

use super::{AccountStore, Write, WriteError};

impl AccountStore {
    /// Does all writes or none; the first condition that did not hold says which error it is. A transaction that meets
    /// another one is tried again a few times.
    pub async fn transact(&self, writes: Vec<Write>) -> Result<(), WriteError> {
        let writes = writes.into_iter().map(|write| (write.write, write.lost)).collect();
        self.dynamo.transact_or(writes).await.map_err(|lost| match lost {
            Lost::Condition(meaning, _) => meaning,
            Lost::Conflict => WriteError::Conflict,
            Lost::Dynamo(error) => error.into(),
        })
    }
}
