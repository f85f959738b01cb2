//! The links table, and all that is known of it.
//!
//! | pk | sk | what |
//! |---|---|---|
//! | `<tenant>` | `link#<link id>` | the link's record; carries the events for the relay in `outbox` |
//! | `<tenant>` | `blocklist` | the tenant's blocked domains |
//! | `slug#<slug in lower case>` | `link` | what a visit needs, the count of a click limit, and the [`mark()`] of its last click. It is found before its tenant is known, so its partition is its slug. A deleted link leaves `tenant_id` and `deleted` here, so that what is in print is not taken over by another tenant |
//! | `<tenant>#<link id>` | `day#<date>`, `total` | the counts ([`counts`]) |
//! | `<tenant>#<click id>` | `seen` | a click that was counted; removed after [`counting::SEEN_DAYS`] |
//!
//! A link is written in one transaction of its two items, so they never disagree.

pub mod counting;
pub mod counts;
mod list;

pub use list::{ListQuery, ListedPage};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::dynamo::{
    AttributeValue, Delete, Dynamo, DynamoError, Item, Key, Lost, Put, TransactWrite, Update, item, key, n, s, text,
};
use shared::events::OUTBOX;
use shared::http::Problem;
use shared::id::TenantId;
use shared::random::Random;

use crate::blocklist::Blocklist;
use crate::link::{Link, LinkId};
use crate::slug::Slug;

/// The table.
#[derive(Clone, Debug)]
pub struct LinkStore {
    dynamo: Dynamo,
    table: String,
}

/// Why a write was not done.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The slug is in use.
    #[error("the slug is in use")]
    SlugTaken,
    /// The link was changed or deleted since it was read.
    #[error("the link was changed since it was read")]
    Stale,
    /// Another request with the same idempotency key was faster.
    #[error("a request with the same idempotency key was faster")]
    KeyUsed,
    /// Another transaction holds the link.
    #[error("another transaction holds the link")]
    Conflict,
    /// DynamoDB did not do it.
    #[error(transparent)]
    Dynamo(#[from] DynamoError),
    /// A record does not have the form it was written with.
    #[error("a record of the links table cannot be read")]
    Corrupt(#[from] serde_dynamo::Error),
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Dynamo(error) => error.into(),
            WriteError::Conflict | WriteError::Stale => Self::unavailable(error),
            error => Self::internal(error),
        }
    }
}

/// What goes along with a link's own items when they are written.
#[derive(Debug, Default)]
pub struct Along {
    /// The events for the relay: the value of [`OUTBOX`].
    pub outbox: Option<AttributeValue>,
    /// The entry that makes the expiry arrive.
    pub due: Option<TransactWrite>,
    /// The record of the idempotency key.
    pub idempotency: Option<TransactWrite>,
}

/// What became of a click that was to be taken from a limit.
#[derive(Debug)]
pub enum Spending {
    /// It was taken.
    Spent,
    /// The limit is used up, or the link was edited or deleted since it was read: the link as it is now.
    Changed(Option<Box<Link>>),
}

/// The item that a visit reads.
#[derive(Serialize, Deserialize)]
struct Door {
    link: Link,
    /// The limit again, for the condition of a click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_clicks: Option<u64>,
    #[serde(default)]
    clicks_used: u64,
    revision: u64,
    tenant_id: TenantId,
}

/// A new text by which a visit's click is known again whose answer was lost.
pub fn mark(random: &Random) -> String {
    random.word(12)
}

fn record_key(tenant: &TenantId, id: &LinkId) -> Key {
    key(tenant.to_string(), format!("link#{id}"))
}

fn door_key(slug: &Slug) -> Key {
    key(format!("slug#{}", slug.key()), "link")
}

fn read<T: DeserializeOwned>(item: Item) -> Result<T, WriteError> {
    Ok(serde_dynamo::from_item(item)?)
}

impl LinkStore {
    /// The store in `table`.
    pub fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// A tenant's link. One read; two for a link with a click limit, whose count is at its door.
    pub async fn get(&self, tenant: &TenantId, id: &LinkId) -> Result<Option<Link>, WriteError> {
        let Some(item) = self.dynamo.get(&self.table, record_key(tenant, id), true).await? else { return Ok(None) };
        let mut link: Link = read(item)?;
        if link.max_clicks.is_some()
            && let Some(door) = self.dynamo.get(&self.table, door_key(&link.slug), true).await?
        {
            // Behind the door of a link that was deleted since its record was read there is none, or a newer one.
            match visited(door)? {
                Some(current) if current.id == link.id => link.clicks_used = current.clicks_used,
                _ => return Ok(None),
            }
        }
        Ok(Some(link))
    }

