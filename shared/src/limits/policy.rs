//! What a limit allows, and the bounds within which the arithmetic is exact.

use std::sync::Arc;
use std::time::Duration;

use super::gcra::Rate;

/// `quota` units per `window`, with at most `burst` at one instant. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: Arc<str>,
    quota: u32,
    window: Duration,
    burst: u32,
    rate: Rate,
}

/// Why a policy cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The name is in header fields and stored keys.
    #[error("a policy's name is 1 to 32 of a-z 0-9 _ -")]
    Name,
    /// A quota or burst of nothing.
    #[error("a policy's quota and burst are at least 1")]
    Zero,
    /// The window is out of bounds.
    #[error("a policy's window is whole microseconds, at least one and at most 366 days")]
    Window,
    /// The unit of arithmetic would be too small for the burst.
    #[error("window / gcd(window, quota) * burst, the window in microseconds, is more than 2^52")]
    TooFine,
}

impl Policy {
    /// The longest window.
    pub const MAX_WINDOW: Duration = Duration::from_hours(366 * 24);

    /// A policy that counts requests. `name` is 1 to 32 of `a-z 0-9 _ -`; `quota` and `burst` are at least 1;
    /// `window` is whole microseconds up to [`Policy::MAX_WINDOW`]. The arithmetic counts in units of which one
    /// request is `window / gcd(window, quota)`; `burst` of them must not exceed 2^52, so that a double holds each
    /// sum (1,000,000 a day with a burst of 1,000,000 does by a factor of 50,000).
    pub fn new(name: impl Into<Arc<str>>, quota: u32, window: Duration, burst: u32) -> Result<Self, InvalidPolicy> {
        let name = name.into();
        let in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if !(1..=32).contains(&name.len()) || !name.bytes().all(in_name) {
            return Err(InvalidPolicy::Name);
        }
        if quota == 0 || burst == 0 {
            return Err(InvalidPolicy::Zero);
        }
        if window.is_zero() || window > Self::MAX_WINDOW || !window.subsec_nanos().is_multiple_of(1000) {
            return Err(InvalidPolicy::Window);
        }
        let microseconds = u64::try_from(window.as_micros()).map_err(|_| InvalidPolicy::Window)?;
        let rate = Rate::new(quota, microseconds, burst).ok_or(InvalidPolicy::TooFine)?;
        Ok(Self { name, quota, window, burst, rate })
    }

    /// The name that clients see, and that begins the stored key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Units per window.
    pub const fn quota(&self) -> u32 {
        self.quota
    }

    /// The time in which `quota` units refill.
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// The most units at one instant.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    pub(super) const fn rate(&self) -> &Rate {
        &self.rate
    }

    /// The stored key after the tenant. It holds the rate, as a bucket's debt has a meaning only at its rate:
    /// a policy whose rate is changed starts with full buckets; a changed burst keeps them.
    pub(super) fn bucket(&self, key: &str) -> String {
        format!("{}:{}.{}:{key}", self.name, self.rate.per_unit(), self.rate.per_microsecond())
    }
}
