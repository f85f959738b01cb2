//! What is next for a schedule at a time. A step deals with the oldest tick, or leaves several out that were missed,
//! and is one write; so whoever comes later, or at the same time, goes on from where the record stands.

use shared::time::{SignedDuration, Timestamp};

use super::record::{CatchUp, MILLISECOND, Schedule};

/// A tick that is later than this has been missed. One that is less late only had to wait for a scheduler.
pub const MISSED_AFTER: SignedDuration = SignedDuration::from_mins(3);

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A tick fires.
    Fire {
        /// The tick.
        tick: Timestamp,
        /// The tick after it.
        next: Option<Timestamp>,
    },
    /// Ticks are left out that were missed.
    Miss {
        /// The first of them.
        first: Timestamp,
        /// The newest of them, or a time between it and `next`.
        last: Timestamp,
        /// The tick after them.
        next: Option<Timestamp>,
    },
}

impl Schedule {
    /// The next step at `now`, if there is a tick up to `until`.
    pub fn step(&self, now: Timestamp, until: Timestamp) -> Option<Step> {
        let tick = self.next_at.filter(|tick| *tick <= until)?;
        if now.duration_since(tick) > MISSED_AFTER {
            let over = self.ends_at.map_or(now, |end| end.min(now));
            let kept = match self.catch_up {
                CatchUp::None => None,
                some => Some(self.first_of_newest(tick, over, some.most())),
            };
            match kept {
                None => return Some(Step::Miss { first: tick, last: over, next: self.tick_after(over) }),
                Some(kept) if kept > tick => {
                    let last = kept.checked_sub(MILLISECOND).unwrap_or(kept);
                    return Some(Step::Miss { first: tick, last, next: Some(kept) });
                }
                Some(_) => {}
            }
        }
        Some(Step::Fire { tick, next: self.tick_after(tick) })
    }

    /// The first of the newest `most` ticks from `first`, which is one, to `until`. The years of an outage may have any
    /// number of ticks, so they are not counted through: it is sought between two times, of which more than `most`
    /// ticks follow the one and fewer the other.
    fn first_of_newest(&self, first: Timestamp, until: Timestamp, most: usize) -> Timestamp {
        let following = |after: Timestamp| self.recurrence.missed(after, until, most);
        if !following(first.checked_sub(MILLISECOND).unwrap_or(first)).cut {
            return first;
        }
        let (mut more, mut fewer) = (first.as_millisecond(), until.as_millisecond());
        while fewer - more > 1 {
            let middle = more.midpoint(fewer);
            let found = following(Timestamp::from_millisecond(middle).unwrap_or(until));
            match found.times.first() {
                _ if found.cut => more = middle,
                Some(tick) if found.times.len() == most => return *tick,
                _ => fewer = middle,
            }
        }
        until
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
