//! The clock that is passed in, so that expiry, backoff and windows are tested without sleeping.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use jiff::{SignedDuration, Timestamp};

/// Where a function reads the time from. Clones share one source.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    /// Microseconds since the Unix epoch.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's wall clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` (cut to microseconds) until it is moved.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.as_microsecond()))))
    }

    /// The time now.
    #[allow(clippy::disallowed_methods)] // the one reader of the global clock
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => Timestamp::now(),
            Source::Manual(microseconds) => {
                Timestamp::from_microsecond(microseconds.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Moves a manual clock forward (or back, when `by` is negative). The system clock is not moved.
    pub fn advance(&self, by: SignedDuration) {
        if let Source::Manual(microseconds) = &self.0 {
            let step = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
            microseconds.fetch_add(step, Ordering::SeqCst);
        }
    }
}

/// `at` cut to the millisecond, which is what is stored and shown.
pub fn to_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// `at` as RFC 3339 UTC with a `Z` and exactly three decimals, so that text order is time order.
pub fn rfc3339_millis(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Serialises a time as [`rfc3339_millis`]: `#[serde(serialize_with = "shared::time::millis")]`.
pub fn millis<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

/// The same for a time that may be absent: `null` then.
#[allow(clippy::ref_option)] // the form that serde asks for
pub fn millis_or_null<S: serde::Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let same = clock.clone();
        clock.advance(SignedDuration::from_millis(1500));
        assert_eq!(same.now().as_millisecond(), 1500);
        assert_eq!(rfc3339_millis(same.now()), "1970-01-01T00:00:01.500Z");
    }
}
