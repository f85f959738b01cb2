//! The writes of a transaction.

use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete as SdkDelete, Put as SdkPut, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update as SdkUpdate,
};

use super::{Check, Delete, DynamoError, Put, Update};

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
