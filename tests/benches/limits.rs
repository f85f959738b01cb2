//! What the limiter costs over what it is made of: a bare PING and the bare EVALSHA of its script, on the same server.
//!
//! `cargo bench -p tests --bench limits`; the aim is a median of `limiter` within 1.15 of `evalsha` with as many limits.
//! Criterion measures each alone; the table at the end takes turns between them, so that a busy machine disturbs all
//! alike. The server is the stack's.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)] // a bench has no caller to report to
#![allow(missing_docs)] // criterion's macros make public items

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group};
use redis::aio::MultiplexedConnection;
use shared::limits::{Limit, Limiter as _, Policy, RedisLimiter};
use shared::time::Clock;
use tests::stack;
use tokio::runtime::Runtime;

/// Rounds of the table, each of which asks every contender once.
const ROUNDS: usize = 10_000;

/// The server to measure.
fn redis_url() -> &'static str {
    &stack().dev().redis_url
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

/// What is compared: a limiter and a connection to the same server.
struct Bench {
    limiter: RedisLimiter,
    connection: MultiplexedConnection,
    script: String,
    policies: Vec<Policy>,
    clock: Clock,
}

impl Bench {
    async fn new() -> Self {
        let client = redis::Client::open(redis_url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(RedisLimiter::SCRIPT).take();
        let script = load.query_async(&mut connection).await.unwrap();
        let limiter = RedisLimiter::new(redis_url()).unwrap();
        Self { limiter, connection, script, policies: policies(), clock: Clock::system() }
    }

    async fn ping(&self) {
        redis::cmd("PING").exec_async(&mut self.connection.clone()).await.unwrap();
    }

    async fn evalsha(&self, limits: usize) {
        let command = evalsha(&self.script, limits, self.clock.now().as_microsecond());
        let answer: Vec<i64> = command.query_async(&mut self.connection.clone()).await.unwrap();
        assert_eq!(answer[0], 1);
    }

    async fn limiter(&self, limits: &[Limit<'_>]) {
        assert!(self.limiter.check("bench", limits, self.clock.now()).await.unwrap().allowed);
    }

    fn limits(&self, count: usize) -> Vec<Limit<'_>> {
        self.policies.iter().take(count).map(|policy| Limit { policy, key: "k", cost: 1 }).collect()
    }
}

fn limits(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::new());
    let mut group = criterion.benchmark_group("limits");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("ping", |bencher| bencher.to_async(&runtime).iter(|| bench.ping()));
    for count in [1, 3] {
        group.bench_with_input(BenchmarkId::new("evalsha", count), &count, |bencher, count| {
            bencher.to_async(&runtime).iter(|| bench.evalsha(*count));
        });
        group.bench_with_input(BenchmarkId::new("limiter", count), &bench.limits(count), |bencher, limits| {
            bencher.to_async(&runtime).iter(|| bench.limiter(limits));
        });
    }
    group.finish();
}

/// The medians, measured in turns.
async fn table() {
    async fn timed(work: impl Future<Output = ()>) -> Duration {
        let started = Instant::now();
        work.await;
        started.elapsed()
    }
    let bench = Bench::new().await;
    let (one, three) = (bench.limits(1), bench.limits(3));
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        times[0].push(timed(bench.ping()).await);
        times[1].push(timed(bench.evalsha(1)).await);
        times[2].push(timed(bench.limiter(&one)).await);
        times[3].push(timed(bench.evalsha(3)).await);
        times[4].push(timed(bench.limiter(&three)).await);
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e6
    });
    println!("\n| limiter on Redis | p50 µs | p50 over the raw EVALSHA's |\n|---|---:|---:|");
    println!("| raw PING | {:.1} | |", medians[0]);
    for (limits, at) in [("one limit", 1), ("three limits", 3)] {
        println!("| raw EVALSHA, {limits} | {:.1} | 1 |", medians[at]);
        println!("| limiter, {limits} | {:.1} | {:.2} |", medians[at + 1], medians[at + 1] / medians[at]);
    }
}

criterion_group!(benches, limits);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    Runtime::new().unwrap().block_on(table());
}
