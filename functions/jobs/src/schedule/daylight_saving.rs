//! When a cron expression fires on clocks that are put forward and back. The rules are those of Debian's cron
//! ([cron(8)](https://manpages.debian.org/stable/cron/cron.8.en.html), notes; measured in
//! <https://blog.healthchecks.io/2021/10/how-debian-cron-handles-dst-transitions/>):
//!
//! - With neither the minute nor the hour beginning with `*`, the expression names **fixed times**. Each fires once: in
//!   an hour that is repeated the first time, and when its time is skipped at the moment that the clock jumps. Several
//!   times skipped by one jump fire once together.
//! - Any other expression follows **elapsed time**. It fires whenever the clock shows a time that matches: again in an
//!   hour that is repeated, and not at all in one that is skipped.
//!
//! A jump of any size counts as a change of clocks: also the day that a zone skips when it crosses the date line.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// The first fixed time after `after`.
pub(super) fn next_at_fixed_time(calendar: &croner::Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut local = zone.to_datetime(after);
    loop {
        local = calendar.find_next_occurrence(&local, false).ok()?;
        let ambiguous = zone.to_ambiguous_timestamp(local);
        let is_skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let earlier = ambiguous.earlier().ok()?;
        let at = if is_skipped { zone.following(earlier).next()?.timestamp() } else { earlier };
        // It is not later when the clock repeats an hour and `after` is in the second of the two.
        if at > after {
            return Some(at);
        }
    }
}

/// The first instant after `after` at which the clock shows a time that matches.
pub(super) fn next_by_elapsed_time(calendar: &croner::Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after;
    // Between two changes of clocks local time is UTC with an offset: the search goes from change to change.
    loop {
        let offset = zone.to_offset(from);
        let local = calendar.find_next_occurrence(&offset.to_datetime(from), from != after).ok()?;
        let at = offset.to_timestamp(local).ok()?;
        match zone.following(from).next() {
            Some(change) if change.timestamp() <= at => from = change.timestamp(),
            _ => return Some(at),
        }
    }
}

#[cfg(test)]
#[path = "daylight_saving_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "watched_clock_tests.rs"]
mod watched_clock_tests;
