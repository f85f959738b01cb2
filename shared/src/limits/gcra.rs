//! The arithmetic of GCRA in integers.
//!
//! A bucket is a [`Meter`]: its debt at a moment. A unit adds `per_unit` ticks of debt and each microsecond drains
//! `per_microsecond`; `per_unit / per_microsecond` is `window / quota` in lowest terms, so both are whole. A charge is
//! admitted when the debt after it is at most `burst * per_unit`. The theoretical arrival time of the textbook is
//! `at + debt / per_microsecond`.

use std::time::Duration;

/// The most ticks of debt. The sum of two such numbers is a whole number that a double holds.
const MAX_DEBT: u64 = 1 << 52;

/// A policy's rate and capacity in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    per_unit: u64,
    per_microsecond: u64,
    capacity: u64,
}

impl Rate {
    /// `None` when the capacity would exceed [`MAX_DEBT`].
    pub(super) fn new(quota: u32, window_microseconds: u64, burst: u32) -> Option<Self> {
        let divisor = greatest_common_divisor(u64::from(quota), window_microseconds);
        let per_unit = window_microseconds.checked_div(divisor)?;
        let per_microsecond = u64::from(quota).checked_div(divisor)?;
        let capacity = per_unit.checked_mul(u64::from(burst)).filter(|capacity| *capacity <= MAX_DEBT)?;
        Some(Self { per_unit, per_microsecond, capacity })
    }

    pub(super) const fn per_unit(&self) -> u64 {
        self.per_unit
    }

    pub(super) const fn per_microsecond(&self) -> u64 {
        self.per_microsecond
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) const fn same_unit(&self, other: &Self) -> bool {
        self.per_unit == other.per_unit && self.per_microsecond == other.per_microsecond
    }

    /// The ticks that `cost` units add; one more than the capacity when no bucket can ever hold them.
    pub(super) fn increment(&self, cost: u32) -> u64 {
        self.per_unit.saturating_mul(u64::from(cost)).min(self.capacity + 1)
    }

    /// Whether an empty bucket takes `cost` units.
    pub(super) fn holds(&self, cost: u32) -> bool {
        self.increment(cost) <= self.capacity
    }

    /// The time in which `ticks` drain, rounded up to the microsecond at which they are gone.
    pub(super) fn time_for(&self, ticks: u64) -> Duration {
        Duration::from_micros(ticks.div_ceil(self.per_microsecond))
    }
}

/// A bucket's debt in ticks at a moment, in microseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meter {
    pub(super) at: i64,
    pub(super) debt: u64,
}

impl Meter {
    /// The bucket at `now`: without a stored one it is full; a stored one has drained since, and holds its time when
    /// `now` is earlier.
    pub(super) fn at(stored: Option<Self>, now: i64, rate: &Rate) -> Self {
        let Some(stored) = stored else { return Self { at: now, debt: 0 } };
        let elapsed = u64::try_from(now.saturating_sub(stored.at)).unwrap_or(0);
        let drained = elapsed.saturating_mul(rate.per_microsecond);
        Self { at: stored.at.max(now), debt: stored.debt.saturating_sub(drained) }
    }

    /// Whether `cost` units may be charged.
    pub(super) fn admits(&self, rate: &Rate, cost: u32) -> bool {
        cost == 0 || self.debt.saturating_add(rate.increment(cost)) <= rate.capacity
    }

    /// The bucket after `cost` units.
    pub(super) fn charged(self, rate: &Rate, cost: u32) -> Self {
        Self { debt: self.debt.saturating_add(rate.increment(cost)), ..self }
    }

    /// The units that could be charged now.
    pub(super) fn remaining(&self, rate: &Rate) -> u32 {
        let units = rate.capacity.saturating_sub(self.debt).checked_div(rate.per_unit).unwrap_or(0);
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    /// How long after `now` the bucket has room for `cost` units: `None` when it never has.
    pub(super) fn wait(&self, rate: &Rate, cost: u32, now: i64) -> Option<Duration> {
        if !rate.holds(cost) {
            return None;
        }
        let excess = self.debt.saturating_add(rate.increment(cost)).saturating_sub(rate.capacity);
        if excess == 0 {
            return Some(Duration::ZERO);
        }
        let late = Duration::from_micros(u64::try_from(self.at.saturating_sub(now)).unwrap_or(0));
        Some(late.saturating_add(rate.time_for(excess)))
    }
}

const fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
