//! Operations with expressions, under construction.

use std::collections::HashMap;

use super::{AttributeValue, Item, Key};

/// The names, values and text of an expression.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    pub(super) expression: Option<String>,
    pub(super) names: Option<HashMap<String, String>>,
    pub(super) values: Option<Item>,
}

/// The methods that every operation with an expression has.
macro_rules! expression_methods {
    ($type:ident, $only_if:ident, $doc:literal) => {
        impl $type {
            #[doc = $doc]
            pub fn $only_if(mut self, expression: impl Into<String>) -> Self {
                self.condition.expression = Some(expression.into());
                self
            }

            /// A value of the expressions: `:name`.
            pub fn value(mut self, name: impl Into<String>, value: AttributeValue) -> Self {
                self.condition.values.get_or_insert_default().insert(name.into(), value);
                self
            }

            /// A placeholder for an attribute's name: `#name`.
            pub fn name(mut self, placeholder: impl Into<String>, name: impl Into<String>) -> Self {
                self.condition.names.get_or_insert_default().insert(placeholder.into(), name.into());
                self
            }
        }
    };
}

/// A write of a whole item.
#[derive(Clone, Debug)]
pub struct Put {
    pub(super) table: String,
    pub(super) item: Item,
    pub(super) condition: Condition,
}
expression_methods!(Put, only_if, "The condition, on the item that is there now.");

impl Put {
    /// Puts `item` into `table`.
    pub fn new(table: &str, item: Item) -> Self {
        Self { table: table.to_owned(), item, condition: Condition::default() }
    }
}

/// A change of an item.
#[derive(Clone, Debug)]
pub struct Update {
    pub(super) table: String,
    pub(super) key: Key,
    pub(super) expression: String,
    pub(super) condition: Condition,
}
expression_methods!(Update, only_if, "The condition, on the item that is there now.");

impl Update {
    /// Changes the item at `key` as `expression` says.
    pub fn new(table: &str, key: Key, expression: impl Into<String>) -> Self {
        Self { table: table.to_owned(), key, expression: expression.into(), condition: Condition::default() }
    }
}

/// A removal of an item.
#[derive(Clone, Debug)]
pub struct Delete {
    pub(super) table: String,
    pub(super) key: Key,
    pub(super) condition: Condition,
}
expression_methods!(Delete, only_if, "The condition, on the item that is there now.");

impl Delete {
    /// Removes the item at `key`.
    pub fn new(table: &str, key: Key) -> Self {
        Self { table: table.to_owned(), key, condition: Condition::default() }
    }
}

/// A look at an item that is not changed: part of a transaction, which fails when its condition does not hold.
#[derive(Clone, Debug)]
pub struct Check {
    pub(super) table: String,
    pub(super) key: Key,
    pub(super) condition: Condition,
}
expression_methods!(Check, only_if, "The condition, on the item that is there now. Required.");

impl Check {
    /// Looks at the item at `key`.
    pub fn new(table: &str, key: Key) -> Self {
        Self { table: table.to_owned(), key, condition: Condition::default() }
    }
}

/// A query of one partition.
#[derive(Clone, Debug)]
pub struct Query {
    pub(super) table: String,
    pub(super) index: Option<String>,
    pub(super) key_condition: String,
    pub(super) condition: Condition,
    pub(super) start: Option<Item>,
    pub(super) limit: Option<i32>,
    pub(super) descending: bool,
    pub(super) consistent: bool,
}
expression_methods!(Query, filter, "The filter, applied after reading: what it drops is paid for.");

impl Query {
    /// Reads the items of `table` that `key_condition` names.
    pub fn new(table: &str, key_condition: impl Into<String>) -> Self {
        Self {
            table: table.to_owned(),
            index: None,
            key_condition: key_condition.into(),
            condition: Condition::default(),
            start: None,
            limit: None,
            descending: false,
            consistent: false,
        }
    }

    /// Reads a secondary index of the table. It is behind the table by a moment.
    pub fn index(mut self, name: &str) -> Self {
        self.index = Some(name.to_owned());
        self
    }

    /// Starts after the item with this key.
    pub fn after(mut self, start: Option<Item>) -> Self {
        self.start = start;
        self
    }

    /// Reads at most so many items.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = i32::try_from(limit).ok();
        self
    }

    /// Reads backwards.
    pub const fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// Reads what has been written, at twice the price.
    pub const fn consistent(mut self) -> Self {
        self.consistent = true;
        self
    }
}
