//! What the limiter costs over what it is made of: a bare PING and the bare EVALSHA of its script, on the same server.
//!
//! `cargo bench -p tests --bench limits`; the aim is a median of `limiter` within 1.15 of `evalsha` with as many limits.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a bench has no caller to report to
#![allow(missing_docs)] // criterion's macros make public items

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use redis::aio::MultiplexedConnection;
use shared::limits::{Limit, Limiter as _, Policy, RedisLimiter};
use shared::time::Clock;
use tokio::runtime::Runtime;

/// The server to measure, as `redis://host:port`: the one that `TENFOLD_BENCH_REDIS_URL` names.
fn redis_url() -> String {
    std::env::var("TENFOLD_BENCH_REDIS_URL").unwrap()
}

/// One unit of debt is one tick, one drains each microsecond: a million a second, never refused here.
fn policies() -> Vec<Policy> {
    let policy = |name: &str| Policy::new(name, 1_000_000, Duration::from_secs(1), 1_000_000).unwrap();
    ["key", "tenant", "route"].map(policy).to_vec()
}

/// The limiter's own command, with the arguments that [`RedisLimiter::SCRIPT`] documents.
fn evalsha(hash: &str, limits: usize, now: i64) -> redis::Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(hash).arg(limits);
    for name in &["key", "tenant", "route"][..limits] {
        command.arg(format!("limit:{{bench}}:{name}:1.1:raw"));
    }
    command.arg(now).arg(60_000);
    for _ in 0..limits {
        command.arg(1).arg(1_000_000).arg(1);
    }
    command
}

fn limits(criterion: &mut Criterion) {
    let (runtime, clock) = (Runtime::new().unwrap(), Clock::system());
    let limiter = RedisLimiter::new(&redis_url()).unwrap();
    let connection: MultiplexedConnection = runtime.block_on(async {
        redis::Client::open(redis_url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    });
    let hash: String = runtime.block_on(async {
        let mut connection = connection.clone();
        redis::cmd("SCRIPT").arg("LOAD").arg(RedisLimiter::SCRIPT).query_async(&mut connection).await.unwrap()
    });
    let policies = policies();
    let mut group = criterion.benchmark_group("limits");
    group.bench_function("ping", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            let mut connection = connection.clone();
            redis::cmd("PING").exec_async(&mut connection).await.unwrap();
        });
    });
    for count in [1, 3] {
        group.bench_with_input(BenchmarkId::new("evalsha", count), &count, |bencher, count| {
            bencher.to_async(&runtime).iter(async || {
                let mut connection = connection.clone();
                let command = evalsha(&hash, *count, clock.now().as_microsecond());
                let answer: Vec<i64> = command.query_async(&mut connection).await.unwrap();
                assert_eq!(answer[0], 1);
            });
        });
        let limits: Vec<_> = policies.iter().take(count).map(|policy| Limit { policy, key: "k", cost: 1 }).collect();
        group.bench_with_input(BenchmarkId::new("limiter", count), &limits, |bencher, limits| {
            bencher.to_async(&runtime).iter(async || {
                assert!(limiter.check("bench", limits, clock.now()).await.unwrap().allowed);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, limits);
criterion_main!(benches);
