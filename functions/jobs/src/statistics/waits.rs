//! How many jobs are ready from which time on: a histogram that stays small.
//!
//! Jobs that become ready within the same [`STEP`] are one bar. When there are too many, two that lie beside one another
//! become one: the narrowest, and of the past before any of the future. So the bars of a long backlog are a few percent of its
//! age wide, and how many jobs are ready is known to the step.

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

/// The narrowest bar, in seconds.
pub(super) const STEP: i64 = 5;

/// The most bars.
const MOST: usize = 40;

/// The histogram. Its bars are sorted, none is empty, and none overlaps another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Waits(Vec<Bar>);

/// Jobs that become ready from one step to another, both included; the steps are counted from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "(i64, i64, u64)", into = "(i64, i64, u64)")]
struct Bar {
    first: i64,
    last: i64,
    jobs: u64,
}

impl From<(i64, i64, u64)> for Bar {
    fn from((first, last, jobs): (i64, i64, u64)) -> Self {
        Self { first, last, jobs }
    }
}

impl From<Bar> for (i64, i64, u64) {
    fn from(bar: Bar) -> Self {
        (bar.first, bar.last, bar.jobs)
    }
}

fn step(at: Timestamp) -> i64 {
    at.as_second().div_euclid(STEP)
}

impl Waits {
    /// The place of the bar that holds a step, or would.
    fn place(&self, step: i64) -> (usize, bool) {
        let index = self.0.partition_point(|bar| bar.last < step);
        (index, self.0.get(index).is_some_and(|bar| bar.first <= step))
    }

    /// A job waits that is ready from `at` on.
    pub(super) fn add(&mut self, at: Timestamp, now: Timestamp) {
        let step_of_it = step(at);
        let (index, found) = self.place(step_of_it);
        match self.0.get_mut(index) {
            Some(bar) if found => bar.jobs += 1,
            _ => self.0.insert(index, Bar { first: step_of_it, last: step_of_it, jobs: 1 }),
        }
        if self.0.len() > MOST {
            self.merge(step(now));
        }
    }

    /// A job waits no more that was ready from `at` on.
    pub(super) fn remove(&mut self, at: Timestamp) {
        let (index, found) = self.place(step(at));
        if let Some(bar) = self.0.get_mut(index).filter(|_| found) {
            bar.jobs = bar.jobs.saturating_sub(1);
            if bar.jobs == 0 {
                self.0.remove(index);
            }
        }
    }

    fn merge(&mut self, now: i64) {
        let width = |pair: &[Bar]| match pair {
            [left, right] => (right.last > now, right.last.saturating_sub(left.first)),
            _ => (true, i64::MAX),
        };
        let narrowest = self.0.windows(2).enumerate().min_by_key(|(_, pair)| width(pair)).map(|(index, _)| index);
        let Some(index) = narrowest else { return };
        let right = self.0.remove(index + 1);
        if let Some(left) = self.0.get_mut(index) {
            left.last = right.last;
            left.jobs += right.jobs;
        }
    }

    /// How many are ready at `now`, and how many are not.
    pub(super) fn split(&self, now: Timestamp) -> (u64, u64) {
        let ready = self.0.partition_point(|bar| bar.first <= step(now));
        let jobs = |bars: &[Bar]| bars.iter().map(|bar| bar.jobs).sum();
        let (ready, later) = self.0.split_at_checked(ready).unwrap_or_default();
        (jobs(ready), jobs(later))
    }

    /// Since when the one has been ready that has waited longest, if any is ready at `now`: the end of its step.
    pub(super) fn oldest(&self, now: Timestamp) -> Option<Timestamp> {
        let first = self.0.first()?.first;
        let end = Timestamp::from_second(first.saturating_add(1).saturating_mul(STEP)).unwrap_or(Timestamp::MAX);
        (first <= step(now)).then_some(end.min(now))
    }

    #[cfg(test)]
    pub(super) fn bars(&self) -> usize {
        self.0.len()
    }
}
