//! Who still uses what is deprecated: counted for each client and day, beside the tenant's credentials.
//!
//! A request that uses something deprecated costs one write, after its answer has gone out. An instance that is lost in
//! between loses the count, and nothing else.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::Offset;

use super::deprecation::{DEPRECATIONS, Deprecation};
use crate::dynamo::{Dynamo, DynamoError, Query, Update, n, s};
use crate::id::TenantId;
use crate::time::{SignedDuration, Timestamp};

/// How long counts are kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The most records that [`Usage::between`] reads.
const MOST_RECORDS: usize = 20_000;

/// The counts, in the table of identity.
#[derive(Clone, Debug)]
pub struct Usage {
    dynamo: Dynamo,
    table: String,
}

/// What a client used on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The client: the id of a user, an API key or a machine client.
    pub client: String,
    /// What kind of client that is.
    pub kind: String,
    /// The day in UTC.
    pub day: Date,
    /// How many requests used what, by its name in the registry.
    pub counts: BTreeMap<&'static str, u64>,
}

/// The counts of some days.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// By day, then client.
    pub records: Vec<Record>,
    /// Whether there are more than were read.
    pub truncated: bool,
}

impl Usage {
    /// The counts in `table`, with the keys `pk` and `sk` and the time to live `removed_at`.
    pub const fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// Counts one request of `client` that used these.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn count(
        &self,
        tenant: &TenantId,
        client: &str,
        kind: &str,
        used: &[&Deprecation],
        now: Timestamp,
    ) -> Result<(), DynamoError> {
        let day = Offset::UTC.to_datetime(now).date();
        let names: Vec<_> = used.iter().map(|deprecation| attribute(deprecation.name)).collect();
        let adds: Vec<_> = (0..names.len()).map(|index| format!("#u{index} :one")).collect();
        let expression = format!("SET #kind = :kind, removed_at = :removed_at ADD {}", adds.join(", "));
        let mut update = Update::new(
            &self.table,
            [("pk", s(partition(tenant))), ("sk", s(format!("{day}#{client}")))].into(),
            &expression,
        )
        .name("#kind", "kind")
        .value(":kind", s(kind))
        .value(":removed_at", n((now + KEPT).as_second()))
        .value(":one", n(1));
        for (index, name) in names.iter().enumerate() {
            update = update.name(format!("#u{index}"), name);
        }
        self.dynamo.update(update).await?;
        Ok(())
    }

    /// What was used from the day `from` to the day `to`.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn between(&self, tenant: &TenantId, from: Date, to: Date) -> Result<Used, DynamoError> {
        let (mut used, mut start) = (Used::default(), None);
        loop {
            let query = Query::new(&self.table, "pk = :pk AND sk BETWEEN :from AND :to").after(start);
            // `~` comes after all that an id has.
            let query = query
                .value(":pk", s(partition(tenant)))
                .value(":from", s(from.to_string()))
                .value(":to", s(format!("{to}#~")));
            let page = self.dynamo.query(query).await?;
            used.records.extend(page.items.iter().filter_map(record));
            start = page.next;
            if start.is_none() || used.records.len() >= MOST_RECORDS {
                used.truncated = start.is_some();
                return Ok(used);
            }
        }
    }
}

fn partition(tenant: &TenantId) -> String {
    format!("{tenant}#deprecated")
}

fn attribute(name: &str) -> String {
    format!("used#{name}")
}

fn record(item: &crate::dynamo::Item) -> Option<Record> {
    let (day, client) = item.get("sk")?.as_s().ok()?.split_once('#')?;
    let count = |deprecation: &Deprecation| {
        let count = item.get(&attribute(deprecation.name))?.as_n().ok()?.parse().ok()?;
        Some((deprecation.name, count))
    };
    Some(Record {
        client: client.to_owned(),
        kind: item.get("kind")?.as_s().ok()?.clone(),
        day: day.parse().ok()?,
        counts: DEPRECATIONS.iter().filter_map(count).collect(),
    })
}
