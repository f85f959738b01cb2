//! The property that every limiter passes: it answers what a brute-force oracle answers, which keeps every admitted
//! charge and looks at every trailing interval.
//!
//! The file is compiled into the unit tests of `shared` (against the arithmetic alone) and, by path, into the black-box
//! tests (against Redis and DynamoDB). It takes the names it needs from the module above it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::{Decision, Limit, Limiter, Policy, Timestamp};

/// 2100-01-01: far enough that no store's own clock expires a bucket during a test.
const START: i64 = 4_102_444_800_000_000;

/// A policy by its plain numbers; the oracle uses nothing of the crate's arithmetic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    quota: u32,
    window: i64,
    burst: u32,
}

/// All admitted charges of one bucket, by the brute-force reading of the policy.
#[derive(Debug)]
struct Oracle {
    terms: Terms,
    admitted: Vec<(i64, u32)>,
}

impl Oracle {
    /// Time does not go backwards past what was admitted.
    fn moment(&self, now: i64) -> i64 {
        self.admitted.last().map_or(now, |(last, _)| now.max(*last))
    }

    /// For each trailing interval, the one of the charge alone included: by how much, in `quota`-ths of a unit's time,
    /// `cost` more units at `moment` would exceed `burst + length * quota / window`. Positive: it must be refused.
    fn excess(&self, moment: i64, cost: u32) -> i128 {
        let Terms { quota, window, burst } = self.terms;
        let over = |units: i128, length: i64| {
            units * i128::from(window) - i128::from(burst) * i128::from(window) - i128::from(length) * i128::from(quota)
        };
        let mut units = i128::from(cost);
        let mut most = over(units, 0);
        for (at, earlier) in self.admitted.iter().rev() {
            units += i128::from(*earlier);
            most = most.max(over(units, moment - at));
        }
        most
    }

    fn admits(&self, now: i64, cost: u32) -> bool {
        cost == 0 || self.excess(self.moment(now), cost) <= 0
    }

    fn remaining(&self, now: i64) -> u32 {
        (0..=self.terms.burst).rev().find(|cost| self.admits(now, *cost)).unwrap_or(0)
    }

    /// Microseconds until `cost` units are admitted; `None` when more than the burst.
    fn wait(&self, now: i64, cost: u32) -> Option<i64> {
        let moment = self.moment(now);
        if cost > self.terms.burst {
            return None;
        }
        let excess = self.excess(moment, cost);
        if excess <= 0 {
            return Some(0);
        }
        let quota = i128::from(self.terms.quota);
        Some(moment - now + i64::try_from((excess + quota - 1) / quota).unwrap())
    }

    fn charge(&mut self, now: i64, cost: u32) {
        if cost > 0 {
            self.admitted.push((self.moment(now), cost));
        }
    }

    /// Every interval between two admitted charges, once more and independently of the order of the checks.
    fn assert_never_more_than_allowed(&self) {
        let Terms { quota, window, burst } = self.terms;
        for (from, (start, _)) in self.admitted.iter().enumerate() {
            let mut units = 0_i128;
            for (end, cost) in &self.admitted[from..] {
                units += i128::from(*cost);
                let allowed = i128::from(burst) * i128::from(window) + i128::from(end - start) * i128::from(quota);
                assert!(units * i128::from(window) <= allowed, "{units} units in {} µs: {:?}", end - start, self.terms);
            }
        }
    }
}

