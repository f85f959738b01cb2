//! The numbers of a queue as clients see them.

use serde::Serialize;
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::statistics::{Depth, Statistics};

/// What the jobs of a queue come to in numbers, a few seconds behind.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueStatistics)]
pub struct StatisticsView {
    /// How many jobs are in each state.
    depth: DepthView,
    /// For how many seconds the job has been ready that has waited longest; null when none waits. From the statistics it is
    /// up to 5 seconds too low, and of a backlog of more than minutes a few percent off; of the jobs that workers lease it is
    /// exact, but not in a list.
    oldest_queued_seconds: Option<u64>,
    /// The time until now that the rates are about: the last 14 minutes and what has passed of the current one.
    window_seconds: u32,
    /// How often in a minute.
    per_minute: RatesView,
    /// The failed attempts of the window by all that have succeeded or failed, from 0 to 1; null when there were none.
    error_rate: Option<f64>,
}

/// How many jobs are in each state. New states may come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueDepth)]
pub struct DepthView {
    /// They wait for others.
    blocked: u64,
    /// Their time has not come. One that is more than 5 minutes ahead when it is written counts here until a worker has
    /// looked at it, or, where workers lease, has it.
    scheduled: u64,
    /// They wait for a worker.
    queued: u64,
    /// A worker has them.
    running: u64,
    /// They failed, and their next attempt has a time; more than 5 minutes ahead as `scheduled`.
    retrying: u64,
    /// They are done, and kept.
    succeeded: u64,
    /// They failed for good.
    dead: u64,
    /// They were called off, and are kept.
    cancelled: u64,
}

/// How often things happen in a minute.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueRates)]
pub struct RatesView {
    /// Jobs that are made.
    made: f64,
    /// Jobs that succeed.
    succeeded: f64,
    /// Attempts that fail.
    failed_attempts: f64,
    /// Jobs that are given up.
    dead: f64,
    /// Jobs that are called off.
    cancelled: f64,
}

impl StatisticsView {
    /// `statistics` at `now`; `longest_ready` is since when a job has been ready that is to be leased.
    pub fn of(statistics: &Statistics, longest_ready: Option<Timestamp>, now: Timestamp) -> Self {
        let (tally, window_seconds) = statistics.recent(now);
        let rate = |count: u64| thousandths(real(count) * 60.0 / f64::from(window_seconds.max(1)));
        let ended = tally.succeeded + tally.failed;
        let oldest = statistics.oldest(now).into_iter().chain(longest_ready).min();
        Self {
            depth: statistics.depth(now).into(),
            oldest_queued_seconds: oldest
                .map(|oldest| u64::try_from(now.duration_since(oldest).as_secs()).unwrap_or(0)),
            window_seconds,
            per_minute: RatesView {
                made: rate(tally.made),
                succeeded: rate(tally.succeeded),
                failed_attempts: rate(tally.failed),
                dead: rate(tally.dead),
                cancelled: rate(tally.cancelled),
            },
            error_rate: (ended > 0).then(|| thousandths(real(tally.failed) / real(ended))),
        }
    }
}

impl From<Depth> for DepthView {
    fn from(depth: Depth) -> Self {
        let Depth { blocked, scheduled, queued, running, retrying, succeeded, dead, cancelled } = depth;
        Self { blocked, scheduled, queued, running, retrying, succeeded, dead, cancelled }
    }
}

#[allow(clippy::cast_precision_loss)] // of counts beyond 2^53
const fn real(count: u64) -> f64 {
    count as f64
}

fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
