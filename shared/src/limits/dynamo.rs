//! The limiter on DynamoDB: conditional writes that never read first where one limit is checked.
//!
//! An item is a bucket: `pk` (tenant, policy, rate and key), `tat` (the theoretical arrival time in ticks: the moment
//! times the drain, plus the debt), `seen` (that moment, in microseconds) and `expires_at` (epoch seconds, the table's
//! TTL attribute). The numbers have at most 26 digits of DynamoDB's 38.
//!
//! | check | calls | capacity |
//! |---|---|---|
//! | one limit, new bucket or one with debt | 1 `UpdateItem` | 1 WCU |
//! | one limit, refused | 1 `UpdateItem` | 1 WCU |
//! | one limit, bucket stored but full again | 2 `UpdateItem` | 2 WCU |
//! | n limits, refused | n `GetItem`, at once | n RCU |
//! | n limits, charged | n `GetItem`, at once, and 1 `TransactWriteItems` | n RCU, 2n WCU |
//! | a look (cost 0) | 1 `GetItem` | 1 RCU |
//!
//! A write's condition is a range, not an equality: concurrent checks of one bucket that all fit do not fail one
//! another. One bucket takes about 1,000 charges a second (a partition's write capacity).

use std::time::Duration;

use futures::future::try_join_all;

use super::gcra::Meter;
use super::{BoxFuture, Decision, Limit, LimitError, Limiter, SPARE_SECONDS, Timestamp, validate};
use crate::dynamo::{Cancellation, Dynamo, DynamoError, Item, Key, TransactWrite, Update, n, s};
use crate::random::Random;

/// Attempts against other writers of the same buckets before giving up.
const MAX_ATTEMPTS: u32 = 8;
/// The longest pause before the second attempt; it doubles for each further one.
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
                Outcome::Raced => {}
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
                    let after = stored(&item, limit)?.ok_or_else(malformed)?;
                    let debt = after.debt.saturating_sub(limit.policy.rate().increment(limit.cost));
                    return Ok(Decision::of(std::iter::once((limit, Meter { debt, ..after })), now));
                }
                Err(DynamoError::ConditionFailed { current }) => {
                    known = stored(&current, limit)?;
                    let before = Meter::at(known, now, limit.policy.rate());
                    if !before.admits(limit.policy.rate(), limit.cost) {
                        return Ok(Decision::of(std::iter::once((limit, before)), now));
                    }
                }
                // It met the transaction of another check.
                Err(DynamoError::Conflict(_)) => self.pause(attempt).await,
                Err(error) => return Err(LimitError::unavailable(error)),
            }
        }
        Err(contended())
    }

    /// Reads all buckets; charges them in one transaction if all allow it.
    async fn attempt_all(&self, keys: &[String], limits: &[Limit<'_>], now: i64) -> Result<Outcome, LimitError> {
        let reads = keys.iter().zip(limits).map(async |(key, limit)| {
            let item = self.dynamo.get(&self.table, [("pk", s(key))].into(), true).await;
            stored(&item.map_err(LimitError::unavailable)?.unwrap_or_default(), limit)
        });
        let known = try_join_all(reads).await?;
        let before =
            known.iter().zip(limits).map(|(known, limit)| (limit, Meter::at(*known, now, limit.policy.rate())));
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

/// One conditional charge, all in ticks but the two moments.
struct Charge {
    /// The bucket is known to have a debt, or is not known at all.
    in_debt: bool,
    /// The check's moment: `now`, or the bucket's own if that is later.
    moment: i64,
    /// `tat` of a full bucket at that moment.
    full: i128,
    increment: i128,
    /// The largest `tat` that leaves room for the charge.
    ceiling: i128,
    /// When the bucket is full again at the latest, with some time to spare; epoch seconds.
    expires_at: i64,
}

impl Charge {
    /// For a cost that the bucket can hold.
    fn new(limit: &Limit<'_>, known: Option<Meter>, now: i64) -> Self {
        let rate = limit.policy.rate();
        let before = Meter::at(known, now, rate);
        let full = i128::from(before.at) * i128::from(rate.per_microsecond());
        let increment = i128::from(rate.increment(limit.cost));
        let refill = i64::try_from(rate.time_for(rate.capacity()).as_secs()).unwrap_or(i64::MAX);
        Self {
            in_debt: known.is_none_or(|_| before.debt > 0),
            moment: before.at,
            full,
            increment,
            ceiling: full + i128::from(rate.capacity()) - increment,
            expires_at: (before.at / 1_000_000).saturating_add(refill).saturating_add(SPARE_SECONDS + 1),
        }
    }

    /// The two branches of GCRA's `max(tat, now) + increment`, which an expression cannot say in one.
    fn write(&self, table: &str, key: &str) -> Update {
        let key = Key::from([("pk", s(key))]);
        let update = if self.in_debt {
            Update::new(
                table,
                key,
                "SET tat = if_not_exists(tat, :full) + :increment, seen = :moment, expires_at = :expires_at",
            )
            .only_if("attribute_not_exists(tat) OR (seen <= :moment AND tat BETWEEN :full AND :ceiling)")
            .value(":increment", n(self.increment))
            .value(":ceiling", n(self.ceiling))
        } else {
            Update::new(table, key, "SET tat = :charged, seen = :moment, expires_at = :expires_at")
                .only_if("attribute_not_exists(tat) OR (seen <= :moment AND tat <= :full)")
                .value(":charged", n(self.full + self.increment))
        };
        update.value(":full", n(self.full)).value(":moment", n(self.moment)).value(":expires_at", n(self.expires_at))
    }
}

/// The bucket in an item; `None` when there is no item.
fn stored(item: &Item, limit: &Limit<'_>) -> Result<Option<Meter>, LimitError> {
    if item.is_empty() {
        return Ok(None);
    }
    let number = |name| -> Option<i128> { item.get(name)?.as_n().ok()?.parse().ok() };
    let meter = || {
        let at = i64::try_from(number("seen")?).ok()?;
        let full = i128::from(at) * i128::from(limit.policy.rate().per_microsecond());
        Some(Meter { at, debt: u64::try_from(number("tat")? - full).ok()? })
    };
    meter().map(Some).ok_or_else(malformed)
}

fn malformed() -> LimitError {
    LimitError::unavailable("a stored bucket has an unknown form")
}

fn contended() -> LimitError {
    LimitError::unavailable("too many checks of the same buckets at once")
}
