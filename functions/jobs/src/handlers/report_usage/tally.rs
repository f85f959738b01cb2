//! The sums of a report.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use shared::time::Timestamp;

use super::payload::Group;
use crate::handlers::Failed;
use crate::job::{Job, Phase};

/// The most rows.
const MOST_ROWS: usize = 10_000;

/// The sums of the jobs that have been added.
pub(super) struct Tally {
    groups: Vec<Group>,
    sums: BTreeMap<Vec<String>, Sums>,
    jobs: u64,
}

/// The sums of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Jobs.
    pub(super) jobs: u64,
    /// Attempts that were begun.
    pub(super) attempts: u64,
    /// Attempts that failed, of the last 20 of each job.
    pub(super) failures: u64,
    /// Jobs that were given up.
    pub(super) dead: u64,
    /// Milliseconds that these attempts took.
    pub(super) work_millis: u64,
    /// Bytes of payloads.
    pub(super) payload_bytes: u64,
}

impl Sums {
    fn add(&mut self, job: &Job) {
        self.jobs += 1;
        // A retry by hand counts attempts anew.
        self.attempts += u64::from(job.attempt).max(job.history.len() as u64);
        self.dead += u64::from(job.phase == Phase::Dead);
        self.payload_bytes += job.payload.bytes();
        for attempt in &job.history {
            self.failures += u64::from(attempt.failure.is_some());
            let took = attempt.ended_at.duration_since(attempt.started_at).as_millis();
            self.work_millis += u64::try_from(took).unwrap_or_default();
        }
    }
}

impl Tally {
    /// Nothing yet. Without groups there is a row even if there is no job.
    pub(super) fn new(groups: &[Group]) -> Self {
        let sums = if groups.is_empty() { BTreeMap::from([(Vec::new(), Sums::default())]) } else { BTreeMap::new() };
        Self { groups: groups.to_vec(), sums, jobs: 0 }
    }

    /// Adds a job, as it stands at `now`.
    pub(super) fn add(&mut self, job: &Job, now: Timestamp) -> Result<(), Failed> {
        let row = self.groups.iter().map(|group| cell(job, *group, now)).collect();
        self.sums.entry(row).or_default().add(job);
        self.jobs += 1;
        if self.sums.len() > MOST_ROWS {
            let message = "the report would have more than 10,000 rows: ask for fewer days or fewer groups";
            return Err(Failed::poison("too_many_rows", message));
        }
        Ok(())
    }

    /// How many jobs there are.
    pub(super) const fn jobs(&self) -> u64 {
        self.jobs
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.sums.len()
    }

    /// The rows in the order of their cells, which are in the order of the groups.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[String], &Sums)> {
        self.sums.iter().map(|(cells, sums)| (cells.as_slice(), sums))
    }
}

fn cell(job: &Job, group: Group, now: Timestamp) -> String {
    match group {
        Group::Day => job.created_at.to_zoned(TimeZone::UTC).date().to_string(),
        Group::Type => job.kind.to_string(),
        Group::Queue => job.queue.to_string(),
        Group::State => job.state(now).as_str().to_owned(),
    }
}