/// A policy's index, a key, a cost.
type Charge = (usize, &'static str, u32);
type Oracles = HashMap<(usize, &'static str), Oracle>;

/// How the clock moves before a check.
#[derive(Clone, Debug)]
enum Advance {
    /// By so many sixteenths of a unit's refill time, and some microseconds.
    Sixteenths(u16, i64),
    /// Until the last refusal's `retry_after`, or one microsecond less.
    UntilRetry { early: bool },
    /// A caller whose clock is late, by so many microseconds, for one check.
    Late(i64),
}

#[derive(Clone, Debug)]
struct Step {
    advance: Advance,
    /// For each policy: which of two keys, and the cost; `None` leaves the policy out of the check.
    charges: Vec<Option<(bool, u32)>>,
}

#[derive(Clone, Debug)]
struct Case {
    policies: Vec<Terms>,
    steps: Vec<Step>,
}

fn terms() -> impl Strategy<Value = Terms> {
    let quota = prop_oneof![4 => 1..=20_u32, 1 => Just(997_u32), 1 => 1..=1_000_000_u32];
    let window = prop_oneof![
        1 => 1..=50_i64,
        2 => Just(1_000_000_i64),
        2 => Just(60_000_000_i64),
        1 => Just(86_400_000_000_i64),
        2 => 1..=10_000_019_i64,
    ];
    let plain = (quota, window, 1..=12_u32).prop_map(|(quota, window, burst)| Terms { quota, window, burst });
    // The largest numbers that a policy may have: just below 2^52 ticks of debt.
    let largest = (1..=20_u32, Just(31_622_399_999_983_i64), 130..=142_u32);
    prop_oneof![9 => plain, 1 => largest.prop_map(|(quota, window, burst)| Terms { quota, window, burst })]
}

fn step(policies: usize) -> impl Strategy<Value = Step> {
    let advance = prop_oneof![
        3 => Just(Advance::Sixteenths(0, 0)),
        6 => (0..40_u16, -1..=1_i64).prop_map(|(parts, extra)| Advance::Sixteenths(parts, extra)),
        1 => (0..4000_u16, 0..=1_i64).prop_map(|(parts, extra)| Advance::Sixteenths(parts, extra)),
        4 => any::<bool>().prop_map(|early| Advance::UntilRetry { early }),
        4 => prop_oneof![1 => 1..=3_i64, 2 => 1..=2_000_000_i64].prop_map(Advance::Late),
    ];
    let charge = prop_oneof![
        1 => Just(None),
        4 => (any::<bool>(), prop_oneof![2 => Just(0), 10 => Just(1), 6 => 2..=13_u32, 1 => 100..=143_u32]).prop_map(Some),
    ];
    (advance, proptest::collection::vec(charge, policies)).prop_map(|(advance, charges)| Step { advance, charges })
}

fn case(max_steps: usize) -> impl Strategy<Value = Case> {
    proptest::collection::vec(terms(), 1..=3).prop_flat_map(move |policies| {
        let steps = proptest::collection::vec(step(policies.len()), 1..=max_steps);
        (Just(policies), steps).prop_map(|(policies, steps)| Case { policies, steps })
    })
}

fn at(microsecond: i64) -> Timestamp {
    Timestamp::from_microsecond(microsecond).unwrap()
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap()
}

/// Runs one case in a tenant of its own; the error says where limiter and oracle differ.
async fn run(limiter: &dyn Limiter, tenant: &str, case: &Case) -> Result<(), String> {
    let policies: Vec<Policy> = (0_u8..)
        .zip(&case.policies)
        .map(|(index, Terms { quota, window, burst })| {
            let window = Duration::from_micros(u64::try_from(*window).unwrap());
            Policy::new(format!("p{index}"), *quota, window, *burst).unwrap()
        })
        .collect();
    let mut oracles = Oracles::new();
    let (mut clock, mut retry) = (START, None);
    for (number, step) in case.steps.iter().enumerate() {
        let mut now = clock;
        match step.advance {
            Advance::Sixteenths(parts, extra) => {
                let Terms { quota, window, .. } = case.policies[0];
                let refill = (i64::from(parts) * window / (16 * i64::from(quota))).min(30 * 86_400_000_000);
                now = clock.max(clock + refill + extra);
            }
            Advance::UntilRetry { early } => now = clock.max(retry.unwrap_or(clock) - i64::from(early)),
            Advance::Late(by) => now -= by,
        }
        clock = clock.max(now);
        let charges: Vec<Charge> = (0..)
            .zip(&step.charges)
            .filter_map(|(policy, charge)| charge.map(|(key, cost)| (policy, if key { "a" } else { "b" }, cost)))
            .collect();
        let limits: Vec<_> =
            charges.iter().map(|(policy, key, cost)| Limit { policy: &policies[*policy], key, cost: *cost }).collect();
        let decision = limiter.check(tenant, &limits, at(now)).await.map_err(|error| format!("{error:?}"))?;
        if let Some(wait) = decision.retry_after() {
            retry = Some(now + microseconds(wait));
        }
        for (policy, key, _) in &charges {
            let terms = case.policies[*policy];
            oracles.entry((*policy, *key)).or_insert_with(|| Oracle { terms, admitted: Vec::new() });
        }
        let expected = expect(&mut oracles, &charges, now);
        let answered = plain(&decision);
        if answered != expected {
            return Err(format!("step {number} at {now}: expected {expected:?}, got {answered:?}"));
        }
    }
    for oracle in oracles.values() {
        oracle.assert_never_more_than_allowed();
    }
    Ok(())
}

/// Whether it was allowed; for each limit: refused, remaining, and the three waits in microseconds.
type Plain = (bool, Vec<(bool, u32, Option<i64>, Option<i64>, i64)>);

fn plain(decision: &Decision) -> Plain {
    let limits = decision.limits.iter().map(|limit| {
        let next = limit.next_unit_after.map(microseconds);
        (limit.refused, limit.remaining, limit.retry_after.map(microseconds), next, microseconds(limit.reset_after))
    });
    (decision.allowed, limits.collect())
}

/// What the oracle answers; it is charged alike.
fn expect(oracles: &mut Oracles, charges: &[Charge], now: i64) -> Plain {
    let verdicts: Vec<(bool, Option<i64>)> = charges
        .iter()
        .map(|(policy, key, cost)| {
            let oracle = &oracles[&(*policy, *key)];
            let refused = !oracle.admits(now, *cost);
            let wait = if refused { oracle.wait(now, *cost) } else { None };
            if let Some(wait) = wait {
                // Refused until then, and admitted from then on.
                assert!(oracle.admits(now + wait, *cost) && !oracle.admits(now + wait - 1, *cost));
            }
            (refused, wait)
        })
        .collect();
    let allowed = verdicts.iter().all(|(refused, _)| !refused);
    let mut limits = Vec::new();
    for ((policy, key, cost), (refused, retry)) in charges.iter().zip(verdicts) {
        let oracle = oracles.get_mut(&(*policy, *key)).unwrap();
        if allowed {
            oracle.charge(now, *cost);
        }
        let remaining = oracle.remaining(now);
        let reset = oracle.wait(now, oracle.terms.burst).unwrap();
        limits.push((refused, remaining, retry, oracle.wait(now, remaining + 1), reset));
    }
    (allowed, limits)
}

/// Checks `cases` generated cases of up to `max_steps` checks against the oracle, each in a tenant whose name begins
/// with `tenant`; a failing one is shrunk and reported. The cases are the same in every run.
pub(crate) async fn agrees_with_the_oracle(limiter: &dyn Limiter, tenant: &str, cases: u32, max_steps: usize) {
    let tenants = AtomicU32::new(0);
    let attempt = async |case: &Case| {
        let tenant = format!("{tenant}-{}", tenants.fetch_add(1, Ordering::Relaxed));
        run(limiter, &tenant, case).await
    };
    let mut runner = TestRunner::deterministic();
    for _ in 0..cases {
        let mut tree = case(max_steps).new_tree(&mut runner).unwrap();
        let Err(mut reason) = attempt(&tree.current()).await else { continue };
        let mut smallest = tree.current();
        let mut budget = 400;
        while budget > 0 && tree.simplify() {
            budget -= 1;
            match attempt(&tree.current()).await {
                Err(smaller) => (smallest, reason) = (tree.current(), smaller),
                Ok(()) if !tree.complicate() => break,
                Ok(()) => {}
            }
        }
        panic!("{reason}\n{smallest:#?}");
    }
}

/// 100 checks at one instant admit exactly the burst; with two limits, exactly the smaller one's, and no refused check
/// leaves a charge on the other.
pub(crate) async fn admits_exactly_the_burst_under_concurrency(limiter: Arc<dyn Limiter>, tenant: &str) {
    let minute = Duration::from_mins(1);
    let small = Policy::new("small", 5, minute, 20).unwrap();
    let large = Policy::new("large", 7, minute, 37).unwrap();
    let alone = [(large.clone(), "alone")];
    let both = [(small.clone(), ""), (large.clone(), "route")];
    // A day later, the buckets are stored, and full again.
    let later = START + 86_400_000_000;
    let rounds = [(alone.as_slice(), 37, START), (&both, 20, START), (&alone, 37, later), (&both, 20, later)];
    for (charges, burst, now) in rounds {
        let mut checks = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (limiter, tenant, charges) = (Arc::clone(&limiter), tenant.to_owned(), charges.to_vec());
            checks.spawn(async move {
                let limits: Vec<_> = charges.iter().map(|(policy, key)| Limit { policy, key, cost: 1 }).collect();
                limiter.check(&tenant, &limits, at(now)).await.ok().map(|decision| decision.allowed)
            });
        }
        let verdicts = checks.join_all().await;
        let admitted = verdicts.iter().filter(|verdict| **verdict == Some(true)).count();
        // A check without an answer, on a machine too loaded for its time-out, may or may not have been charged.
        let unanswered = verdicts.iter().filter(|verdict| verdict.is_none()).count();
        assert!(admitted <= burst && burst <= admitted + unanswered, "{admitted}, {unanswered} without an answer");
    }
    let look = [Limit { policy: &large, key: "route", cost: 0 }, Limit { policy: &small, key: "", cost: 0 }];
    let decision = limiter.check(tenant, &look, at(later)).await.unwrap();
    let remaining: Vec<_> = decision.limits.iter().map(|limit| limit.remaining).collect();
    assert_eq!(remaining, [17, 0]);
}

/// A stream of checks whose moments are in no order, as from callers whose clocks differ or whose packets overtake one
/// another, with newer ones on their way all the time: while they fit, all are admitted and none is without an answer;
/// of more, exactly what fits.
pub(crate) async fn admits_what_fits_in_any_order(limiter: Arc<dyn Limiter>, tenant: &str) {
    // Nothing flows back within the moments of the test.
    let policy = Policy::new("order", 400, Duration::from_hours(24), 400).unwrap();
    for (round, admitted, left) in [(0, 300, 100), (1, 100, 0)] {
        let mut checks = tokio::task::JoinSet::new();
        for number in 0..300 {
            // A millisecond from one to the next, and each late by up to a fiftieth of a second.
            let moment = START + (round * 300 + number) * 1_000 - number * 7_919 % 20_000;
            let (limiter, tenant, policy) = (Arc::clone(&limiter), tenant.to_owned(), policy.clone());
            checks.spawn(async move {
                let limits = [Limit { policy: &policy, key: "k", cost: 1 }];
                limiter.check(&tenant, &limits, at(moment)).await.map(|decision| decision.allowed)
            });
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let verdicts = checks.join_all().await;
        let unanswered: Vec<_> = verdicts.iter().filter_map(|verdict| verdict.as_ref().err()).collect();
        assert!(unanswered.is_empty(), "{} without an answer: {:?}", unanswered.len(), unanswered.first());
        assert_eq!(verdicts.into_iter().filter(|verdict| matches!(verdict, Ok(true))).count(), admitted);
        let look = [Limit { policy: &policy, key: "k", cost: 0 }];
        let decision = limiter.check(tenant, &look, at(START + (round + 1) * 300_000)).await.unwrap();
        assert_eq!(decision.limits[0].remaining, left);
    }
}
