//! The ticks of any expression at any change of clocks are those that show when a clock is watched by the minute.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use jiff::civil::DateTime;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::cron::Cron;
use super::super::time_zone::Zone;
use super::*;

/// An expression with the values that its text stands for, so that the reader of the text is not asked what it means.
#[derive(Clone, Debug)]
struct Plan {
    text: String,
    values: [BTreeSet<i8>; 5],
    both_days: bool,
    fixed_time: bool,
}

impl Plan {
    fn matches(&self, local: DateTime) -> bool {
        let [minutes, hours, days, months, weekdays] = &self.values;
        let day = days.contains(&local.day());
        let weekday = weekdays.contains(&local.weekday().to_sunday_zero_offset());
        minutes.contains(&local.minute())
            && hours.contains(&local.hour())
            && months.contains(&local.month())
            && if self.both_days { day && weekday } else { day || weekday }
    }

    /// The ticks in (`after`, `until`], found by a look at the clock in each minute. It stands before what the clock
    /// has not shown yet: a fixed time fires when it is passed for the first time.
    fn watch(&self, zone: &TimeZone, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
        let mut at = after.checked_sub(26.hours()).unwrap();
        let mut latest = zone.to_datetime(at);
        let mut ticks = Vec::new();
        while at < until {
            at = at.checked_add(1.minute()).unwrap();
            let shown = zone.to_datetime(at);
            let mut fires = !self.fixed_time && self.matches(shown);
            while latest < shown {
                latest = latest.checked_add(1.minute()).unwrap();
                fires |= self.fixed_time && self.matches(latest);
            }
            if fires && at > after {
                ticks.push(at);
            }
        }
        ticks
    }
}

/// A field's text and the values that it stands for.
fn field(low: i8, high: i8, most: usize) -> impl Strategy<Value = (String, BTreeSet<i8>)> {
    let all: Vec<i8> = (low..=high).collect();
    prop_oneof![
        3 => Just(("*".to_owned(), all.iter().copied().collect())),
        2 => (1..=high).prop_map(move |step| {
            (format!("*/{step}"), (low..=high).step_by(usize::try_from(step).unwrap()).collect())
        }),
        2 => (low..=high, low..=high, 1..=4_i8).prop_map(|(one, other, step)| {
            let (first, last) = (one.min(other), one.max(other));
            let values = (first..=last).step_by(usize::try_from(step).unwrap()).collect();
            (format!("{first}-{last}/{step}"), values)
        }),
        3 => subsequence(all, 1..=most).prop_map(|values| {
            let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
            (texts.join(","), values.into_iter().collect())
        }),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let fields = (field(0, 59, 6), field(0, 23, 6), field(1, 31, 6), field(1, 12, 6), field(0, 6, 4));
    fields.prop_map(|(minute, hour, day, month, weekday)| {
        let fields = [minute, hour, day, month, weekday];
        let texts = fields.each_ref().map(|(text, _)| text.as_str());
        let [minute, hour, day, _, weekday] = texts.map(|text| text.starts_with('*'));
        Plan {
            text: texts.join(" "),
            both_days: day || weekday,
            fixed_time: !minute && !hour,
            values: fields.map(|(_, values)| values),
        }
    })
}

/// Zones, each with changes of its clocks: forward, back, by an hour, half an hour, two, a day, at midnight.
const CHANGES: &[(&str, &str)] = &[
    ("UTC", "2026-02-28T23:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z"),
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z"),
    ("Africa/Casablanca", "2024-03-10T02:00:00Z"),
    ("Africa/Casablanca", "2024-04-14T02:00:00Z"),
    ("Antarctica/Troll", "2024-03-31T01:00:00Z"),
    ("Antarctica/Troll", "2024-10-27T01:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
];

#[test]
fn the_clocks_change_at_the_instants_of_the_table() {
    for (name, at) in CHANGES.iter().filter(|(name, _)| *name != "UTC") {
        let zone: Zone = name.parse().unwrap();
        let at: Timestamp = at.parse().unwrap();
        let before = at.checked_sub(1.second()).unwrap();
        let change = zone.time_zone().following(before).next().unwrap();
        assert_eq!(change.timestamp(), at, "{name}");
        assert_ne!(change.offset(), zone.time_zone().to_offset(before), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_ticks_are_those_of_a_watched_clock(
        plan in plans(), (name, change) in select(CHANGES), seconds in -100_000..50_000_i64,
    ) {
        let Ok(cron) = plan.text.parse::<Cron>() else {
            prop_assert!(plan.values[2].iter().all(|day| *day > 28), "{} is refused", plan.text);
            return Ok(());
        };
        let zone: Zone = name.parse().unwrap();
        let after = change.parse::<Timestamp>().unwrap().checked_add(seconds.seconds()).unwrap();
        let until = after.checked_add(36.hours()).unwrap();
        let next = |at: &Timestamp| cron.next_after(*at, &zone);
        let ticks: Vec<Timestamp> = std::iter::successors(next(&after), next).take_while(|at| *at <= until).collect();
        // The clock is watched at whole minutes.
        let whole = |at: Timestamp| Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap();
        let watched = plan.watch(zone.time_zone(), whole(after), whole(until));
        prop_assert_eq!(&ticks, &watched, "{} in {}", plan.text, name);
        prop_assert!(ticks.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn the_next_tick_is_later_and_shows_a_time_that_matches(
        plan in plans(), (name, _) in select(CHANGES), second in 1_000_000_000..4_000_000_000_i64,
    ) {
        let Ok(cron) = plan.text.parse::<Cron>() else { return Ok(()) };
        let zone: Zone = name.parse().unwrap();
        let mut at = Timestamp::from_second(second).unwrap();
        for _ in 0..5 {
            let next = cron.next_after(at, &zone).unwrap();
            prop_assert!(next > at);
            let before = next.checked_sub(1.second()).unwrap();
            let is_jump = zone.time_zone().to_offset(before) < zone.time_zone().to_offset(next);
            let shown = zone.time_zone().to_datetime(next);
            prop_assert!(plan.matches(shown) || plan.fixed_time && is_jump, "{} at {shown} in {name}", plan.text);
            at = next;
        }
    }
}
