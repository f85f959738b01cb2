//! What a check answers.

use std::time::Duration;

use super::gcra::Meter;
use super::{Limit, Policy};

/// The answer to one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether every limit allowed it, and was charged.
    pub allowed: bool,
    /// Each limit after the check, in the order asked.
    pub limits: Vec<LimitState>,
}

/// One limit after a check. Durations count from the time that the caller passed in and are exact to the microsecond,
/// if nothing else is charged meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// What is allowed.
    pub policy: Policy,
    /// Whether this limit refused.
    pub refused: bool,
    /// Units that could be charged now.
    pub remaining: u32,
    /// When this limit will allow what it refused. `None` when it did not refuse, or when the cost is more than the
    /// burst and no wait helps.
    pub retry_after: Option<Duration>,
    /// When one more unit than `remaining` can be charged. `None` when the bucket is full.
    pub next_unit_after: Option<Duration>,
    /// When the bucket is full; zero when it is.
    pub reset_after: Duration,
}

impl Decision {
    /// Decides from each limit's bucket as it was before the check, at the check's time.
    pub(super) fn of<'a>(buckets: impl Iterator<Item = (&'a Limit<'a>, Meter)> + Clone, now: i64) -> Self {
        let allowed = buckets.clone().all(|(limit, before)| before.admits(limit.policy.rate(), limit.cost));
        let limits = buckets.map(|(limit, before)| LimitState::of(limit, before, allowed, now)).collect();
        Self { allowed, limits }
    }

    /// When all limits that refused will allow it. `None` when it was allowed, or never will be.
    pub fn retry_after(&self) -> Option<Duration> {
        let mut refused = self.limits.iter().filter(|limit| limit.refused);
        let first = refused.next()?.retry_after?;
        refused.try_fold(first, |longest, limit| Some(longest.max(limit.retry_after?)))
    }
}

impl LimitState {
    fn of(limit: &Limit<'_>, before: Meter, charge: bool, now: i64) -> Self {
        let rate = limit.policy.rate();
        let refused = !before.admits(rate, limit.cost);
        let after = if charge { before.charged(rate, limit.cost) } else { before };
        let remaining = after.remaining(rate);
        let burst = limit.policy.burst();
        Self {
            policy: limit.policy.clone(),
            refused,
            remaining,
            retry_after: if refused { before.wait(rate, limit.cost, now) } else { None },
            next_unit_after: remaining.checked_add(1).and_then(|units| after.wait(rate, units, now)),
            reset_after: after.wait(rate, burst, now).unwrap_or_default(),
        }
    }
}
