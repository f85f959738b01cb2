//! The counts of clicks.
//!
//! A click is counted in one transaction of three writes: the mark that it was counted, which fails when it is there
//! already, the item of its day, and the item of the total. So a message that comes twice, late or out of order counts
//! once, on its own day.
//!
//! A day's item has an attribute for each referring host, country and class of device (`r#news.example`, `c#AT`,
//! `d#mobile`), counted for people alone. It holds at most [`MOST_REFERRERS`] hosts; what comes from further ones is
//! counted under [`OTHER_REFERRERS`].

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;
use shared::dynamo::{AttributeValue, Cancellation, DynamoError, Item, Key, Put, Query, TransactWrite, Update, n, s};
use shared::id::TenantId;
use utoipa::ToSchema;

use super::{LinkStore, WriteError};
use crate::click::Click;
use crate::link::LinkId;
use crate::visitor;

/// The most referring hosts of a link and day that are told apart.
pub const MOST_REFERRERS: usize = 100;

/// What the rest is counted under. Not a host name.
pub const OTHER_REFERRERS: &str = "(other)";

/// How long it is known that a click was counted: longer than a queue and its dead-letter queue keep a message.
pub const SEEN_DAYS: i64 = 30;

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

impl LinkStore {
    /// Counts a click, once however often it comes. `false` when it was counted before.
    pub async fn count(&self, click: &Click) -> Result<bool, WriteError> {
        let referrer = click.referrer.as_str();
        match self.count_as(click, referrer).await {
            // Too many hosts that day: it is the day's condition that failed.
            Err(DynamoError::Cancelled { reasons }) if is_failed(&reasons, 1) && !is_failed(&reasons, 0) => {
                self.count_as(click, OTHER_REFERRERS).await
            }
            other => other,
        }
        .or_else(|error| match error {
            DynamoError::Cancelled { reasons } if is_failed(&reasons, 0) => Ok(false),
            DynamoError::Cancelled { reasons } if reasons.contains(&Cancellation::Conflict) => {
                Err(WriteError::Conflict)
            }
            error => Err(error.into()),
        })
    }

    async fn count_as(&self, click: &Click, referrer: &str) -> Result<bool, DynamoError> {
        let tenant = click.tenant_id;
        let counts = format!("{tenant}#{}", click.link_id);
        let seen: Item = [
            ("pk".to_owned(), s(format!("{tenant}#{}", click.id))),
            ("sk".to_owned(), s("seen")),
            ("removed_at".to_owned(), n(click.at.as_second() + SEEN_DAYS * 24 * 60 * 60)),
        ]
        .into();
        let key = |sk: String| -> Key { [("pk", s(&counts)), ("sk", s(sk))].into() };
        let kind = kind_attribute(click.kind);
        let total =
            Update::new(&self.table, key("total".to_owned()), "ADD #kind :one").name("#kind", kind).value(":one", n(1));
        self.dynamo
            .transact(vec![
                TransactWrite::Put(Put::new(&self.table, seen).only_if("attribute_not_exists(pk)")),
                TransactWrite::Update(self.day_update(click, referrer, key(format!("day#{}", click.day)))),
                TransactWrite::Update(total),
            ])
            .await?;
        Ok(true)
    }

    fn day_update(&self, click: &Click, referrer: &str, key: Key) -> Update {
        let mut names = vec![("#kind", kind_attribute(click.kind).to_owned())];
        if click.kind == visitor::Kind::Human {
            names.push(("#referrer", format!("r#{referrer}")));
            names.push(("#device", format!("d#{}", device_name(click.device))));
            if let Some(country) = click.country {
                names.push(("#country", format!("c#{}", String::from(country))));
            }
        }
        let added: Vec<_> = names.iter().map(|(placeholder, _)| format!("{placeholder} :one")).collect();
        let mut expression = format!("ADD {}", added.join(", "));
        let is_host = names.len() > 1 && referrer != OTHER_REFERRERS;
        if is_host {
            expression.push_str(", hosts :host");
        }
        let mut update = Update::new(&self.table, key, expression).value(":one", n(1));
        if is_host {
            update = update
                .only_if("attribute_not_exists(hosts) OR contains(hosts, :name) OR size(hosts) < :most")
                .value(":host", AttributeValue::Ss(vec![referrer.to_owned()]))
                .value(":name", s(referrer))
                .value(":most", n(MOST_REFERRERS));
        }
        names.into_iter().fold(update, |update, (placeholder, name)| update.name(placeholder, name))
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

    /// The counts of all time.
    pub async fn total(&self, tenant: &TenantId, link: &LinkId) -> Result<Counts, WriteError> {
        let key: Key = [("pk", s(format!("{tenant}#{link}"))), ("sk", s("total"))].into();
        Ok(self.dynamo.get(&self.table, key, false).await?.map(|item| kind_counts(&item)).unwrap_or_default())
    }
}

fn is_failed(reasons: &[Cancellation], at: usize) -> bool {
    matches!(reasons.get(at), Some(Cancellation::ConditionFailed(_)))
}

const fn kind_attribute(kind: visitor::Kind) -> &'static str {
    match kind {
        visitor::Kind::Human => "clicks",
        visitor::Kind::Bot => "bots",
        visitor::Kind::Preview => "previews",
    }
}

const fn device_name(device: visitor::Device) -> &'static str {
    match device {
        visitor::Device::Desktop => "desktop",
        visitor::Device::Mobile => "mobile",
        visitor::Device::Tablet => "tablet",
        visitor::Device::Tv => "tv",
        visitor::Device::Other => "other",
    }
}

fn number(item: &Item, name: &str) -> u64 {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn kind_counts(item: &Item) -> Counts {
    Counts { clicks: number(item, "clicks"), bots: number(item, "bots"), previews: number(item, "previews") }
}

fn day_counts(item: &Item) -> Option<DayCounts> {
    let day = item.get("sk")?.as_s().ok()?.strip_prefix("day#")?.parse().ok()?;
    let under = |prefix: &str| {
        item.keys().filter_map(|name| Some((name.strip_prefix(prefix)?.to_owned(), number(item, name)))).collect()
    };
    Some(DayCounts {
        day,
        counts: kind_counts(item),
        referrers: under("r#"),
        countries: under("c#"),
        devices: under("d#"),
    })
}
