//! The two rules at changes of clocks of every kind. Python's cronsim 2.8, which follows Debian's cron too, gives the
//! same times, except for a search that begins in the second of two equal hours and for the skipped day of Apia.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use super::super::cron::Cron;
use super::super::time_zone::Zone;
use super::*;
use jiff::SignedDuration;

/// The next times as the clocks of the zone show them, with the offset from UTC.
fn times(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let cron: Cron = expression.parse().unwrap();
    let zone: Zone = zone.parse().unwrap();
    let after: Timestamp = after.parse().unwrap();
    let next = |at: &Timestamp| cron.next_after(*at, &zone);
    let times = std::iter::successors(next(&after), next).take(count);
    times.map(|at| at.to_zoned(zone.time_zone().clone()).strftime("%d %H:%M%:z").to_string()).collect()
}

struct Case {
    zone: &'static str,
    /// What the clocks do, and where the search begins.
    after: (&'static str, &'static str),
    /// An expression, and its next times: day, time and offset.
    ticks: &'static [(&'static str, &'static [&'static str])],
}

const CASES: &[Case] = &[
    Case {
        zone: "Europe/Berlin",
        after: ("02:00 becomes 03:00", "2026-03-28T12:00:00Z"),
        ticks: &[
            ("30 2 * * *", &["29 03:00+02:00", "30 02:30+02:00"]),
            ("0 2 * * *", &["29 03:00+02:00", "30 02:00+02:00"]),
            ("0 3 * * *", &["29 03:00+02:00", "30 03:00+02:00"]),
            ("0,20,40 2 * * *", &["29 03:00+02:00", "30 02:00+02:00"]),
            ("30 2,14 * * *", &["28 14:30+01:00", "29 03:00+02:00", "29 14:30+02:00"]),
            ("0 0-4 * * *", &["29 00:00+01:00", "29 01:00+01:00", "29 03:00+02:00", "29 04:00+02:00"]),
            ("30 2 29 3 *", &["29 03:00+02:00", "29 02:30+02:00"]),
            ("59 1 * * SUN", &["29 01:59+01:00", "05 01:59+02:00"]),
            ("0 */2 * * SUN", &["29 00:00+01:00", "29 04:00+02:00"]),
            ("*/15 2 * * *", &["30 02:00+02:00", "30 02:15+02:00"]),
            ("30 * * * SUN", &["29 00:30+01:00", "29 01:30+01:00", "29 03:30+02:00", "29 04:30+02:00"]),
            ("*/30 1-3 * * SUN", &["29 01:00+01:00", "29 01:30+01:00", "29 03:00+02:00", "29 03:30+02:00"]),
        ],
    },
    Case {
        zone: "Europe/Berlin",
        after: ("03:00 becomes 02:00", "2026-10-24T12:00:00Z"),
        ticks: &[
            ("30 2 * * *", &["25 02:30+02:00", "26 02:30+01:00"]),
            ("0 3 * * *", &["25 03:00+01:00", "26 03:00+01:00"]),
            ("0,30 2 * * *", &["25 02:00+02:00", "25 02:30+02:00", "26 02:00+01:00"]),
            (
                "30 * 25 10 *",
                &["25 00:30+02:00", "25 01:30+02:00", "25 02:30+02:00", "25 02:30+01:00", "25 03:30+01:00"],
            ),
            ("*/30 2 * * SUN", &["25 02:00+02:00", "25 02:30+02:00", "25 02:00+01:00", "25 02:30+01:00"]),
            ("0 */2 * * SUN", &["25 00:00+02:00", "25 02:00+02:00", "25 02:00+01:00", "25 04:00+01:00"]),
        ],
    },
    Case {
        zone: "Europe/Berlin",
        after: ("in the second of the two hours", "2026-10-25T01:10:00Z"),
        ticks: &[("30 2 * * *", &["26 02:30+01:00"]), ("30 * * * *", &["25 02:30+01:00", "25 03:30+01:00"])],
    },
    Case {
        zone: "America/New_York",
        after: ("02:00 becomes 03:00", "2026-03-08T05:00:00Z"),
        ticks: &[
            ("30 2 * * *", &["08 03:00-04:00", "09 02:30-04:00"]),
            (
                "*/20 * * * *",
                &[
                    "08 00:20-05:00",
                    "08 00:40-05:00",
                    "08 01:00-05:00",
                    "08 01:20-05:00",
                    "08 01:40-05:00",
                    "08 03:00-04:00",
                ],
            ),
            ("@daily", &["09 00:00-04:00"]),
        ],
    },
    Case {
        zone: "America/New_York",
        after: ("02:00 becomes 01:00", "2026-11-01T04:00:00Z"),
        ticks: &[
            ("30 1 * * *", &["01 01:30-04:00", "02 01:30-05:00"]),
            ("@hourly", &["01 01:00-04:00", "01 01:00-05:00", "01 02:00-05:00"]),
            ("0 2 * * *", &["01 02:00-05:00"]),
        ],
    },
    Case {
        zone: "Australia/Lord_Howe",
        after: ("02:00 becomes 02:30", "2026-10-03T14:00:00Z"),
        ticks: &[
            ("15 2 * * *", &["04 02:30+11:00", "05 02:15+11:00"]),
            ("45 2 * * *", &["04 02:45+11:00", "05 02:45+11:00"]),
            ("0 * * * *", &["04 01:00+10:30", "04 03:00+11:00"]),
            (
                "*/15 * * * *",
                &[
                    "04 00:45+10:30",
                    "04 01:00+10:30",
                    "04 01:15+10:30",
                    "04 01:30+10:30",
                    "04 01:45+10:30",
                    "04 02:30+11:00",
                ],
            ),
        ],
    },
    Case {
        zone: "Australia/Lord_Howe",
        after: ("02:00 becomes 01:30", "2026-04-04T14:00:00Z"),
        ticks: &[
            ("45 1 * * *", &["05 01:45+11:00", "06 01:45+10:30"]),
            ("15 1 * * *", &["05 01:15+11:00", "06 01:15+10:30"]),
            ("*/30 * * * *", &["05 01:30+11:00", "05 01:30+10:30", "05 02:00+10:30"]),
        ],
    },
    Case {
        zone: "America/Sao_Paulo",
        after: ("00:00 becomes 01:00: the day has no midnight", "2018-11-03T12:00:00Z"),
        ticks: &[
            ("0 0 * * *", &["04 01:00-02:00", "05 00:00-02:00"]),
            ("30 0 * * SUN", &["04 01:00-02:00", "11 00:30-02:00"]),
            ("0 * 4 11 *", &["04 01:00-02:00", "04 02:00-02:00"]),
        ],
    },
    Case {
        zone: "America/Sao_Paulo",
        after: ("00:00 becomes 23:00 of the day before", "2018-02-18T01:00:00Z"),
        ticks: &[
            ("30 23 * * *", &["17 23:30-02:00", "18 23:30-03:00"]),
            ("30 * * * SAT", &["17 23:30-02:00", "17 23:30-03:00", "24 00:30-03:00"]),
            ("0 0 * * *", &["18 00:00-03:00"]),
        ],
    },
    Case {
        zone: "Africa/Casablanca",
        after: ("the winter time of Ramadan begins: 03:00 becomes 02:00", "2024-03-10T00:00:00Z"),
        ticks: &[
            ("30 2 * * *", &["10 02:30+01:00", "11 02:30+00:00"]),
            ("30 * * * *", &["10 01:30+01:00", "10 02:30+01:00", "10 02:30+00:00"]),
        ],
    },
    Case {
        zone: "Africa/Casablanca",
        after: ("and ends: 02:00 becomes 03:00", "2024-04-14T00:00:00Z"),
        ticks: &[
            ("30 2 * * *", &["14 03:00+01:00", "15 02:30+01:00"]),
            ("30 * * * *", &["14 00:30+00:00", "14 01:30+00:00", "14 03:30+01:00"]),
        ],
    },
    Case {
        zone: "Pacific/Apia",
        after: ("30 December 2011 is skipped", "2011-12-29T20:00:00Z"),
        ticks: &[
            ("0 9 * * *", &["31 00:00+14:00", "31 09:00+14:00"]),
            ("0 9 30 12 *", &["31 00:00+14:00", "30 09:00+14:00"]),
            ("0 0 31 12 *", &["31 00:00+14:00", "31 00:00+14:00"]),
            ("0 */8 * * *", &["29 16:00-10:00", "31 00:00+14:00", "31 08:00+14:00"]),
            ("* * 30 12 *", &["30 00:00+14:00"]),
        ],
    },
    Case {
        zone: "Antarctica/Troll",
        after: ("01:00 becomes 03:00", "2024-03-30T12:00:00Z"),
        ticks: &[("30 1,2 * * *", &["31 03:00+02:00", "01 01:30+02:00"])],
    },
    Case {
        zone: "Asia/Kathmandu",
        after: ("no change, 45 minutes off the hour", "2026-03-28T12:00:00Z"),
        ticks: &[("0 2 * * *", &["29 02:00+05:45", "30 02:00+05:45"])],
    },
    Case {
        zone: "UTC",
        after: ("no change", "2026-03-28T12:00:00Z"),
        ticks: &[("30 2 * * *", &["29 02:30+00:00"]), ("*/30 * * * *", &["28 12:30+00:00", "28 13:00+00:00"])],
    },
];

#[test]
fn expressions_fire_as_documented_when_clocks_change() {
    let mut wrong = String::new();
    for Case { zone, after: (what, after), ticks } in CASES {
        for (expression, expected) in *ticks {
            let found = times(expression, zone, after, expected.len());
            if found != *expected {
                writeln!(wrong, "{zone}, {what}: {expression:?} fires {found:?}, not {expected:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_quarter_hour_lasts_fifteen_minutes_through_a_repeated_hour_and_a_skipped_one() {
    let cron: Cron = "*/15 * * * *".parse().unwrap();
    for (zone, start) in [
        ("Europe/Berlin", "2026-10-24T00:00:00Z"),
        ("Europe/Berlin", "2026-03-28T00:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
        ("America/Sao_Paulo", "2018-11-03T00:00:00Z"),
        ("Pacific/Apia", "2011-12-29T00:00:00Z"),
    ] {
        let zone: Zone = zone.parse().unwrap();
        let mut at: Timestamp = start.parse().unwrap();
        for _ in 0..300 {
            let next = cron.next_after(at, &zone).unwrap();
            assert_eq!(next.duration_since(at), SignedDuration::from_mins(15), "{zone} {at}");
            at = next;
        }
    }
}
