//! Intervals, what was missed, and jitter.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn every(seconds: u32, anchor: &str) -> Recurrence {
    Recurrence::Every { seconds: seconds.try_into().unwrap(), anchor: at(anchor) }
}

fn by(expression: &str, time_zone: &str) -> Recurrence {
    Recurrence::Cron { expression: expression.parse().unwrap(), time_zone: time_zone.parse().unwrap() }
}

#[test]
fn an_interval_is_counted_from_its_anchor() {
    let recurrence = every(90, "2026-01-01T00:00:10.5Z");
    for (after, expected) in [
        ("2025-06-01T00:00:00Z", "2026-01-01T00:00:10.5Z"),
        ("2026-01-01T00:00:10.499999999Z", "2026-01-01T00:00:10.5Z"),
        ("2026-01-01T00:00:10.5Z", "2026-01-01T00:01:40.5Z"),
        ("2026-01-01T00:01:40.4Z", "2026-01-01T00:01:40.5Z"),
        ("2026-01-01T00:01:40.5Z", "2026-01-01T00:03:10.5Z"),
        ("2026-01-02T00:00:00Z", "2026-01-02T00:00:10.5Z"),
    ] {
        assert_eq!(recurrence.next_after(at(after)), Some(at(expected)), "{after}");
    }
    assert_eq!(recurrence.next_after(Timestamp::MAX), None);
    assert_eq!(
        every(60, "1960-01-01T00:00:00Z").next_after(at("1960-01-01T00:00:59Z")),
        Some(at("1960-01-01T00:01:00Z"))
    );
}

#[test]
fn a_day_by_the_calendar_is_not_a_day_of_seconds() {
    let after = at("2026-03-28T08:00:00Z");
    let calendar = by("0 9 * * *", "Europe/Berlin").next(after, 2);
    assert_eq!(calendar, [at("2026-03-29T07:00:00Z"), at("2026-03-30T07:00:00Z")]);
    let interval = every(86_400, "2026-03-28T08:00:00Z").next(after, 2);
    assert_eq!(interval, [at("2026-03-29T08:00:00Z"), at("2026-03-30T08:00:00Z")]);
    assert!(every(60, "2026-01-01T00:00:00Z").next(after, 0).is_empty());
}

