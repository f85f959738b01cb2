//! What the jobs of a queue come to in numbers: how many stand where, how long they have waited, and how many attempts
//! succeeded and failed in the last minutes.
//!
//! The table's stream brings each write of a job as the record before and after it. [`Change::between`] says what that means
//! for the numbers, and [`Statistics::count`] adds it up, each record once:
//!
//! - A record has a mark, and the statistics keep the marks of those that were counted last, by the partition of the table
//!   that the job is in. The records of a partition come in order, and those that come again after a failure are among the
//!   last ones, whichever way the batches are cut then: what has a mark that is known is not counted again.
//! - Counters do not go below zero. So what was missed (jobs from before there were statistics, records that were given
//!   up) does not distort them for good.
//!
//! That a job's time has come is no write: those that wait are kept by their time ([`waits::Waits`]), so that how many are
//! ready is known at any time. A job that waits for longer than [`SOON`] is only counted, as scheduled or retrying, until
//! a worker has looked at it.

mod change;
mod waits;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use crate::job::State;
use crate::store::PARTITIONS;
pub use change::{Change, Event, Place, SOON};
use waits::Waits;

/// The window of the rates: so many minutes, the current one included.
pub const WINDOW_MINUTES: i64 = 15;

/// Marks of earlier batches that are kept for each partition.
const KEPT_MARKS: usize = 8;

/// The most marks of a partition: those of the last batches, as long as they overlap. The trigger's batches are smaller.
const MOST_MARKS: usize = 300;

/// How often each thing has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "[u64; 5]", into = "[u64; 5]")]
pub struct Tally {
    /// Jobs that were made.
    pub made: u64,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Jobs that were given up.
    pub dead: u64,
    /// Jobs that were called off.
    pub cancelled: u64,
}

impl From<[u64; 5]> for Tally {
    fn from([made, succeeded, failed, dead, cancelled]: [u64; 5]) -> Self {
        Self { made, succeeded, failed, dead, cancelled }
    }
}

impl From<Tally> for [u64; 5] {
    fn from(tally: Tally) -> Self {
        [tally.made, tally.succeeded, tally.failed, tally.dead, tally.cancelled]
    }
}

impl Tally {
    const fn add(&mut self, event: Event) {
        let counter = match event {
            Event::Made => &mut self.made,
            Event::Succeeded => &mut self.succeeded,
            Event::Failed => &mut self.failed,
            Event::Dead => &mut self.dead,
            Event::Cancelled => &mut self.cancelled,
        };
        *counter += 1;
    }

    const fn and(self, other: Self) -> Self {
        Self {
            made: self.made + other.made,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            dead: self.dead + other.dead,
            cancelled: self.cancelled + other.cancelled,
        }
    }
}

/// How many jobs are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Those that wait for others.
    pub blocked: u64,
    /// Those whose time has not come.
    pub scheduled: u64,
    /// Those that wait for a worker.
    pub queued: u64,
    /// Those that a worker has.
    pub running: u64,
    /// Those that failed, and whose next attempt has a time.
    pub retrying: u64,
    /// Those that are done, and kept.
    pub succeeded: u64,
    /// Those that failed for good.
    pub dead: u64,
    /// Those that were called off, and are kept.
    pub cancelled: u64,
}

impl Depth {
    /// Counts a job in this state.
    pub const fn add(&mut self, state: State) {
        let counter = match state {
            State::Blocked => &mut self.blocked,
            State::Scheduled => &mut self.scheduled,
            State::Queued => &mut self.queued,
            State::Running => &mut self.running,
            State::Retrying => &mut self.retrying,
            State::Succeeded => &mut self.succeeded,
            State::Dead => &mut self.dead,
            State::Cancelled => &mut self.cancelled,
        };
        *counter += 1;
    }
}

/// The numbers of a queue, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Statistics {
    /// Grows with each write.
    pub revision: u64,
    blocked: u64,
    running: u64,
    succeeded: u64,
    dead: u64,
    cancelled: u64,
    /// Those that are only counted.
    far_scheduled: u64,
    far_retrying: u64,
    /// Those that wait for their first attempt, and for another.
    first: Waits,
    again: Waits,
    /// By the minute since the Unix epoch, the oldest first.
    minutes: Vec<(i64, Tally)>,
    /// The marks of what was counted last in each partition.
    counted: Vec<Vec<u64>>,
}

