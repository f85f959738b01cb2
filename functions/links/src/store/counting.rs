//! How clicks are counted: exactly once, many at a time.
//!
//! The clicks of one link and day are counted in one transaction: for each a mark that it was counted, which fails when
//! it is there already, then the sums on the item of the day and on the item of the total. So a click that comes twice,
//! late or out of order counts once, on its own day; and a link that is followed ten thousand times a second needs a few
//! hundred transactions, not ten thousand that stand in one another's way.
//!
//! A day's item tells at most [`MOST_REFERRERS`] hosts apart, whose names are the set `hosts`; what comes from further
//! ones, or from a name of more than [`LONGEST_REFERRER`] characters, is counted under [`OTHER_REFERRERS`].

use std::collections::{BTreeMap, BTreeSet};

use shared::dynamo::{AttributeValue, Cancellation, DynamoError, Item, Key, Put, TransactWrite, Update, key, n, s};
use shared::time::Timestamp;

use super::{LinkStore, WriteError};
use crate::click::Click;
use crate::visitor::{Device, Kind};

/// The most clicks that are counted in one transaction.
pub const MOST_TOGETHER: usize = 25;

/// The most referring hosts of a link and day that are told apart.
pub const MOST_REFERRERS: usize = 100;

/// The longest host name that is told apart, in bytes: an item's size is what its writes cost.
pub const LONGEST_REFERRER: usize = 100;

/// What the rest is counted under. Not a host name.
pub const OTHER_REFERRERS: &str = "(other)";

/// How long after its counting it is known that a click was counted: longer than a queue and its dead-letter queue keep
/// a message.
pub const SEEN_DAYS: i64 = 30;

/// How often a transaction is tried whose clicks or hosts turned out to be others than thought.
const ATTEMPTS: usize = 4;

impl LinkStore {
    /// Counts clicks of one link and one day, at most [`MOST_TOGETHER`], each once however often it comes.
    ///
    /// # Errors
    /// Nothing was counted; [`WriteError::Conflict`] when other counts of the link were in the way each time.
    pub async fn count(&self, clicks: &[&Click], now: Timestamp) -> Result<(), WriteError> {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<&Click> = clicks.iter().copied().filter(|click| seen.insert(click.id)).collect();
        let mut known_hosts = None;
        for _ in 0..ATTEMPTS {
            let Some(first) = pending.first() else { return Ok(()) };
            let mut writes: Vec<_> = pending.iter().map(|click| self.mark(click, now)).collect();
            let (day, total) = self.sums(first, &pending, known_hosts.as_ref());
            let day_at = writes.len();
            writes.extend([TransactWrite::Update(day), TransactWrite::Update(total)]);

            let reasons = match self.dynamo.transact_again(writes).await {
                Ok(()) => return Ok(()),
                Err(DynamoError::Cancelled { reasons }) => reasons,
                Err(error) => return Err(error.into()),
            };
            let failed = |at: usize| matches!(reasons.get(at), Some(Cancellation::ConditionFailed(_)));
            if !(0..=day_at).any(failed) {
                return Err(DynamoError::Cancelled { reasons }.into());
            }
            if let Some(Cancellation::ConditionFailed(day)) = reasons.get(day_at) {
                known_hosts = Some(hosts_of(day));
            }
            let mut at = 0..;
            pending.retain(|_| !at.next().is_some_and(failed));
        }
        Err(WriteError::Conflict)
    }

    /// The mark that a click was counted. It lasts from the counting on: a click may have waited for long.
    fn mark(&self, click: &Click, now: Timestamp) -> TransactWrite {
        let mut seen = Item::from(key(format!("{}#{}", click.tenant_id, click.id), "seen"));
        seen.insert("removed_at".to_owned(), n(now.as_second() + SEEN_DAYS * 24 * 60 * 60));
        TransactWrite::Put(Put::new(&self.table, seen).only_if("attribute_not_exists(pk)"))
    }

    /// The sums of `clicks` for the day and for the total of the link that `of` is a click of.
    fn sums(&self, of: &Click, clicks: &[&Click], known_hosts: Option<&BTreeSet<String>>) -> (Update, Update) {
        let key = |sk: String| key(format!("{}#{}", of.tenant_id, of.link_id), sk);
        let tally = Tally::of(clicks, known_hosts);
        let total = add(&self.table, key("total".to_owned()), &tally.kinds, "");
        let mut sums = tally.kinds;
        sums.extend(tally.parts);
        let day = key(format!("day#{}", of.day));
        if tally.hosts.is_empty() {
            return (add(&self.table, day, &sums, ""), total);
        }
        let room = MOST_REFERRERS.saturating_sub(tally.hosts.len());
        let hosts: Vec<_> = tally.hosts.into_iter().collect();
        let contained: Vec<_> = (0..hosts.len()).map(|at| format!("contains(hosts, :h{at})")).collect();
        let condition = format!("attribute_not_exists(hosts) OR size(hosts) <= :room OR ({})", contained.join(" AND "));
        let mut day = add(&self.table, day, &sums, ", hosts :hosts").only_if(condition).value(":room", n(room));
        for (at, host) in hosts.iter().enumerate() {
            day = day.value(format!(":h{at}"), s(host));
        }
        (day.value(":hosts", AttributeValue::Ss(hosts)), total)
    }
}