    /// What a visitor with this slug finds: one read of half a unit.
    pub async fn by_slug(&self, slug: &Slug) -> Result<Option<Link>, WriteError> {
        match self.dynamo.get(&self.table, door_key(slug), false).await? {
            Some(item) => visited(item),
            None => Ok(None),
        }
    }

    /// Writes a new link.
    pub async fn insert(&self, link: &Link, along: Along) -> Result<(), WriteError> {
        let door = Put::new(&self.table, door_item(link)?)
            .only_if("attribute_not_exists(pk) OR (deleted = :yes AND tenant_id = :tenant)")
            .value(":yes", AttributeValue::Bool(true))
            .value(":tenant", s(link.tenant_id.to_string()));
        let record = Put::new(&self.table, record_item(link, along.outbox)?).only_if("attribute_not_exists(pk)");
        // The key goes first, because the first condition that failed is told: a request that is sent again finds its
        // own alias taken as well.
        let mut writes: Vec<_> = along.idempotency.into_iter().map(|key| (key, WriteError::KeyUsed)).collect();
        writes.push((TransactWrite::Put(door), WriteError::SlugTaken));
        writes.push((TransactWrite::Put(record), WriteError::Stale));
        writes.extend(along.due.map(|due| (due, WriteError::Stale)));
        self.transact(writes).await
    }

    /// Writes an edited link over the one with the revision before. The count of the limit stays as it is.
    pub async fn update(&self, link: &Link, along: Along) -> Result<(), WriteError> {
        let before = n(link.revision.saturating_sub(1));
        // An end that was told since the link was read stays told.
        let record = Put::new(&self.table, record_item(link, along.outbox)?).value(":before", before.clone());
        let record = match link.expiry_told {
            Some(told) => {
                record.only_if("revision = :before AND expiry_told = :told").value(":told", s(told.to_string()))
            }
            None => record.only_if("revision = :before AND attribute_not_exists(expiry_told)"),
        };
        let door = door_item(link)?;
        let limit = if door.contains_key("max_clicks") { "SET max_clicks = :max," } else { "REMOVE max_clicks SET" };
        let mut update =
            Update::new(&self.table, door_key(&link.slug), format!("{limit} link = :link, revision = :revision"))
                .only_if("revision = :before")
                .value(":before", before)
                .value(":revision", n(link.revision))
                .value(":link", door.get("link").cloned().unwrap_or(AttributeValue::Null(true)));
        if let Some(max) = door.get("max_clicks") {
            update = update.value(":max", max.clone());
        }
        let writes = [TransactWrite::Put(record), TransactWrite::Update(update)].into_iter().chain(along.due);
        self.transact(writes.map(|write| (write, WriteError::Stale)).collect()).await
    }

    /// Deletes a link of this revision, and writes with it the `due` entry for what stays of it. Its slug stays with its
    /// tenant.
    pub async fn delete(&self, link: &Link, due: TransactWrite) -> Result<(), WriteError> {
        let record = Delete::new(&self.table, record_key(&link.tenant_id, &link.id))
            .only_if("revision = :revision")
            .value(":revision", n(link.revision));
        let mut tombstone = Item::from(door_key(&link.slug));
        tombstone.insert("tenant_id".to_owned(), s(link.tenant_id.to_string()));
        tombstone.insert("deleted".to_owned(), AttributeValue::Bool(true));
        let writes = [TransactWrite::Delete(record), TransactWrite::Put(Put::new(&self.table, tombstone)), due];
        self.transact(writes.into_iter().map(|write| (write, WriteError::Stale)).collect()).await
    }

