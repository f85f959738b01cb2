#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::conformance::{
    admits_exactly_the_burst_under_concurrency, admits_what_fits_in_any_order, agrees_with_the_oracle,
};
use super::gcra::Meter;
use super::{BoxFuture, Decision, InvalidPolicy, Limit, LimitError, Limiter, Policy, Timestamp, validate};

/// The arithmetic alone, with a map for a store.
#[derive(Default)]
struct InProcess(Mutex<HashMap<String, Meter>>);

impl Limiter for InProcess {
    fn check<'a>(
        &'a self,
        tenant: &'a str,
        limits: &'a [Limit<'a>],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimitError>> {
        Box::pin(async move {
            let now = validate(tenant, limits, now)?;
            let mut stored = self.0.lock().unwrap();
            let key = |limit: &Limit<'_>| format!("{tenant}:{}", limit.policy.bucket(limit.key));
            let before: Vec<_> = limits
                .iter()
                .map(|limit| (limit, Meter::at(stored.get(&key(limit)).copied(), now, limit.policy.rate())))
                .collect();
            let decision = Decision::of(before.iter().copied(), now);
            for (limit, before) in before.into_iter().filter(|(limit, _)| decision.allowed && limit.cost > 0) {
                stored.insert(key(limit), before.charged(limit.policy.rate(), limit.cost));
            }
            Ok(decision)
        })
    }
}

fn policy(quota: u32, seconds: u64, burst: u32) -> Policy {
    Policy::new("default", quota, Duration::from_secs(seconds), burst).unwrap()
}

/// One check of `policy` on `limiter`, so many milliseconds after the epoch.
async fn check(limiter: &InProcess, policy: &Policy, cost: u32, millisecond: i64) -> Decision {
    let now = Timestamp::from_millisecond(millisecond).unwrap();
    limiter.check("acme", &[Limit { policy, key: "k", cost }], now).await.unwrap()
}

fn fields(decision: &Decision) -> Vec<String> {
    decision.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
}

#[tokio::test]
async fn the_arithmetic_agrees_with_the_oracle() {
    agrees_with_the_oracle(&InProcess::default(), "t", 400, 60).await;
}

#[tokio::test]
async fn the_arithmetic_admits_exactly_the_burst() {
    admits_exactly_the_burst_under_concurrency(Arc::new(InProcess::default()), "t").await;
}

#[tokio::test]
async fn the_arithmetic_admits_what_fits_in_any_order() {
    admits_what_fits_in_any_order(Arc::new(InProcess::default()), "t").await;
}

#[tokio::test]
async fn the_fields_tell_policy_state_and_wait() {
    let (limiter, policy) = (InProcess::default(), policy(100, 60, 100));
    let full = check(&limiter, &policy, 0, 0).await;
    assert_eq!(fields(&full), [r#"ratelimit-policy: "default";q=100;w=60"#, r#"ratelimit: "default";r=100"#]);
    let half = check(&limiter, &policy, 50, 0).await;
    assert_eq!(fields(&half)[1], r#"ratelimit: "default";r=50;t=1"#);
    check(&limiter, &policy, 50, 0).await;
    let refused = check(&limiter, &policy, 3, 0).await;
    assert_eq!(fields(&refused)[1..], [r#"ratelimit: "default";r=0;t=1"#, "retry-after: 2"]);
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(1800)));
    assert_eq!(refused.limits[0].reset_after, Duration::from_mins(1));
}

#[tokio::test]
async fn the_fields_list_every_limit_and_what_differs_from_the_plain_case() {
    let bytes = Policy::new("upload", 1_000_000, Duration::from_hours(1), 65_536).unwrap();
    let fast = Policy::new("fast", 5, Duration::from_millis(500), 5).unwrap();
    let limits = [Limit { policy: &bytes, key: "", cost: 65_536 }, Limit { policy: &fast, key: "", cost: 1 }];
    let decision = InProcess::default().check("acme", &limits, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(
        fields(&decision),
        [
            r#"ratelimit-policy: "upload";q=1000000;w=3600;tenfold-burst=65536, "fast";q=5"#,
            r#"ratelimit: "upload";r=0;t=1, "fast";r=4;t=1"#,
        ]
    );
    let none = InProcess::default().check("acme", &[], Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(none.allowed && none.headers().is_empty());
}

#[tokio::test]
async fn more_than_the_burst_is_refused_for_good() {
    let decision = check(&InProcess::default(), &policy(10, 1, 5), 6, 0).await;
    assert!(decision.limits[0].refused && !decision.allowed);
    assert_eq!(decision.retry_after(), None);
    assert!(decision.headers().iter().all(|(name, _)| name != "retry-after"));
}

#[tokio::test]
async fn a_changed_burst_keeps_the_bucket_and_a_changed_rate_does_not() {
    let limiter = InProcess::default();
    check(&limiter, &policy(10, 1, 5), 4, 0).await;
    assert_eq!(check(&limiter, &policy(10, 1, 8), 0, 0).await.limits[0].remaining, 4);
    let shrunk = check(&limiter, &policy(10, 1, 2), 0, 0).await;
    assert!(shrunk.allowed, "a look is never refused");
    assert_eq!(shrunk.limits[0].remaining, 0);
    let refused = check(&limiter, &policy(10, 1, 2), 1, 0).await;
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(300)));
    assert_eq!(check(&limiter, &policy(20, 1, 5), 0, 0).await.limits[0].remaining, 5);
}

#[test]
fn a_policy_has_bounds() {
    let new = |name: &str, quota, window, burst| Policy::new(name, quota, window, burst).err();
    let minute = Duration::from_mins(1);
    assert_eq!(new("a", 1_000_000, Duration::from_hours(24), 1_000_000), None);
    for name in ["", "A", "a b", "a\"", &"a".repeat(33)] {
        assert_eq!(new(name, 1, minute, 1), Some(InvalidPolicy::Name), "{name}");
    }
    assert_eq!(new("a", 0, minute, 1), Some(InvalidPolicy::Zero));
    assert_eq!(new("a", 1, minute, 0), Some(InvalidPolicy::Zero));
    for window in [Duration::ZERO, Duration::from_nanos(1500), Policy::MAX_WINDOW + Duration::from_secs(1)] {
        assert_eq!(new("a", 1, window, 1), Some(InvalidPolicy::Window));
    }
    assert_eq!(new("a", 7, Policy::MAX_WINDOW, u32::MAX), Some(InvalidPolicy::TooFine));
}

#[tokio::test]
async fn a_check_that_no_store_should_see_is_refused() {
    let (limiter, policy) = (InProcess::default(), policy(1, 1, 1));
    let long = "k".repeat(513);
    let limit = |key| Limit { policy: &policy, key, cost: 1 };
    let epoch = Timestamp::UNIX_EPOCH;
    let many = [""; 11].map(limit);
    let cases: [(&str, &[Limit<'_>], Timestamp); 6] = [
        ("", &[limit("k")], epoch),
        ("a}b", &[limit("k")], epoch),
        ("t", &[limit(&long)], epoch),
        ("t", &[limit("k"), limit("k")], epoch),
        ("t", &many, epoch),
        ("t", &[limit("k")], Timestamp::MAX),
    ];
    for (tenant, limits, now) in cases {
        assert!(matches!(limiter.check(tenant, limits, now).await, Err(LimitError::Invalid(_))), "{tenant}");
    }
}
