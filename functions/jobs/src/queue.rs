//! What holds for all jobs of a queue.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::http::ETag;
use shared::limits::{InvalidPolicy, Policy};
use shared::refusal::{Fault, Refusal};
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::backoff::Backoff;
use crate::job::RETENTION_DAYS;
use crate::name::QueueName;

/// The longest that one attempt may take, in seconds: a Lambda runs for 15 minutes at most.
pub const LONGEST_TIMEOUT_SECONDS: u32 = 840;

/// The most attempts of a job.
pub const MOST_ATTEMPTS: u32 = 50;

/// The highest limit of concurrency.
const MOST_CONCURRENCY: u32 = 10_000;

/// The longest that an ended job is kept, in days.
const LONGEST_RETENTION_DAYS: u32 = 365;

/// So many jobs may be begun in so much time: as many at once, and then one each `per_seconds` / `jobs` seconds. What it holds
/// up begins by priority, and then by time; workers that lease jobs take of the same rate, for jobs that come before those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QueueRateLimit)]
pub struct RateLimit {
    /// Jobs: 1 to 100,000. More than 52,000 are refused in a time that has too little in common with their number to be
    /// counted exactly, such as 99,991 in 86,400 seconds.
    #[schema(minimum = 1, maximum = 100_000)]
    pub jobs: u32,
    /// In so many seconds: 1 to 86,400.
    #[schema(minimum = 1, maximum = 86_400)]
    pub per_seconds: u32,
}

impl RateLimit {
    /// The policy of the limiter that keeps it.
    pub fn policy(self) -> Result<Policy, InvalidPolicy> {
        Policy::new("queue", self.jobs, Duration::from_secs(self.per_seconds.into()), self.jobs)
    }

    /// Why no limiter can keep it, though its numbers are within their bounds.
    fn fault(self) -> Option<Fault> {
        let detail =
            "the two have too little in common to be counted exactly: take rounder ones, or at most 52,000 jobs";
        let is_too_fine = matches!(self.policy(), Err(InvalidPolicy::TooFine));
        is_too_fine.then(|| Refusal::new("too_fine", detail).at("/rate_limit"))
    }
}

/// What its owner sets for a queue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QueueSettings)]
pub struct Settings {
    /// Whether no job of it is begun. Those that run go on.
    #[serde(default)]
    pub paused: bool,
    /// How many of its jobs run at once: 1 to 10,000; null: as many as there are workers. Exact.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10_000)]
    pub concurrency: Option<u32>,
    /// How many jobs of one `concurrency_key` run at once: 1 to 10,000. Exact.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub concurrency_per_key: u32,
    /// How many of its jobs may be begun in a time.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// Where its jobs are sent that are not built in; null: workers lease them.
    #[serde(default)]
    #[schema(format = "uri", example = "https://example.com/jobs")]
    pub deliver_to: Option<String>,
    /// How often a job of it is tried that does not say so itself: 1 to 50.
    #[serde(default = "ten")]
    #[schema(minimum = 1, maximum = 50)]
    pub max_attempts: u32,
    /// How a job of it waits between attempts that does not say so itself.
    #[serde(default)]
    pub backoff: Backoff,
    /// How long an attempt may take of a job that does not say so itself: 1 to 840 seconds.
    #[serde(default = "sixty")]
    #[schema(minimum = 1, maximum = 840)]
    pub timeout_seconds: u32,
    /// How long its jobs are kept after their end: 1 to 365 days. A job that is `unique` for a period is kept until that is
    /// over.
    #[serde(default = "retention")]
    #[schema(minimum = 1, maximum = 365)]
    pub retention_days: u32,
}

const fn one() -> u32 {
    1
}
const fn ten() -> u32 {
    10
}
const fn sixty() -> u32 {
    60
}
const fn retention() -> u32 {
    RETENTION_DAYS
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            paused: false,
            concurrency: None,
            concurrency_per_key: one(),
            rate_limit: None,
            deliver_to: None,
            max_attempts: ten(),
            backoff: Backoff::default(),
            timeout_seconds: sixty(),
            retention_days: retention(),
        }
    }
}

impl Settings {
    /// Every setting that is out of bounds. The URL is for the caller to check, who has the client for it.
    pub fn faults(&self) -> Vec<Fault> {
        let range = |value: u32, most: u32, pointer: &'static str| {
            let refusal = || Refusal::new("out_of_range", format!("must be 1 to {most}"));
            (!(1..=most).contains(&value)).then(|| refusal().at(pointer))
        };
        let rate = self.rate_limit;
        [
            self.concurrency.and_then(|value| range(value, MOST_CONCURRENCY, "/concurrency")),
            range(self.concurrency_per_key, MOST_CONCURRENCY, "/concurrency_per_key"),
            rate.and_then(|rate| range(rate.jobs, 100_000, "/rate_limit/jobs")),
            rate.and_then(|rate| range(rate.per_seconds, 86_400, "/rate_limit/per_seconds")),
            rate.and_then(RateLimit::fault),
            range(self.max_attempts, MOST_ATTEMPTS, "/max_attempts"),
            range(self.timeout_seconds, LONGEST_TIMEOUT_SECONDS, "/timeout_seconds"),
            range(self.retention_days, LONGEST_RETENTION_DAYS, "/retention_days"),
        ]
        .into_iter()
        .flatten()
        .chain(self.backoff.faults())
        .collect()
    }
}

/// A queue. It comes to be with its first job, or by being set.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: QueueName,
    /// What is set for it.
    #[serde(flatten)]
    pub settings: Settings,
    /// When it came to be.
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When it was last set.
    #[serde(serialize_with = "shared::time::millis")]
    pub updated_at: Timestamp,
    /// Grows with each write.
    pub revision: u64,
}

impl Queue {
    /// One with the default settings.
    pub fn new(name: QueueName, now: Timestamp) -> Self {
        Self { name, settings: Settings::default(), created_at: now, updated_at: now, revision: 1 }
    }

    /// Its version.
    pub fn etag(&self) -> ETag {
        ETag::of_version(format_args!("q{}", self.revision))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_taken(rate: RateLimit) -> bool {
        Settings { rate_limit: Some(rate), ..Settings::default() }.faults().is_empty()
    }

    proptest! {
        #[test]
        fn whatever_rate_is_taken_can_be_kept(jobs in 1..=100_000_u32, per_seconds in 1..=86_400_u32) {
            let rate = RateLimit { jobs, per_seconds };
            prop_assert_eq!(is_taken(rate), rate.policy().is_ok());
            prop_assert!(jobs > 52_000 || is_taken(rate));
        }
    }

    #[test]
    fn a_rate_that_is_too_fine_is_refused_with_its_place() {
        assert!(is_taken(RateLimit { jobs: 100_000, per_seconds: 86_400 }));
        let rate_limit = Some(RateLimit { jobs: 99_991, per_seconds: 86_400 });
        let faults = Settings { rate_limit, ..Settings::default() }.faults();
        assert_eq!(faults.iter().map(|fault| fault.pointer).collect::<Vec<_>>(), ["/rate_limit"]);
    }
}
