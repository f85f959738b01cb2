//! The writes of a transaction, and what it means when one of them could not be done.

use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete as SdkDelete, Put as SdkPut, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update as SdkUpdate,
};

use super::conflict::again;
use super::{Cancellation, Check, Delete, Dynamo, DynamoError, Item, Put, Update};
use crate::BoxFuture;

/// One write of a transaction.
#[derive(Clone, Debug)]
pub enum TransactWrite {
    /// A whole item.
    Put(Put),
    /// A change.
    Update(Update),
    /// A removal.
    Delete(Delete),
    /// A condition on an item that is not changed.
    Check(Check),
}

impl TransactWrite {
    pub(super) fn build(self) -> Result<TransactWriteItem, DynamoError> {
        let old = ReturnValuesOnConditionCheckFailure::AllOld;
        let item = TransactWriteItem::builder();
        let item = match self {
            Self::Put(put) => item.put(
                SdkPut::builder()
                    .table_name(put.table)
                    .set_item(Some(put.item))
                    .set_condition_expression(put.condition.expression)
                    .set_expression_attribute_names(put.condition.names)
                    .set_expression_attribute_values(put.condition.values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(|error| DynamoError::Refused(error.into()))?,
            ),
            Self::Update(update) => item.update(
                SdkUpdate::builder()
                    .table_name(update.table)
                    .set_key(Some(update.key.0))
                    .update_expression(update.expression)
                    .set_condition_expression(update.condition.expression)
                    .set_expression_attribute_names(update.condition.names)
                    .set_expression_attribute_values(update.condition.values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(|error| DynamoError::Refused(error.into()))?,
            ),
            Self::Delete(delete) => item.delete(
                SdkDelete::builder()
                    .table_name(delete.table)
                    .set_key(Some(delete.key.0))
                    .set_condition_expression(delete.condition.expression)
                    .set_expression_attribute_names(delete.condition.names)
                    .set_expression_attribute_values(delete.condition.values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(|error| DynamoError::Refused(error.into()))?,
            ),
            Self::Check(check) => item.condition_check(
                ConditionCheck::builder()
                    .table_name(check.table)
                    .set_key(Some(check.key.0))
                    .set_condition_expression(check.condition.expression)
                    .set_expression_attribute_names(check.condition.names)
                    .set_expression_attribute_values(check.condition.values)
                    .return_values_on_condition_check_failure(old)
                    .build()
                    .map_err(|error| DynamoError::Refused(error.into()))?,
            ),
        };
        Ok(item.build())
    }
}

/// Why a transaction was not done.
#[derive(Debug, thiserror::Error)]
pub enum Lost<M> {
    /// The condition of a write did not hold: what its writer said of it, and the item as it stands (empty when there is
    /// none). Of several, the first.
    #[error("a condition of the transaction did not hold")]
    Condition(M, Item),
    /// Other transactions held a record each time.
    #[error("another transaction holds a record")]
    Conflict,
    /// Anything else.
    #[error(transparent)]
    Dynamo(DynamoError),
}

impl Dynamo {
    /// Does all writes or none; each comes with what it means when its condition does not hold. A transaction that meets
    /// another one is tried again ([`super::conflict`]).
    pub async fn transact_or<M: Send>(&self, writes: Vec<(TransactWrite, M)>) -> Result<(), Lost<M>> {
        let (writes, meanings): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        outcome(self.transact_again(writes).await, meanings)
    }

    /// Does all of up to 100 writes or none, as [`Dynamo::transact`], and tries again what meets another transaction
    /// ([`super::conflict`]): for who has to know the reasons of each write.
    pub fn transact_again(&self, writes: Vec<TransactWrite>) -> BoxFuture<'_, Result<(), DynamoError>> {
        Box::pin(again(move || self.transact(writes.clone())))
    }
}

/// What became of a transaction, by what the conditions of its writes mean.
fn outcome<M>(done: Result<(), DynamoError>, meanings: Vec<M>) -> Result<(), Lost<M>> {
    let reasons = match done {
        Ok(()) => return Ok(()),
        Err(DynamoError::Cancelled { reasons }) => reasons,
        Err(DynamoError::Conflict(_)) => return Err(Lost::Conflict),
        Err(error) => return Err(Lost::Dynamo(error)),
    };
    let conflict = reasons.contains(&Cancellation::Conflict);
    let failed = reasons.iter().zip(meanings).find_map(|(reason, meaning)| match reason {
        Cancellation::ConditionFailed(item) => Some((meaning, item.clone())),
        _ => None,
    });
    match failed {
        Some((meaning, item)) => Err(Lost::Condition(meaning, item)),
        None if conflict => Err(Lost::Conflict),
        None => Err(Lost::Dynamo(DynamoError::Cancelled { reasons })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled(reasons: &[Cancellation]) -> DynamoError {
        DynamoError::Cancelled { reasons: reasons.to_vec() }
    }

    #[test]
    fn a_condition_that_does_not_hold_says_more_than_a_conflict() {
        let (met, failed) = (Cancellation::Conflict, Cancellation::ConditionFailed(Item::new()));
        let meanings = || vec!["first", "second"];
        assert!(matches!(
            outcome(Err(cancelled(&[met.clone(), failed])), meanings()),
            Err(Lost::Condition("second", _))
        ));
        assert!(matches!(outcome(Err(cancelled(&[met, Cancellation::None])), meanings()), Err(Lost::Conflict)));
    }
}
