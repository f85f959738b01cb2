//! Exact rate limits: GCRA (the generic cell rate algorithm, ITU-T I.371) on Redis or DynamoDB, several limits in one
//! check, all or none charged, with the `RateLimit` header fields.
//!
//! # What a policy promises
//! A [`Policy`] of `quota` units per `window` with a `burst` admits, in **every** interval of length L, at most
//! `burst + L * quota / window` units, and refuses only what would break that for some interval that ends now. Both
//! directions are exact to the microsecond: the arithmetic is in integers, with no rounding. It follows that
//! - at most `burst` units pass at one instant, and at most `burst + quota` in any `window`;
//! - with `burst = quota`, a client that keeps to `quota` units in any `window` is never refused.
//!
//! # The clock
//! The caller passes the time in. A bucket's time never goes backwards: a check that is late against an earlier admitted
//! one counts at that one's time, so callers whose clocks differ by d get `2 * d * quota / window` units more at most
//! and are never refused for being late. A clock that runs far ahead starves its bucket until the others catch up.
//! Stored buckets outlive their refill by 60 seconds; the promise holds while a clock's error and the time from reading
//! it to the check, together, stay below that.
//!
//! # When the store is away
//! A check answers [`LimitError::Unavailable`], within a second on Redis and three on DynamoDB. The caller decides: what
//! protects a secret (log-in, password) fails closed with 503; what only shares capacity fails open and logs.
//!
//! A retry after a lost answer may charge twice. It never admits more than the policy allows.

mod decision;
mod dynamo;
mod gcra;
mod headers;
mod policy;
mod redis;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

use crate::http::Problem;
use crate::{BoxError, BoxFuture};

pub use crate::time::Timestamp;

pub use decision::{Decision, LimitState};
pub use dynamo::DynamoLimiter;
pub use policy::{InvalidPolicy, Policy};
pub use redis::RedisLimiter;

/// The most limits one check takes.
pub const MAX_LIMITS: usize = 10;
/// The longest [`Limit::key`], in bytes. What is longer is hashed by its owner.
pub const MAX_KEY_BYTES: usize = 512;

/// How long a stored bucket outlives the moment when it is full again, in seconds.
const SPARE_SECONDS: i64 = 60;
/// 2^53 microseconds (the year 2255): up to here a Lua number, a double, holds every integer.
const END_OF_TIME: i64 = 1 << 53;

/// One limit of a check: `cost` units of `policy`, for `key`.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    /// What is allowed.
    pub policy: &'a Policy,
    /// Who or what is limited within the tenant: a key id, an address, a route; empty for the tenant as a whole.
    /// Up to [`MAX_KEY_BYTES`]. Policies of different names or rates have buckets of their own for the same key.
    pub key: &'a str,
    /// Units to charge. 0 looks without charging and is never refused; more than the burst is always refused.
    pub cost: u32,
}

/// A limiter: on DynamoDB, which all functions have, or on Redis, for functions that have one.
pub trait Limiter: Send + Sync {
    /// Charges every limit if all of them allow it, else none.
    ///
    /// `tenant` begins every stored key: the tenant's id or, where no caller is known yet, a fixed word such as
    /// `public`; 1 to 64 of `A-Z a-z 0-9 _ . -`. At most [`MAX_LIMITS`] limits, each bucket once. `now` is cut to
    /// microseconds.
    fn check<'a>(
        &'a self,
        tenant: &'a str,
        limits: &'a [Limit<'a>],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimitError>>;
}

/// Why a check has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The store is away, too slow, or too contended.
    #[error("the store of the rate limits does not answer")]
    Unavailable(#[source] BoxError),
    /// The caller's mistake.
    #[error("the check of rate limits is not valid: {0}")]
    Invalid(&'static str),
}

/// What protects something fails closed: a store that is away is 503.
impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::Unavailable(_) => Self::unavailable(error),
            LimitError::Invalid(_) => Self::internal(error),
        }
    }
}

impl LimitError {
    fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }
}

/// Refuses a check that no store should see; the time in microseconds since the epoch otherwise.
fn validate(tenant: &str, limits: &[Limit<'_>], now: Timestamp) -> Result<i64, LimitError> {
    let in_tenant = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if !(1..=64).contains(&tenant.len()) || !tenant.bytes().all(in_tenant) {
        return Err(LimitError::Invalid("the tenant is not 1 to 64 of A-Z a-z 0-9 _ . -"));
    }
    if limits.len() > MAX_LIMITS {
        return Err(LimitError::Invalid("more than 10 limits"));
    }
    if limits.iter().any(|limit| limit.key.len() > MAX_KEY_BYTES) {
        return Err(LimitError::Invalid("a key is longer than 512 bytes"));
    }
    let repeated = |(index, limit): (usize, &Limit<'_>)| {
        limits.iter().skip(index + 1).any(|other| {
            other.key == limit.key
                && other.policy.name() == limit.policy.name()
                && other.policy.rate().same_unit(limit.policy.rate())
        })
    };
    if limits.iter().enumerate().any(repeated) {
        return Err(LimitError::Invalid("two limits share one bucket"));
    }
    let now = now.as_microsecond();
    if (0..END_OF_TIME).contains(&now) {
        Ok(now)
    } else {
        Err(LimitError::Invalid("the time is before 1970 or after 2255"))
    }
}