#[test]
fn what_was_missed_is_told_oldest_first_and_cut() {
    let hourly = by("@hourly", "UTC");
    let (since, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T03:00:00Z"));
    let three = ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"].map(at);
    assert_eq!(hourly.missed(since, until, 10), Missed { times: three.to_vec(), cut: false });
    assert_eq!(hourly.missed(since, until, 3), Missed { times: three.to_vec(), cut: false });
    assert_eq!(hourly.missed(since, until, 2), Missed { times: three[..2].to_vec(), cut: true });
    assert_eq!(hourly.missed(since, until, 0), Missed { times: vec![], cut: true });
    assert_eq!(hourly.missed(until, since, 10), Missed { times: vec![], cut: false });
    assert_eq!(hourly.missed(until, until, 10), Missed { times: vec![], cut: false });
}

#[test]
fn a_period_is_a_minute_to_a_leap_year() {
    for (seconds, is_taken) in [(0, false), (59, false), (60, true), (31_622_400, true), (31_622_401, false)] {
        let period = Period::try_from(seconds).map_err(|refusal| refusal.code);
        assert_eq!(period.map(Period::seconds), if is_taken { Ok(seconds) } else { Err("out_of_range") });
    }
}

#[test]
fn a_recurrence_reads_back_as_it_was_written() {
    for (recurrence, document) in [
        (
            by("30 9 * * MON-FRI", "Europe/Berlin"),
            json!({"kind": "cron", "expression": "30 9 * * MON-FRI", "time_zone": "Europe/Berlin"}),
        ),
        (
            every(300, "2026-01-01T00:00:00.25Z"),
            json!({"kind": "every", "seconds": 300, "anchor": "2026-01-01T00:00:00.25Z"}),
        ),
    ] {
        assert_eq!(serde_json::to_value(&recurrence).unwrap(), document);
        assert_eq!(serde_json::from_value::<Recurrence>(document).unwrap(), recurrence);
    }
    let refused =
        serde_json::from_value::<Recurrence>(json!({"kind": "every", "seconds": 5, "anchor": "2026-01-01T00:00:00Z"}));
    assert_eq!(refused.unwrap_err().to_string(), "out_of_range: must be from 60 to 31622400 seconds");
}

#[test]
fn jitter_is_the_same_for_every_scheduler() {
    let tick = at("2026-01-01T00:00:00Z");
    let most = Duration::from_mins(1);
    // Written down so that a new version of a scheduler does not disagree with the old one beside it.
    assert_eq!(jitter("schedule_a", tick, most), Duration::from_millis(59_355));
    assert_eq!(jitter("schedule_b", tick, most), Duration::from_millis(54_302));
    assert_eq!(jitter("schedule_a", tick.checked_add(1.minute()).unwrap(), most), Duration::from_millis(35_086));
    assert_eq!(jitter("schedule_a", tick, Duration::ZERO), Duration::ZERO);
    assert_eq!(jitter("schedule_a", tick, Duration::from_micros(900)), Duration::ZERO);
}

#[test]
fn jitter_spreads_the_schedules_of_one_tick() {
    let tick = at("2026-01-01T00:00:00Z");
    let delays: Vec<Duration> =
        (0..1000).map(|number| jitter(&format!("schedule_{number}"), tick, Duration::from_mins(1))).collect();
    for tenth in 0..10 {
        let within = |delay: &&Duration| delay.as_secs() / 6 == tenth;
        assert!((70..=130).contains(&delays.iter().filter(within).count()), "tenth {tenth}");
    }
    assert!(delays.iter().collect::<BTreeSet<_>>().len() > 980);
}

proptest! {
    #[test]
    fn ticks_of_an_interval_are_later_and_a_whole_number_of_periods_from_the_anchor(
        seconds in 60..=31_622_400_u32, anchor in -4_000_000_000_000..4_000_000_000_000_i64,
        after in -4_000_000_000_000..4_000_000_000_000_i64,
    ) {
        let [anchor, after] = [anchor, after].map(|at| Timestamp::from_millisecond(at).unwrap());
        let recurrence = Recurrence::Every { seconds: seconds.try_into().unwrap(), anchor };
        let ticks = recurrence.next(after, 3);
        prop_assert!(ticks[0] > after && ticks[0] >= anchor);
        let period = i64::from(seconds) * 1000;
        prop_assert!(ticks[0] == anchor || ticks[0].as_millisecond() - period <= after.as_millisecond());
        for pair in ticks.windows(2) {
            prop_assert_eq!(pair[1].as_millisecond() - pair[0].as_millisecond(), period);
        }
        prop_assert_eq!((ticks[0].as_millisecond() - anchor.as_millisecond()) % period, 0);
    }

    #[test]
    fn what_was_missed_is_what_would_have_come_next(
        seconds in 60..5000_u32, length in 0..100_000_i64, most in 0..40_usize,
    ) {
        let recurrence = every(seconds, "2026-01-01T00:00:00Z");
        let since = at("2026-02-01T00:00:01Z");
        let until = since.checked_add(length.seconds()).unwrap();
        let missed = recurrence.missed(since, until, most);
        let all: Vec<Timestamp> = recurrence.next(since, 2000).into_iter().filter(|tick| *tick <= until).collect();
        prop_assert_eq!(missed.cut, all.len() > most);
        prop_assert_eq!(missed.times, all.into_iter().take(most).collect::<Vec<_>>());
    }

    #[test]
    fn jitter_is_within_its_bound(id in "[a-z0-9_]{1,40}", second in 0..4_000_000_000_i64, most in 0..100_000_000_u64) {
        let most = Duration::from_millis(most);
        prop_assert!(jitter(&id, Timestamp::from_second(second).unwrap(), most) <= most);
    }
}
