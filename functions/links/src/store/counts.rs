//! The counts of clicks, as they are read; [`super::counting`] writes them.
//!
//! A day's item has an attribute for each kind of visit, and, for people alone, one for each referring host, country and
//! class of device (`r#news.example`, `c#AT`, `d#mobile`).

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::civil::Date;
use serde::Serialize;
use shared::dynamo::{Delete, Item, Query, key, number, s, text};
use shared::id::TenantId;
use utoipa::ToSchema;

use super::{LinkStore, WriteError};
use crate::link::LinkId;

/// How many items are deleted at the same time.
const DELETED_AT_ONCE: usize = 10;

/// How a visit is counted, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// By people.
    pub clicks: u64,
    /// By crawlers, monitors and scanners.
    pub bots: u64,
    /// By programs that look ahead for a person.
    pub previews: u64,
}

/// The counts of one day in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayCounts {
    /// The day.
    pub day: Date,
    /// By kind.
    pub counts: Counts,
    /// Clicks by people, by referring host.
    pub referrers: BTreeMap<String, u64>,
    /// Clicks by people, by country.
    pub countries: BTreeMap<String, u64>,
    /// Clicks by people, by class of device.
    pub devices: BTreeMap<String, u64>,
}

/// A part of all that is counted of a link, in the order of the days; the sum of all time comes last.
#[derive(Debug)]
pub struct Counted {
    /// The days: 1 MB of them at most.
    pub days: Vec<DayCounts>,
    /// The sum; with the last part, once there were clicks.
    pub total: Option<Counts>,
    /// Where the next part begins.
    pub next: Option<Item>,
}

impl LinkStore {
    /// One read of all that is counted of a link.
    pub async fn counted(&self, tenant: &TenantId, link: &LinkId, start: Option<Item>) -> Result<Counted, WriteError> {
        let query =
            Query::new(&self.table, "pk = :counts").value(":counts", s(format!("{tenant}#{link}"))).after(start);
        let page = self.dynamo.query(query).await?;
        let is_total = |item: &&Item| text(item, "sk") == Some("total");
        Ok(Counted {
            days: page.items.iter().filter_map(day_counts).collect(),
            total: page.items.iter().find(is_total).map(kind_counts),
            next: page.next,
        })
    }

    /// The counts of the days from `from` to `to`, both included: at most 366 small items.
    pub async fn days(
        &self,
        tenant: &TenantId,
        link: &LinkId,
        from: Date,
        to: Date,
    ) -> Result<Vec<DayCounts>, WriteError> {
        let mut days = Vec::new();
        let mut after = None;
        loop {
            let query = Query::new(&self.table, "pk = :counts AND sk BETWEEN :from AND :to")
                .value(":counts", s(format!("{tenant}#{link}")))
                .value(":from", s(format!("day#{from}")))
                .value(":to", s(format!("day#{to}")))
                .after(after);
            let page = self.dynamo.query(query).await?;
            days.extend(page.items.iter().filter_map(day_counts));
            after = page.next;
            if after.is_none() {
                return Ok(days);
            }
        }
    }

    /// Forgets all that was counted of a link.
    pub async fn forget_counts(&self, tenant: &TenantId, link: &LinkId) -> Result<(), WriteError> {
        let counts = format!("{tenant}#{link}");
        let mut after = None;
        loop {
            let query = Query::new(&self.table, "pk = :counts").value(":counts", s(&counts)).after(after);
            let page = self.dynamo.query(query).await?;
            let keys = page.items.iter().filter_map(|item| text(item, "sk")).map(|sk| key(&counts, sk));
            let deletes: Vec<_> = keys.map(|key| self.dynamo.delete(Delete::new(&self.table, key))).collect();
            stream::iter(deletes).buffer_unordered(DELETED_AT_ONCE).try_collect::<()>().await?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// The counts of all time.
    pub async fn total(&self, tenant: &TenantId, link: &LinkId) -> Result<Counts, WriteError> {
        let key = key(format!("{tenant}#{link}"), "total");
        Ok(self.dynamo.get(&self.table, key, false).await?.map(|item| kind_counts(&item)).unwrap_or_default())
    }
}

fn count(item: &Item, name: &str) -> u64 {
    number(item, name).unwrap_or(0)
}

fn kind_counts(item: &Item) -> Counts {
    Counts { clicks: count(item, "clicks"), bots: count(item, "bots"), previews: count(item, "previews") }
}

fn day_counts(item: &Item) -> Option<DayCounts> {
    let day = text(item, "sk")?.strip_prefix("day#")?.parse().ok()?;
    let under = |prefix: &str| {
        item.keys().filter_map(|name| Some((name.strip_prefix(prefix)?.to_owned(), count(item, name)))).collect()
    };
    Some(DayCounts {
        day,
        counts: kind_counts(item),
        referrers: under("r#"),
        countries: under("c#"),
        devices: under("d#"),
    })
}
