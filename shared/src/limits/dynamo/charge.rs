//! What a bucket's item holds, and the conditional write that charges it.

use crate::dynamo::{Item, Key, Update, n, number, s};
use crate::limits::gcra::Meter;
use crate::limits::{Limit, LimitError, SPARE_SECONDS};

/// A bucket as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) meter: Meter,
    expires_at: i64,
}

impl Bucket {
    /// The bucket in an item; `None` when there is no item.
    pub(super) fn stored(item: &Item, limit: &Limit<'_>) -> Result<Option<Self>, LimitError> {
        if item.is_empty() {
            return Ok(None);
        }
        let bucket = || {
            let at = number(item, "seen")?;
            let full = i128::from(at) * i128::from(limit.policy.rate().per_microsecond());
            let debt = u64::try_from(number::<i128>(item, "tat")? - full).ok()?;
            Some(Self { meter: Meter { at, debt }, expires_at: number(item, "expires_at")? })
        };
        bucket().map(Some).ok_or_else(malformed)
    }

    /// What is known of a bucket, at `now` or its own moment if that is later.
    pub(super) fn meter(known: Option<Self>, now: i64, limit: &Limit<'_>) -> Meter {
        Meter::at(known.map(|bucket| bucket.meter), now, limit.policy.rate())
    }
}

/// One conditional charge, all in ticks but the moment and the end.
pub(super) struct Charge {
    now: i64,
    standing: Standing,
    /// `tat` of a full bucket at `now`.
    full: i128,
    increment: i128,
    /// The largest debt that leaves room for the charge.
    room: i128,
    /// When the bucket is full again at the latest, with some time to spare; epoch seconds.
    expires_at: i64,
}

/// What is assumed of a bucket, and is a condition of its charge.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// It is new or has debt at the check's moment.
    InDebt,
    /// It has been full again.
    Full,
    /// Its own moment is later than the check's.
    Ahead {
        /// By how many seconds it must be kept longer: the capacity of the policy has grown.
        longer: i64,
    },
}

impl Charge {
    /// For a cost that the bucket can hold.
    pub(super) fn new(limit: &Limit<'_>, known: Option<Bucket>, now: i64) -> Self {
        let rate = limit.policy.rate();
        let before = Bucket::meter(known, now, limit);
        let increment = i128::from(rate.increment(limit.cost));
        let refill = i64::try_from(rate.time_for(rate.capacity()).as_secs()).unwrap_or(i64::MAX);
        let expires_at = (before.at / 1_000_000).saturating_add(refill).saturating_add(SPARE_SECONDS + 1);
        let standing = match known {
            Some(bucket) if before.at > now => {
                Standing::Ahead { longer: expires_at.saturating_sub(bucket.expires_at).max(0) }
            }
            Some(_) if before.debt == 0 => Standing::Full,
            _ => Standing::InDebt,
        };
        Self {
            now,
            standing,
            full: i128::from(now) * i128::from(rate.per_microsecond()),
            increment,
            room: i128::from(rate.capacity()) - increment,
            expires_at,
        }
    }

    /// The branches of GCRA's `max(tat, now) + increment`, which an expression cannot say in one.
    pub(super) fn write(&self, table: &str, key: &str) -> Update {
        let key = Key::from([("pk", s(key))]);
        let update = match self.standing {
            Standing::InDebt => Update::new(
                table,
                key,
                "SET tat = if_not_exists(tat, :full) + :increment, debt = if_not_exists(tat, :full) + :from_full, \
                 seen = :now, expires_at = :expires_at",
            )
            .only_if("attribute_not_exists(tat) OR (seen <= :now AND tat BETWEEN :full AND :ceiling)")
            .value(":full", n(self.full))
            .value(":from_full", n(self.increment - self.full))
            .value(":ceiling", n(self.full + self.room))
            .value(":expires_at", n(self.expires_at)),
            Standing::Full => {
                Update::new(table, key, "SET tat = :charged, debt = :increment, seen = :now, expires_at = :expires_at")
                    .only_if("attribute_not_exists(tat) OR (seen <= :now AND tat <= :full)")
                    .value(":full", n(self.full))
                    .value(":charged", n(self.full + self.increment))
                    .value(":expires_at", n(self.expires_at))
            }
            // Exact at whichever moment newer checks have brought the bucket to by then. Their end of it is later than the
            // one that is known here, so that it is not set but moved.
            Standing::Ahead { longer } => Update::new(
                table,
                key,
                "SET tat = tat + :increment, debt = debt + :increment, expires_at = expires_at + :longer",
            )
            .only_if("seen >= :now AND debt <= :room")
            .value(":room", n(self.room))
            .value(":longer", n(longer)),
        };
        update.value(":increment", n(self.increment)).value(":now", n(self.now))
    }
}

pub(super) fn malformed() -> LimitError {
    LimitError::unavailable("a stored bucket has an unknown form")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::limits::Policy;

    const NOW: i64 = 4_102_444_800_000_000;

    /// A bucket with one unit of debt in a second from now, as a policy with a burst of `burst` stored it.
    fn bucket_ahead(burst: u32) -> Bucket {
        let policy = Policy::new("p", 1, Duration::from_secs(1), burst).unwrap();
        let limit = Limit { policy: &policy, key: "k", cost: 1 };
        let charge = Charge::new(&limit, None, NOW + 1_000_000);
        let debt = policy.rate().increment(1);
        Bucket { meter: Meter { at: NOW + 1_000_000, debt }, expires_at: charge.expires_at }
    }

    #[test]
    fn a_late_charge_keeps_its_bucket_until_a_burst_that_has_grown_is_full_again() {
        let policy = Policy::new("p", 1, Duration::from_secs(1), 90).unwrap();
        let limit = Limit { policy: &policy, key: "k", cost: 1 };
        for (burst, expected) in [(20, 70), (90, 0), (100, 0)] {
            let standing = Charge::new(&limit, Some(bucket_ahead(burst)), NOW).standing;
            assert!(matches!(standing, Standing::Ahead { longer } if longer == expected), "{burst}: {standing:?}");
        }
    }
}