/// An update that adds to attributes.
fn add(table: &str, key: Key, sums: &BTreeMap<String, u64>, further: &str) -> Update {
    let added: Vec<_> = (0..sums.len()).map(|at| format!("#a{at} :a{at}")).collect();
    let update = Update::new(table, key, format!("ADD {}{further}", added.join(", ")));
    sums.iter().enumerate().fold(update, |update, (at, (name, count))| {
        update.name(format!("#a{at}"), name).value(format!(":a{at}"), n(count))
    })
}

/// What clicks add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    /// By kind.
    kinds: BTreeMap<String, u64>,
    /// By referring host, country and class of device, of people.
    parts: BTreeMap<String, u64>,
    /// The hosts that must be, or become, members of the day's set.
    hosts: BTreeSet<String>,
}

impl Tally {
    /// Adds up. `known_hosts` is the day's set where it is known to be too full for all that were asked for.
    fn of(clicks: &[&Click], known_hosts: Option<&BTreeSet<String>>) -> Self {
        let mut tally = Self::default();
        // Hosts that are in the set stay in it, so they need no condition any more.
        let mut room = known_hosts.map_or(MOST_REFERRERS, |known| MOST_REFERRERS.saturating_sub(known.len()));
        for click in clicks {
            *tally.kinds.entry(kind_attribute(click.kind).to_owned()).or_default() += 1;
            if click.kind != Kind::Human {
                continue;
            }
            let host = click.referrer.as_str();
            let is_known = known_hosts.is_some_and(|known| known.contains(host)) || tally.hosts.contains(host);
            let told_apart = host.len() <= LONGEST_REFERRER && (is_known || room > 0);
            if told_apart && !is_known {
                room -= 1;
                tally.hosts.insert(host.to_owned());
            }
            let mut count = |name: String| *tally.parts.entry(name).or_default() += 1;
            count(format!("r#{}", if told_apart { host } else { OTHER_REFERRERS }));
            count(format!("d#{}", device_name(click.device)));
            if let Some(country) = click.country {
                count(format!("c#{}", String::from(country)));
            }
        }
        tally
    }
}

fn hosts_of(day: &Item) -> BTreeSet<String> {
    match day.get("hosts") {
        Some(AttributeValue::Ss(hosts)) => hosts.iter().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

const fn kind_attribute(kind: Kind) -> &'static str {
    match kind {
        Kind::Human => "clicks",
        Kind::Bot => "bots",
        Kind::Preview => "previews",
    }
}

const fn device_name(device: Device) -> &'static str {
    match device {
        Device::Desktop => "desktop",
        Device::Mobile => "mobile",
        Device::Tablet => "tablet",
        Device::Tv => "tv",
        Device::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::random::Random;
    use shared::time::Timestamp;

    use super::*;
    use crate::link::tests::link;
    use crate::visitor::Visitor;

    fn click(referrer: &str, is_head: bool) -> Click {
        let header = format!("https://{referrer}/");
        let visitor = Visitor::read(is_head, |name| (name == "referer").then_some(header.as_str()));
        Click::new(&link(), visitor, Timestamp::UNIX_EPOCH, &Random::system())
    }

    fn known(count: usize) -> BTreeSet<String> {
        (0..count).map(|at| format!("known{at}.example")).collect()
    }

    #[test]
    fn people_are_counted_in_all_ways_and_programs_by_their_kind_alone() {
        let clicks = [click("a.example", false), click("a.example", false), click("b.example", true)];
        let tally = Tally::of(&clicks.iter().collect::<Vec<_>>(), None);
        assert_eq!(tally.kinds, [("clicks".to_owned(), 2), ("previews".to_owned(), 1)].into());
        assert_eq!(tally.parts, [("r#a.example".to_owned(), 2), ("d#other".to_owned(), 2)].into());
        assert_eq!(tally.hosts, ["a.example".to_owned()].into());
    }

    #[test]
    fn a_full_day_keeps_its_hosts_and_counts_further_ones_together() {
        let clicks = [click("known7.example", false), click("new.example", false), click(&"a".repeat(63), false)];
        let clicks: Vec<_> = clicks.iter().collect();
        let full = Tally::of(&clicks, Some(&known(MOST_REFERRERS)));
        assert_eq!(full.parts.get("r#known7.example"), Some(&1));
        assert_eq!(full.parts.get("r#(other)"), Some(&2));
        assert!(full.hosts.is_empty());
        let room_for_one = Tally::of(&clicks, Some(&known(MOST_REFERRERS - 1)));
        assert_eq!(room_for_one.hosts, ["new.example".to_owned()].into());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_adding_up(hosts in proptest::collection::vec("[a-z]{1,120}", 0..40), known_count in 0..=MOST_REFERRERS) {
            let clicks: Vec<_> = hosts.iter().map(|host| click(host, false)).collect();
            let set = known(known_count);
            let tally = Tally::of(&clicks.iter().collect::<Vec<_>>(), Some(&set));
            let referred: u64 = tally.parts.iter().filter(|(name, _)| name.starts_with("r#")).map(|(_, count)| count).sum();
            prop_assert_eq!(referred, hosts.len() as u64);
            prop_assert_eq!(tally.kinds.values().sum::<u64>(), hosts.len() as u64);
            prop_assert!(set.len() + tally.hosts.len() <= MOST_REFERRERS);
        }
    }
}
