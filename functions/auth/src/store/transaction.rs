//! Several writes as one.

use std::time::Duration;

use shared::dynamo::{Cancellation, DynamoError};

use super::{AccountStore, Write, WriteError};

/// The pauses before a transaction that met another one is tried again.
const PAUSES: [Duration; 3] = [Duration::from_millis(10), Duration::from_millis(30), Duration::from_millis(90)];

impl AccountStore {
    /// Does all writes or none; the first condition that did not hold says which error it is. A transaction that meets
    /// another one is tried again a few times.
    pub async fn transact(&self, writes: Vec<Write>) -> Result<(), WriteError> {
        let (writes, meanings): (Vec<_>, Vec<_>) = writes.into_iter().map(|write| (write.write, write.lost)).unzip();
        for pause in PAUSES {
            match self.dynamo.transact(writes.clone()).await {
                Err(error) if met_another(&error) => tokio::time::sleep(pause).await,
                done => return outcome(done, meanings),
            }
        }
        outcome(self.dynamo.transact(writes).await, meanings)
    }
}

/// Whether a transaction was not done because another one held a record, and for nothing else.
fn met_another(error: &DynamoError) -> bool {
    match error {
        DynamoError::Conflict(_) => true,
        DynamoError::Cancelled { reasons } => {
            reasons.contains(&Cancellation::Conflict)
                && reasons.iter().all(|reason| matches!(reason, Cancellation::Conflict | Cancellation::None))
        }
        _ => false,
    }
}

/// What became of a transaction, by what the conditions of its writes mean.
fn outcome(done: Result<(), DynamoError>, meanings: Vec<WriteError>) -> Result<(), WriteError> {
    let reasons = match done {
        Ok(()) => return Ok(()),
        Err(DynamoError::Cancelled { reasons }) => reasons,
        Err(DynamoError::Conflict(_)) => return Err(WriteError::Conflict),
        Err(error) => return Err(error.into()),
    };
    let failed = reasons.iter().zip(meanings).find(|(reason, _)| matches!(reason, Cancellation::ConditionFailed(_)));
    match failed {
        Some((_, meaning)) => Err(meaning),
        None if reasons.contains(&Cancellation::Conflict) => Err(WriteError::Conflict),
        None => Err(DynamoError::Cancelled { reasons }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled(reasons: &[Cancellation]) -> DynamoError {
        DynamoError::Cancelled { reasons: reasons.to_vec() }
    }

    #[test]
    fn only_what_met_another_transaction_is_tried_again() {
        let (met, failed) = (Cancellation::Conflict, Cancellation::ConditionFailed(shared::dynamo::Item::new()));
        assert!(met_another(&cancelled(&[Cancellation::None, met.clone()])));
        for reasons in [vec![met.clone(), failed.clone()], vec![failed.clone()], vec![Cancellation::Other("x".into())]]
        {
            assert!(!met_another(&cancelled(&reasons)), "{reasons:?}");
        }
        let meanings = || vec![WriteError::LastOwner, WriteError::Taken];
        assert!(matches!(outcome(Err(cancelled(&[met.clone(), failed])), meanings()), Err(WriteError::Taken)));
        assert!(matches!(outcome(Err(cancelled(&[met, Cancellation::None])), meanings()), Err(WriteError::Conflict)));
    }
}
