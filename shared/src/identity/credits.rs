//! The credits of an API key: how many more requests it may make, and when they are refilled.
//!
//! The arithmetic alone; [`super::store`] takes credits by conditional updates, so that they are exact under
//! concurrency.

use crate::time::{SignedDuration, Timestamp};

/// What a key has left. Times are kept to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credits {
    /// Requests that it may still make before the next refill.
    pub remaining: u64,
    /// When there are more; never without.
    pub refill: Option<Refill>,
}

/// A regular refill: at each whole `every_seconds` since `refilled_at` the balance is set to `amount`.
/// What was left is lost, and refills that nobody saw do not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// The balance after a refill.
    pub amount: u64,
    /// The time between two refills; 0 counts as 1.
    pub every_seconds: u64,
    /// The last refill, or when the first period began.
    pub refilled_at: Timestamp,
}

impl Credits {
    /// The balance at `now`, after the refills that have come due.
    pub fn at(self, now: Timestamp) -> Self {
        let Some(refill) = self.refill else { return self };
        let passed = u64::try_from(now.duration_since(refill.refilled_at).as_secs()).unwrap_or(0);
        let periods = passed / refill.period();
        if periods == 0 {
            return self;
        }
        let step = SignedDuration::from_secs(i64::try_from(periods * refill.period()).unwrap_or(i64::MAX));
        let refilled_at = refill.refilled_at.checked_add(step).unwrap_or(now);
        Self { remaining: refill.amount, refill: Some(Refill { refilled_at, ..refill }) }
    }

    /// The balance after one request at `now`; none when there is nothing left.
    pub fn take(self, now: Timestamp) -> Option<Self> {
        let credits = self.at(now);
        Some(Self { remaining: credits.remaining.checked_sub(1)?, ..credits })
    }

    /// Whole seconds (rounded up, at least 1) until the next refill after `now`; none when there is no refill.
    pub fn wait_seconds(self, now: Timestamp) -> Option<u64> {
        let refill = self.at(now).refill?;
        let passed = now.duration_since(refill.refilled_at);
        let period = SignedDuration::from_secs(i64::try_from(refill.period()).unwrap_or(i64::MAX));
        let wait = period.checked_sub(passed).unwrap_or(period);
        let seconds = wait.as_secs().saturating_add(i64::from(wait.subsec_nanos() > 0));
        Some(u64::try_from(seconds).unwrap_or(0).max(1))
    }
}

impl Refill {
    fn period(&self) -> u64 {
        self.every_seconds.max(1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn credits(remaining: u64, amount: u64, every_seconds: u64, refilled_at: i64) -> Credits {
        Credits { remaining, refill: Some(Refill { amount, every_seconds, refilled_at: at(refilled_at) }) }
    }

    #[test]
    fn without_a_refill_they_are_used_up_once() {
        let mut left = Credits { remaining: 2, refill: None };
        left = left.take(at(0)).unwrap().take(at(1)).unwrap();
        assert_eq!(left.take(at(i64::from(u32::MAX))), None);
        assert_eq!(left.wait_seconds(at(0)), None);
    }

    #[test]
    fn a_refill_sets_the_balance_at_each_whole_period() {
        let spent = credits(0, 10, 60, 1000);
        assert_eq!(spent.take(at(1059)), None);
        assert_eq!(spent.wait_seconds(at(1059)), Some(1));
        assert_eq!(spent.wait_seconds(at(1058) + SignedDuration::from_millis(1)), Some(2));
        assert_eq!(spent.take(at(1060)), Some(credits(9, 10, 60, 1060)));
        // Three periods later: set, not added, and the beat is kept.
        assert_eq!(spent.take(at(1185)), Some(credits(9, 10, 60, 1180)));
        assert_eq!(credits(50, 10, 60, 1000).at(at(1060)).remaining, 10);
    }

    proptest! {
        #[test]
        fn whenever_it_is_looked_at_the_balance_is_the_same(
            remaining in 0..100_u64, amount in 0..100_u64, every in 0..10_000_u64, start in 0..1_000_000_i64,
            looks in proptest::collection::vec(-100_000..1_000_000_i64, 1..5),
        ) {
            let first = credits(remaining, amount, every, start);
            let end = looks.iter().copied().max().unwrap().max(start);
            let mut looks = looks;
            looks.sort_unstable();
            let looked = looks.iter().fold(first, |credits, second| credits.at(at(start.max(*second))));
            prop_assert_eq!(looked.at(at(end)), first.at(at(end)));
            let wait = first.wait_seconds(at(end)).unwrap();
            prop_assert!((1..=every.max(1)).contains(&wait));
            // When the wait is over there is a refill.
            let then = at(end + i64::try_from(wait).unwrap());
            prop_assert_eq!(first.at(then).remaining, amount);
            prop_assert_ne!(first.at(then).refill, first.at(at(end)).refill);
        }

        #[test]
        fn any_numbers_are_handled_without_a_panic(remaining: u64, amount: u64, every: u64, from: i32, now: i32) {
            let credits = credits(remaining, amount, every, i64::from(from));
            let now = at(i64::from(now));
            let _ = (credits.take(now), credits.wait_seconds(now));
        }
    }
}
