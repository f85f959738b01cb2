//! What a handler costs over a function without a framework: from the event's bytes to the answer's bytes, as the
//! Lambda runtime reads and writes them, for the same event of API Gateway.
//!
//! `cargo bench -p tests --bench handler`; the aim is a median of `health` within 1.5 of `sandbox`. Criterion measures
//! each alone; the table at the end takes turns between them, so that a busy machine disturbs all alike.

// A bench has no caller to report to but its reader, and its counts are small.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_precision_loss)]
#![allow(missing_docs)] // criterion's macros make public items

use std::cell::RefCell;
use std::fs::File;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use lambda_runtime::{Context, LambdaEvent};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use shared::BoxFuture;
use shared::lambda::{Function, Runtime};
use shared::time::Clock;
use tests::{Tenant, http_event, stack};
use tracing::Dispatch;

/// Rounds of the table, each of which asks every contender once.
const ROUNDS: usize = 20_000;
/// After how many answers an instance is replaced: it keeps 1,000 clicks that are not sent, and no more.
const RENEWED_AFTER: usize = 500;

/// One side of the comparison, with its event.
enum Contender {
    Sandbox(Vec<u8>),
    Function { built: RefCell<Function>, build: fn() -> BoxFuture<'static, Function>, event: Vec<u8> },
}

impl Contender {
    async fn function(build: fn() -> BoxFuture<'static, Function>, event: Vec<u8>) -> Self {
        Self::Function { built: RefCell::new(build().await), build, event }
    }

    /// From bytes to bytes.
    async fn answer(&self) -> Vec<u8> {
        match self {
            Self::Sandbox(event) => {
                let event = LambdaEvent::new(read::<Value>(event), Context::default());
                serde_json::to_vec(&sandbox::handle(event).await.unwrap()).unwrap()
            }
            Self::Function { built, event, .. } => {
                let function = built.borrow().clone();
                let answer = function.invoke(read::<Box<RawValue>>(event), Context::default()).await.unwrap();
                serde_json::to_vec(&answer).unwrap()
            }
        }
    }

    /// Replaces the instance with its clicks by one that has answered once, and remembers what it read for that.
    async fn renew(&self) {
        if let Self::Function { built, build, .. } = self {
            let fresh = build().await;
            built.replace(fresh);
            self.answer().await;
        }
    }
}

/// As `lambda_runtime` reads an event.
fn read<T: DeserializeOwned>(event: &[u8]) -> T {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(event)).unwrap()
}

/// What a browser's request looks like to a function.
fn event(method: &str, path: &str, body: Option<&str>) -> Vec<u8> {
    let headers = [
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("content-length", "0"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "none"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
        ("x-amzn-trace-id", "Root=1-69216fb0-1b2c3d4e5f60718293a4b5c6"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-port", "443"),
    ];
    http_event(method, path, &headers, body).to_string().into_bytes()
}

/// `GET` of an item that the sandbox holds.
async fn sandbox() -> Contender {
    let create = event("POST", "/sandbox/items", Some(r#"{"name": "bench", "data": {"n": 1}}"#));
    let made: Value = serde_json::from_slice(&Contender::Sandbox(create).answer().await).unwrap();
    let path = made["headers"]["location"].as_str().unwrap();
    Contender::Sandbox(event("GET", path, None))
}

/// `GET /health`, which touches nothing but the conventions: no stack is needed.
async fn health() -> Contender {
    let build = || -> BoxFuture<'static, Function> {
        Box::pin(async {
            let environment = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "IDENTITY_TABLE"];
            let environment = environment.map(|name| (name.to_owned(), "bench".to_owned())).into_iter().collect();
            health::SERVICE.build("health.api", environment).await.unwrap()
        })
    };
    Contender::function(build, event("GET", "/health", None)).await
}

/// The redirect of a link that the instance remembers: its clock stands, so that it does so for good.
async fn redirect() -> Contender {
    let made =
        Tenant::new().await.post("/v1/links", &json!({"target": "https://example.com/a/page"})).await.expect(201);
    let path = format!("/l/{}", made.json()["slug"].as_str().unwrap());
    let build = || -> BoxFuture<'static, Function> {
        Box::pin(async {
            let environment = stack().environment("links.redirect").unwrap();
            let clock = Clock::manual(Clock::system().now());
            let runtime = |name| Ok(Runtime::new(name, environment)?.with_clock(clock));
            links::SERVICE.build_with("links.redirect", runtime).await.unwrap()
        })
    };
    Contender::function(build, event("GET", &path, None)).await
}

/// Logs as a Lambda's are written, to a file that keeps nothing.
fn logs() -> Dispatch {
    let nowhere = Mutex::new(File::options().write(true).open("/dev/null").unwrap());
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(tracing_subscriber::EnvFilter::new("info"))
        .with_writer(nowhere);
    Dispatch::new(subscriber.finish())
}

fn runtime() -> tokio::runtime::Runtime {
    // As a Lambda has it.
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A contender's name, itself, and whether it logs.
type Entry = (&'static str, Contender, bool);

async fn entries() -> Vec<Entry> {
    vec![
        ("sandbox", sandbox().await, false),
        ("health, logs off", health().await, false),
        ("health", health().await, true),
        ("redirect, logs off", redirect().await, false),
        ("redirect", redirect().await, true),
    ]
}

async fn time(contender: &Contender, times: u64) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..times.div_ceil(RENEWED_AFTER as u64) {
        let some = times.min(RENEWED_AFTER as u64);
        let started = Instant::now();
        for _ in 0..some {
            std::hint::black_box(contender.answer().await);
        }
        took += started.elapsed();
        contender.renew().await;
    }
    // The last part may be longer than what was asked for.
    let measured = times.div_ceil(RENEWED_AFTER as u64) * times.min(RENEWED_AFTER as u64);
    took.mul_f64(times as f64 / measured as f64)
}

fn handler(criterion: &mut Criterion) {
    let (runtime, logs) = (runtime(), logs());
    let mut group = criterion.benchmark_group("handler");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for (name, contender, logged) in runtime.block_on(entries()) {
        let dispatch = if logged { logs.clone() } else { Dispatch::none() };
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                tracing::dispatcher::with_default(&dispatch, || runtime.block_on(time(&contender, times)))
            });
        });
    }
    group.finish();
}

/// The medians, measured in turns.
fn table() {
    let (runtime, logs) = (runtime(), logs());
    let entries = runtime.block_on(entries());
    let mut times = vec![Vec::with_capacity(ROUNDS); entries.len()];
    for round in 0..ROUNDS {
        for ((_, contender, logged), times) in entries.iter().zip(&mut times) {
            let dispatch = if *logged { logs.clone() } else { Dispatch::none() };
            times.push(tracing::dispatcher::with_default(&dispatch, || {
                runtime.block_on(async {
                    let started = Instant::now();
                    std::hint::black_box(contender.answer().await);
                    started.elapsed()
                })
            }));
            if round % RENEWED_AFTER == 0 {
                runtime.block_on(contender.renew());
            }
        }
    }
    println!("\n| handler, warm | p50 µs | p99 µs | p50 over the sandbox's |\n|---|---:|---:|---:|");
    let mut floor = None;
    for ((name, ..), mut times) in entries.into_iter().zip(times) {
        times.sort_unstable();
        let at = |hundredth: usize| times.get(times.len() * hundredth / 100).unwrap().as_secs_f64() * 1e6;
        let over = at(50) / *floor.get_or_insert(at(50));
        println!("| {name} | {:.1} | {:.1} | {over:.2} |", at(50), at(99));
    }
}

criterion_group!(benches, handler);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    table();
}
