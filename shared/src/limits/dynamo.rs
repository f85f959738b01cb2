//! The limiter on DynamoDB: conditional writes that never read first where one limit is checked.
//!
//! An item is a bucket: `pk` (tenant, policy, rate and key), `tat` (the theoretical arrival time in ticks: the moment
//! times the drain, plus the debt), `seen` (that moment, in microseconds), `debt` (in ticks, at that moment) and
//! `expires_at` (epoch seconds, the table's TTL attribute). The numbers have at most 26 digits of DynamoDB's 38.
//!
//! | check | calls | capacity |
//! |---|---|---|
//! | one limit, new bucket or one with debt | 1 `UpdateItem` | 1 WCU |
//! | one limit, refused | 1 `UpdateItem` | 1 WCU |
//! | one limit, bucket stored but full again | 2 `UpdateItem` | 2 WCU |
//! | one limit, a moment before the stored one | 2 `UpdateItem`; 1 when refused | 2 WCU; 1 |
//! | n limits, refused | n `GetItem`, at once | n RCU |
//! | n limits, charged | n `GetItem`, at once, and 1 `TransactWriteItems` | n RCU, 2n WCU |
//! | a look (cost 0) | 1 `GetItem` | 1 RCU |
//!
//! A write's condition is a range, not an equality: concurrent checks of one bucket that all fit do not fail one
//! another. A check that comes after a newer one is charged at the stored moment, whichever that is when its write is done:
//! however many newer ones overtake it, its second write charges or finds that there is no room. One bucket takes about
//! 1,000 charges a second (a partition's write capacity).

mod charge;

use std::time::Duration;

use futures::future::try_join_all;

use self::charge::{Bucket, Charge};
use super::gcra::Meter;
use super::{BoxFuture, Decision, Limit, LimitError, Limiter, Timestamp, validate};
use crate::dynamo::{Cancellation, Dynamo, DynamoError, TransactWrite, s};
use crate::random::Random;

/// Attempts against other writers of the same buckets before giving up.
const MAX_ATTEMPTS: u32 = 8;
/// The longest pause after the first attempt that is not followed at once; it doubles for each further one.
const PAUSE: Duration = Duration::from_millis(10);

/// How long a check may take in all. A write that is under way then may still be charged.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Limits in one DynamoDB table with the string partition key `pk` and TTL on `expires_at`. Needs
/// `dynamodb:GetItem` and `dynamodb:UpdateItem` on it.
#[derive(Clone, Debug)]
pub struct DynamoLimiter {
    dynamo: Dynamo,
    table: String,
    random: Random,
}

/// What an attempt came to.
enum Outcome {
    Decided(Decision),
    /// Another writer was first.
    Raced,
    /// Another transaction held an item: worth a pause.
    Conflict,
}

impl DynamoLimiter {
    /// A limiter on `table`. `random` spreads the pauses between attempts.
    pub fn new(dynamo: Dynamo, table: impl Into<String>, random: Random) -> Self {
        Self { dynamo, table: table.into(), random }
    }

    async fn decide(&self, tenant: &str, limits: &[Limit<'_>], now: Timestamp) -> Result<Decision, LimitError> {
        let now = validate(tenant, limits, now)?;
        let keys: Vec<_> = limits.iter().map(|limit| format!("{tenant}:{}", limit.policy.bucket(limit.key))).collect();
        if let ([limit], [key]) = (limits, keys.as_slice())
            && limit.cost > 0
            && limit.policy.rate().holds(limit.cost)
        {
            return self.decide_one(key, limit, now).await;
        }
        for attempt in 1..=MAX_ATTEMPTS {
            match self.attempt_all(&keys, limits, now).await? {
                Outcome::Decided(decision) => return Ok(decision),
                Outcome::Raced => self.pause_after_the_first(attempt).await,
                Outcome::Conflict => self.pause(attempt).await,
            }
        }
        Err(contended())
    }

    /// Assumes a bucket that is new or has debt; a refused condition brings the item, so the next attempt knows.
    async fn decide_one(&self, key: &str, limit: &Limit<'_>, now: i64) -> Result<Decision, LimitError> {
        let mut known = None;
        for attempt in 1..=MAX_ATTEMPTS {
            let charge = Charge::new(limit, known, now);
            match self.dynamo.update(charge.write(&self.table, key)).await {
                Ok(item) => {
                    let after = Bucket::stored(&item, limit)?.ok_or_else(charge::malformed)?;
                    let debt = after.meter.debt.saturating_sub(limit.policy.rate().increment(limit.cost));
                    return Ok(Decision::of(std::iter::once((limit, Meter { debt, ..after.meter })), now));
                }
                Err(DynamoError::ConditionFailed { current }) => {
                    known = Bucket::stored(&current, limit)?;
                    let before = Bucket::meter(known, now, limit);
                    if !before.admits(limit.policy.rate(), limit.cost) {
                        return Ok(Decision::of(std::iter::once((limit, before)), now));
                    }
                    self.pause_after_the_first(attempt).await;
                }
                Err(error) => return Err(LimitError::unavailable(error)),
            }
        }
        Err(contended())
    }

    /// Reads all buckets; charges them in one transaction if all allow it.
    async fn attempt_all(&self, keys: &[String], limits: &[Limit<'_>], now: i64) -> Result<Outcome, LimitError> {
        let reads = keys.iter().zip(limits).map(async |(key, limit)| {
            let item = self.dynamo.get(&self.table, [("pk", s(key))].into(), true).await;
            Bucket::stored(&item.map_err(LimitError::unavailable)?.unwrap_or_default(), limit)
        });
        let known = try_join_all(reads).await?;
        let before = known.iter().zip(limits).map(|(known, limit)| (limit, Bucket::meter(*known, now, limit)));
        let decision = Decision::of(before, now);
        let charges = keys.iter().zip(limits).zip(&known).filter(|((_, limit), _)| limit.cost > 0);
        let writes: Vec<_> = charges
            .map(|((key, limit), known)| TransactWrite::Update(Charge::new(limit, *known, now).write(&self.table, key)))
            .collect();
        if !decision.allowed || writes.is_empty() {
            return Ok(Outcome::Decided(decision));
        }
        match self.dynamo.transact(writes).await {
            Ok(()) => Ok(Outcome::Decided(decision)),
            Err(DynamoError::Cancelled { reasons }) if reasons.contains(&Cancellation::Conflict) => {
                Ok(Outcome::Conflict)
            }
            Err(DynamoError::Cancelled { reasons })
                if reasons.iter().any(|reason| matches!(reason, Cancellation::ConditionFailed(_))) =>
            {
                Ok(Outcome::Raced)
            }
            Err(error) => Err(LimitError::unavailable(error)),
        }
    }

    /// What the first attempt learns is mostly all that the second needs.
    async fn pause_after_the_first(&self, attempt: u32) {
        if let Some(later @ 1..) = attempt.checked_sub(1) {
            self.pause(later).await;
        }
    }

    async fn pause(&self, attempt: u32) {
        tokio::time::sleep(self.random.pause(PAUSE, attempt)).await;
    }
}

impl Limiter for DynamoLimiter {
    fn check<'a>(
        &'a self,
        tenant: &'a str,
        limits: &'a [Limit<'a>],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimitError>> {
        Box::pin(async move {
            match tokio::time::timeout(TIMEOUT, self.decide(tenant, limits, now)).await {
                Ok(decision) => decision,
                Err(elapsed) => Err(LimitError::unavailable(elapsed)),
            }
        })
    }
}

fn contended() -> LimitError {
    LimitError::unavailable("too many checks of the same buckets at once")
}
