//! DynamoDB behind plain, boxed functions, so that services do not compile the SDK's generic layers again.
//!
//! Each call asks for its consumed capacity and adds it to the invocation's usage ([`crate::aws::Usage`]).
//! Throttling and outages are [`DynamoError::Unavailable`], which becomes 503; a condition that does not hold is
//! [`DynamoError::ConditionFailed`], with the item that stands in the way. A write that meets a transaction of others had
//! no effect, and is tried again here ([`conflict`]), as the SDK does not.

mod conflict;
mod error;
mod expression;
mod item;
mod transaction;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
pub use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};

use self::conflict::again;
pub use self::error::{Cancellation, DynamoError};
use self::error::{cancelled, sorted};
pub use self::expression::{Check, Delete, Put, Query, Update};
pub use self::item::{item, key, number, text};
pub use self::transaction::{Lost, TransactWrite};
use crate::BoxFuture;

/// How often what a batch left unprocessed is asked for again.
const BATCH_ROUNDS: u32 = 5;

/// The attributes of an item, or of a key.
pub type Item = HashMap<String, AttributeValue>;

/// A key under construction: by [`key`], or `[("pk", s("…"))].into()` where a table has another.
#[derive(Clone, Debug)]
pub struct Key(Item);

impl<const N: usize> From<[(&str, AttributeValue); N]> for Key {
    fn from(attributes: [(&str, AttributeValue); N]) -> Self {
        Self(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl From<Key> for Item {
    fn from(key: Key) -> Self {
        key.0
    }
}

/// A string attribute.
pub fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
#[allow(clippy::needless_pass_by_value)] // numbers are passed by value
pub fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// The client.
#[derive(Clone, Debug)]
pub struct Dynamo(Client);

impl Dynamo {
    /// Wraps the SDK's client.
    pub const fn new(client: Client) -> Self {
        Self(client)
    }

    /// Reads one item.
    pub fn get(&self, table: &str, key: Key, consistent: bool) -> BoxFuture<'_, Result<Option<Item>, DynamoError>> {
        let call = self.0.get_item().table_name(table).set_key(Some(key.0)).consistent_read(consistent);
        Box::pin(async move {
            let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.map_err(sorted)?;
            used(answer.consumed_capacity(), false);
            Ok(answer.item)
        })
    }

    /// Reads up to 100 items by their keys, in no order; absent ones are left out.
    pub fn batch_get<'a>(
        &'a self,
        table: &'a str,
        keys: Vec<Key>,
        consistent: bool,
    ) -> BoxFuture<'a, Result<Vec<Item>, DynamoError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            let mut wanted: Vec<Item> = keys.into_iter().map(|key| key.0).collect();
            let mut round = 0;
            while !wanted.is_empty() {
                if round == BATCH_ROUNDS {
                    return Err(DynamoError::Unavailable("items of a batch stay unprocessed".into()));
                }
                if round > 0 {
                    conflict::pause(round).await;
                }
                round += 1;
                let keys = KeysAndAttributes::builder().set_keys(Some(std::mem::take(&mut wanted)));
                let keys =
                    keys.consistent_read(consistent).build().map_err(|error| DynamoError::Refused(error.into()))?;
                let call = self.0.batch_get_item().request_items(table, keys);
                let answer =
                    call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.map_err(sorted)?;
                for capacity in answer.consumed_capacity() {
                    used(Some(capacity), false);
                }
                found.extend(answer.responses.unwrap_or_default().remove(table).unwrap_or_default());
                let left = answer.unprocessed_keys.unwrap_or_default().remove(table);
                wanted = left.map(|left| left.keys).unwrap_or_default();
            }
            Ok(found)
        })
    }

    /// Writes a whole item.
    pub fn put(&self, put: Put) -> BoxFuture<'_, Result<(), DynamoError>> {
        let call = self
            .0
            .put_item()
            .table_name(put.table)
            .set_item(Some(put.item))
            .set_condition_expression(put.condition.expression)
            .set_expression_attribute_names(put.condition.names)
            .set_expression_attribute_values(put.condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
        Box::pin(again(move || {
            let call = call.clone();
            async move {
                let answer = call.send().await.map_err(|error| match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                        DynamoError::ConditionFailed { current: failed.item().cloned().unwrap_or_default() }
                    }
                    _ => sorted(error),
                })?;
                used(answer.consumed_capacity(), true);
                Ok(())
            }
        }))
    }

    /// Changes an item; answers the whole item after the change.
    pub fn update(&self, update: Update) -> BoxFuture<'_, Result<Item, DynamoError>> {
        let call = self
            .0
            .update_item()
            .table_name(update.table)
            .set_key(Some(update.key.0))
            .update_expression(update.expression)
            .set_condition_expression(update.condition.expression)
            .set_expression_attribute_names(update.condition.names)
            .set_expression_attribute_values(update.condition.values)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
        Box::pin(again(move || {
            let call = call.clone();
            async move {
                let answer = call.send().await.map_err(|error| match error.as_service_error() {
                    Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                        DynamoError::ConditionFailed { current: failed.item().cloned().unwrap_or_default() }
                    }
                    _ => sorted(error),
                })?;
                used(answer.consumed_capacity(), true);
                Ok(answer.attributes.unwrap_or_default())
            }
        }))
    }

    /// Removes an item.
    pub fn delete(&self, delete: Delete) -> BoxFuture<'_, Result<(), DynamoError>> {
        let call = self
            .0
            .delete_item()
            .table_name(delete.table)
            .set_key(Some(delete.key.0))
            .set_condition_expression(delete.condition.expression)
            .set_expression_attribute_names(delete.condition.names)
            .set_expression_attribute_values(delete.condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let call = call.return_consumed_capacity(ReturnConsumedCapacity::Total);
        Box::pin(again(move || {
            let call = call.clone();
            async move {
                let answer = call.send().await.map_err(|error| match error.as_service_error() {
                    Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
                        DynamoError::ConditionFailed { current: failed.item().cloned().unwrap_or_default() }
                    }
                    _ => sorted(error),
                })?;
                used(answer.consumed_capacity(), true);
                Ok(())
            }
        }))
    }

    /// Reads one page of a partition (at most 1 MB), in the order of the sort key.
    pub fn query(&self, query: Query) -> BoxFuture<'_, Result<QueryPage, DynamoError>> {
        let call = self
            .0
            .query()
            .table_name(query.table)
            .set_index_name(query.index)
            .key_condition_expression(query.key_condition)
            .set_filter_expression(query.condition.expression)
            .set_expression_attribute_names(query.condition.names)
            .set_expression_attribute_values(query.condition.values)
            .set_exclusive_start_key(query.start)
            .set_limit(query.limit)
            .scan_index_forward(!query.descending)
            .consistent_read(query.consistent);
        Box::pin(async move {
            let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.map_err(sorted)?;
            used(answer.consumed_capacity(), false);
            Ok(QueryPage { items: answer.items.unwrap_or_default(), next: answer.last_evaluated_key })
        })
    }

    /// Does all of up to 100 writes or none. One that meets another transaction is not tried again here, but by
    /// [`Dynamo::transact_again`] and [`Dynamo::transact_or`].
    pub fn transact(&self, writes: Vec<TransactWrite>) -> BoxFuture<'_, Result<(), DynamoError>> {
        Box::pin(async move {
            let items = writes.into_iter().map(TransactWrite::build).collect::<Result<Vec<_>, _>>()?;
            let answer = self
                .0
                .transact_write_items()
                .set_transact_items(Some(items))
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(cancelled)?;
            for capacity in answer.consumed_capacity() {
                used(Some(capacity), true);
            }
            Ok(())
        })
    }
}

/// A page of a query.
#[derive(Debug)]
pub struct QueryPage {
    /// The items.
    pub items: Vec<Item>,
    /// Where the next page starts; none after the last.
    pub next: Option<Item>,
}

/// Adds what a call consumed to the invocation's usage. The answer does not say which kind it was for a plain call.
fn used(capacity: Option<&ConsumedCapacity>, write: bool) {
    let Some(capacity) = capacity else { return };
    let units = capacity.capacity_units().unwrap_or_default();
    if write {
        crate::aws::add_capacity(0.0, units);
    } else {
        crate::aws::add_capacity(units, 0.0);
    }
}
