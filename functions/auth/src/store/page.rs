//! Lists by keyset: a page starts after the sort key at which the page before ended.

use serde::de::DeserializeOwned;
use shared::dynamo::{Item, Query, text};

use super::{AccountStore, WriteError, key, read};

/// The most reads of 1 MB for one page.
const MOST_READS: usize = 4;

/// Where a page starts, and how long it is.
#[derive(Clone, Debug)]
pub struct Keyset {
    /// After this sort key.
    pub after: Option<String>,
    /// At most so many rows.
    pub limit: usize,
}

/// A page of a list. With a filter it can be short and still have a next one.
#[derive(Debug)]
pub struct ListPage<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The sort key after which the next page starts.
    pub next: Option<String>,
}

impl AccountStore {
    /// One page of what `query` finds in the partition `pk`. DynamoDB applies a filter after it has read, so that a page
    /// reads at most [`MOST_READS`] times 1 MB.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        pk: &str,
        query: Query,
        filtered: bool,
        keyset: &Keyset,
    ) -> Result<ListPage<T>, WriteError> {
        let mut items: Vec<Item> = Vec::new();
        let mut start: Option<Item> = keyset.after.as_ref().map(|sk| key(pk, sk).into());
        for _ in 0..MOST_READS {
            let next = query.clone().after(start.take());
            // Without a filter what is read is what is shown.
            let next = if filtered { next } else { next.limit(keyset.limit + 1 - items.len()) };
            let page = self.dynamo.query(next).await?;
            items.extend(page.items);
            start = page.next;
            if items.len() > keyset.limit || start.is_none() {
                break;
            }
        }
        let next = if items.len() > keyset.limit {
            items.truncate(keyset.limit);
            items.last().and_then(sort_key)
        } else {
            // More may lie beyond what was read.
            start.as_ref().and_then(sort_key)
        };
        Ok(ListPage { rows: items.into_iter().map(read).collect::<Result<_, _>>()?, next })
    }
}

fn sort_key(item: &Item) -> Option<String> {
    text(item, "sk").map(str::to_owned)
}