    /// Takes one click from the limit of `link` as it was read; exact under concurrency. A click whose answer was lost is
    /// sent again, known by its [`mark`], and not spent twice, unless another visitor's came in between: a door keeps one
    /// mark.
    pub async fn spend_click(&self, link: &Link, mark: &str) -> Result<Spending, WriteError> {
        let update = Update::new(
            &self.table,
            door_key(&link.slug),
            "SET clicks_used = clicks_used + :one, mark = :mark",
        )
        .only_if("revision = :revision AND clicks_used < max_clicks AND (attribute_not_exists(mark) OR mark <> :mark)")
        .value(":one", n(1))
        .value(":mark", s(mark))
        .value(":revision", n(link.revision));
        match self.dynamo.update(update).await {
            Ok(_) => Ok(Spending::Spent),
            Err(DynamoError::ConditionFailed { current }) if text(&current, "mark") == Some(mark) => {
                Ok(Spending::Spent)
            }
            Err(DynamoError::ConditionFailed { current }) if current.is_empty() => Ok(Spending::Changed(None)),
            Err(DynamoError::ConditionFailed { current }) => Ok(Spending::Changed(visited(current)?.map(Box::new))),
            Err(DynamoError::Conflict(_)) => Err(WriteError::Conflict),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts the event of an expiry into the link's outbox, once for each end that it had. `false` when there is nothing
    /// to tell: the link is gone, its end was moved, or it was told already.
    pub async fn tell_expiry(&self, link: &Link, outbox: AttributeValue) -> Result<bool, WriteError> {
        let Some(end) = link.expires_at else { return Ok(false) };
        let update = Update::new(
            &self.table,
            record_key(&link.tenant_id, &link.id),
            "SET #outbox = :outbox, expiry_told = :end",
        )
        .only_if("expires_at = :end AND (attribute_not_exists(expiry_told) OR expiry_told <> :end)")
        .name("#outbox", OUTBOX)
        .value(":outbox", outbox)
        .value(":end", s(end.to_string()));
        match self.dynamo.update(update).await {
            Ok(_) => Ok(true),
            Err(DynamoError::ConditionFailed { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The tenant's blocked domains and the revision of the list; 0 before there is one.
    pub async fn blocklist(&self, tenant: &TenantId) -> Result<(Blocklist, u64), WriteError> {
        match self.dynamo.get(&self.table, key(tenant.to_string(), "blocklist"), true).await? {
            None => Ok((Blocklist::default(), 0)),
            Some(item) => {
                let stored: StoredBlocklist = read(item)?;
                Ok((stored.domains, stored.revision))
            }
        }
    }

    /// Sets the tenant's blocked domains, when the list still has the revision `before`. A write that is sent again
    /// because its answer was lost finds itself.
    pub async fn put_blocklist(&self, tenant: &TenantId, domains: &Blocklist, before: u64) -> Result<(), WriteError> {
        let stored = StoredBlocklist { domains: domains.clone(), revision: before + 1 };
        let put = Put::new(&self.table, item(tenant.to_string(), "blocklist", &stored)?)
            .only_if("attribute_not_exists(pk) OR revision = :before")
            .value(":before", n(before));
        match self.dynamo.put(put).await {
            Ok(()) => Ok(()),
            Err(DynamoError::ConditionFailed { current }) => match read::<StoredBlocklist>(current) {
                Ok(kept) if kept == stored => Ok(()),
                _ => Err(WriteError::Stale),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Does all writes or none; each comes with what it means when its condition does not hold.
    async fn transact(&self, writes: Vec<(TransactWrite, WriteError)>) -> Result<(), WriteError> {
        self.dynamo.transact_or(writes).await.map_err(|lost| match lost {
            Lost::Condition(meaning, _) => meaning,
            Lost::Conflict => WriteError::Conflict,
            Lost::Dynamo(error) => error.into(),
        })
    }
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct StoredBlocklist {
    domains: Blocklist,
    revision: u64,
}

fn record_item(link: &Link, outbox: Option<AttributeValue>) -> Result<Item, WriteError> {
    let mut item = item(link.tenant_id.to_string(), format!("link#{}", link.id), link)?;
    if let Some(outbox) = outbox {
        item.insert(OUTBOX.to_owned(), outbox);
    }
    list::add_search_attributes(&mut item, link);
    Ok(item)
}

fn door_item(link: &Link) -> Result<Item, WriteError> {
    // Without what no visitor sees, so that the read of a visit stays small.
    let shown = Link { note: None, tags: crate::annotation::Tags::default(), expiry_told: None, ..link.clone() };
    let door = Door {
        max_clicks: link.max_clicks.map(|limit| limit.get().into()),
        clicks_used: link.clicks_used,
        revision: link.revision,
        tenant_id: link.tenant_id,
        link: shown,
    };
    Ok(item(format!("slug#{}", link.slug.key()), "link", &door)?)
}

/// The link behind a door; none behind the door of a deleted one.
fn visited(door: Item) -> Result<Option<Link>, WriteError> {
    if door.contains_key("deleted") {
        return Ok(None);
    }
    let door: Door = read(door)?;
    Ok(Some(Link { clicks_used: door.clicks_used, ..door.link }))
}