impl Statistics {
    /// Counts what was not counted before; false when there is nothing of that. The changes of a partition are in the order
    /// in which the stream brings them.
    pub fn count(&mut self, changes: &[Change], now: Timestamp) -> bool {
        let mut is_news = false;
        for partition in 0..PARTITIONS {
            let of_it: Vec<&Change> = changes.iter().filter(|change| change.partition == partition).collect();
            is_news |= self.count_of_partition(partition as usize, &of_it, now);
        }
        let current = minute(now);
        self.minutes.retain(|(minute, _)| *minute > current - WINDOW_MINUTES);
        is_news
    }

    fn count_of_partition(&mut self, partition: usize, changes: &[&Change], now: Timestamp) -> bool {
        if self.counted.len() <= partition {
            self.counted.resize(partition + 1, Vec::new());
        }
        let Some(counted) = self.counted.get_mut(partition) else { return false };
        let (known, new): (Vec<&Change>, Vec<&Change>) =
            changes.iter().partition(|change| counted.contains(&change.mark));
        if new.is_empty() {
            return false;
        }
        // A batch that goes on where the last one ended says that the last one is settled.
        let most = if known.is_empty() { KEPT_MARKS } else { MOST_MARKS.saturating_sub(new.len()) };
        counted.drain(..counted.len().saturating_sub(most));
        counted.extend(new.iter().map(|change| change.mark));
        for change in new {
            self.apply(change, now);
        }
        true
    }

    fn apply(&mut self, change: &Change, now: Timestamp) {
        if let Some(from) = change.from {
            match from {
                Place::Waiting { again, ready_at, far: false } => self.waits(again).remove(ready_at),
                place => {
                    let counter = self.counter(place);
                    *counter = counter.saturating_sub(1);
                }
            }
        }
        match change.to {
            Some(Place::Waiting { again, ready_at, far: false }) => self.waits(again).add(ready_at, now),
            Some(place) => *self.counter(place) += 1,
            None => {}
        }
        for (event, at) in &change.events {
            let at = minute(*at);
            let index = self.minutes.partition_point(|(minute, _)| *minute < at);
            if self.minutes.get(index).is_none_or(|(minute, _)| *minute != at) {
                self.minutes.insert(index, (at, Tally::default()));
            }
            if let Some((_, tally)) = self.minutes.get_mut(index) {
                tally.add(*event);
            }
        }
    }

    const fn waits(&mut self, again: bool) -> &mut Waits {
        if again { &mut self.again } else { &mut self.first }
    }

    const fn counter(&mut self, place: Place) -> &mut u64 {
        match place {
            Place::Blocked => &mut self.blocked,
            Place::Waiting { again: false, .. } => &mut self.far_scheduled,
            Place::Waiting { again: true, .. } => &mut self.far_retrying,
            Place::Running => &mut self.running,
            Place::Succeeded => &mut self.succeeded,
            Place::Dead => &mut self.dead,
            Place::Cancelled => &mut self.cancelled,
        }
    }

    /// How many jobs are in each state at `now`.
    pub fn depth(&self, now: Timestamp) -> Depth {
        let (first_ready, first_later) = self.first.split(now);
        let (again_ready, again_later) = self.again.split(now);
        Depth {
            blocked: self.blocked,
            scheduled: self.far_scheduled + first_later,
            queued: first_ready + again_ready,
            running: self.running,
            retrying: self.far_retrying + again_later,
            succeeded: self.succeeded,
            dead: self.dead,
            cancelled: self.cancelled,
        }
    }

    /// Since when the job has been ready that has waited longest, of those that are ready at `now`.
    pub fn oldest(&self, now: Timestamp) -> Option<Timestamp> {
        self.first.oldest(now).into_iter().chain(self.again.oldest(now)).min()
    }

    /// What has happened in the window until `now`, and how many seconds that is.
    pub fn recent(&self, now: Timestamp) -> (Tally, u32) {
        let current = minute(now);
        let in_window = self.minutes.iter().filter(|(minute, _)| *minute > current - WINDOW_MINUTES);
        let tally = in_window.fold(Tally::default(), |sum, (_, tally)| sum.and(*tally));
        let seconds = now.as_second() - (current - WINDOW_MINUTES + 1) * 60;
        (tally, u32::try_from(seconds).unwrap_or_default())
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}
