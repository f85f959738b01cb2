//! The task queue beside others of its kind, on the same machine in the same run: Celery and `BullMQ` with the Redis of the
//! local stack.
//!
//! `cargo bench -p tests --bench queues`, or one part of it with `-- systems`, `-- growth` or `-- fairness`; it wants Node and
//! npm for `BullMQ`, which is left out without them. Each system does the same: jobs that do nothing, acknowledged late, their results kept. What is compared is the local stack, whose
//! queue and table are a program in Python, with Redis, a program in C: it says what a developer's machine does, and nothing
//! about AWS, where a job costs what the bench `calls` counts. The last part shows what a job costs when many wait: the
//! time on the local stack, and the capacity units that AWS would charge.

// A bench has no caller to report to but its reader, and its counts are small.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_precision_loss)]

#[path = "../calls/recorder.rs"]
#[allow(dead_code)]
mod recorder;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream;
use lambda_runtime::Context;
use recorder::Log;
use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::lambda::{Function, Runtime};
use shared::time::Timestamp;
use tests::python::{packages, python};
use tests::{Tenant, http_event, stack};

/// Jobs of one measurement.
const JOBS: usize = 2_000;
/// Jobs that are enqueued one after the other on an idle queue.
const PICKUPS: usize = 200;
/// Requests at the same time.
const CONNECTIONS: usize = 16;
/// The places of the workers: six invocations of ten messages.
const PLACES: usize = 60;
/// How many jobs wait when the cost of one is looked at.
const DEPTHS: [usize; 3] = [10, 10_000, 100_000];
/// How often each cost is looked at.
const ROUNDS: usize = 300;
/// Jobs that one tenant has waiting while another enqueues one at a time.
const BACKLOG: usize = 10_000;

/// What one system did.
#[derive(Deserialize)]
struct Measured {
    /// Jobs enqueued in a second.
    enqueued: f64,
    /// Jobs done in a second, from the first enqueued to the end of the last.
    done: f64,
    /// Milliseconds from each enqueueing to the start of the work, on an idle queue.
    pickups: Vec<f64>,
}

impl Measured {
    fn print(mut self, name: &str) {
        self.pickups.sort_by(f64::total_cmp);
        let at = |hundredth: usize| self.pickups.get(self.pickups.len() * hundredth / 100);
        let at = |hundredth: usize| at(hundredth).map_or_else(String::new, |waited| format!("{waited:.1}"));
        println!("| {name} | {:.0} | {:.0} | {} | {} |", self.enqueued, self.done, at(50), at(99));
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/queues")
}

fn answer_of(command: &mut Command) -> Measured {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.trim().lines().last().unwrap()).unwrap()
}

fn celery() -> Measured {
    let packages = packages("celery", &folder().join("requirements.txt"));
    let arguments = [stack().dev().redis_url.clone(), JOBS.to_string(), "2".to_owned(), PICKUPS.to_string()];
    answer_of(
        Command::new(python())
            .arg(folder().join("celery_tasks.py"))
            .args(arguments)
            .env("PYTHONPATH", packages)
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}

fn bullmq() -> Option<Measured> {
    Command::new("npm").arg("--version").stdout(Stdio::null()).status().ok().filter(ExitStatus::success)?;
    let home = localstack::default_data().join("bullmq");
    std::fs::create_dir_all(&home).unwrap();
    for file in ["package.json", "bullmq.mjs"] {
        std::fs::copy(folder().join(file), home.join(file)).unwrap();
    }
    let options = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
    assert!(Command::new("npm").args(options).current_dir(&home).status().unwrap().success());
    let redis = stack().dev().redis_url.clone();
    let arguments = [redis, JOBS.to_string(), PLACES.to_string(), PICKUPS.to_string()];
    Some(answer_of(Command::new("node").arg("bullmq.mjs").args(arguments).current_dir(&home)))
}

/// Milliseconds since 1970 of a time in a job.
fn milliseconds(job: &Value, name: &str) -> f64 {
    job[name].as_str().unwrap().parse::<Timestamp>().unwrap().as_millisecond() as f64
}

/// All jobs of the tenant, when all have ended: as their queue's statistics tell, which costs the stack next to nothing.
async fn ended(tenant: &Tenant) -> Vec<Value> {
    let succeeded = async || {
        let queue = tenant.get("/v1/queues/default").await.expect(200).json();
        queue["statistics"]["depth"]["succeeded"].as_u64().unwrap()
    };
    while succeeded().await < JOBS as u64 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (mut jobs, mut path) = (Vec::new(), "/v1/jobs?limit=100".to_owned());
    loop {
        let page = tenant.get(&path).await.expect(200).json();
        jobs.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { return jobs };
        path = format!("/v1/jobs?limit=100&cursor={cursor}");
    }
}

/// Enqueues by requests of `size` jobs each.
async fn tenfold(size: usize) -> Measured {
    let tenant = Tenant::new().await;
    let noop = json!({"type": "noop"});
    let request = async |tenant: &Tenant| {
        if size == 1 {
            tenant.post("/v1/jobs", &noop).await.expect(201);
        } else {
            tenant.post("/v1/jobs/batch", &json!({"jobs": vec![noop.clone(); size]})).await.expect(200);
        }
    };
    let warm = Tenant::new().await;
    request(&warm).await;
    let started = Instant::now();
    stream::iter(0..JOBS / size).for_each_concurrent(CONNECTIONS, |_| request(&tenant)).await;
    let enqueued = started.elapsed();
    let jobs = ended(&tenant).await;
    let begun = jobs.iter().map(|job| milliseconds(job, "created_at")).fold(f64::MAX, f64::min);
    let done = jobs.iter().map(|job| milliseconds(job, "finished_at")).fold(0.0, f64::max);
    Measured {
        enqueued: JOBS as f64 / enqueued.as_secs_f64(),
        done: JOBS as f64 * 1e3 / (done - begun),
        pickups: if size == 1 { pickups(&warm, PICKUPS).await } else { Vec::new() },
    }
}

async fn pickups(tenant: &Tenant, times: usize) -> Vec<f64> {
    let mut waited = Vec::new();
    for _ in 0..times {
        let made = tenant.post("/v1/jobs", &json!({"type": "noop"})).await.expect(201).json();
        let path = format!("/v1/jobs/{}?wait=20", made["id"].as_str().unwrap());
        let mut job = made;
        while job["finished_at"].is_null() {
            job = tenant.get(&path).await.expect(200).json();
        }
        waited.push(milliseconds(&job, "started_at") - milliseconds(&job, "created_at"));
    }
    waited
}

/// How long a tenant's single jobs wait while another tenant's thousands do.
async fn fairness() {
    let (busy, quiet) = (Tenant::new().await, Tenant::new().await);
    let body = json!({"jobs": vec![json!({"type": "sleep", "payload": {"milliseconds": 1_000}}); 100]});
    let fill = async |()| drop(busy.post("/v1/jobs/batch", &body).await.expect(200));
    stream::iter(vec![(); BACKLOG / 100]).for_each_concurrent(8, fill).await;
    let mut waited = pickups(&quiet, 20).await;
    waited.sort_by(f64::total_cmp);
    println!("\n| {BACKLOG} jobs of a second each from one tenant: another's single jobs | ms |\n|---|---:|");
    println!("| pick-up p50 | {:.0} |\n| longest pick-up of 20 | {:.0} |", waited[10], waited[19]);
}

/// A queue in which so many jobs wait, and what each enqueueing and each claim took.
struct Queue {
    depth: usize,
    key: String,
    samples: [Vec<Sample>; 2],
}

/// What one request took: milliseconds, units written and units read.
type Sample = [f64; 3];

impl Queue {
    /// The queue of a new tenant, when so many wait there and all of them are counted.
    async fn filled(depth: usize, pulled: &Value) -> Self {
        let tenant = Tenant::new().await;
        let size = depth.min(100);
        let body = json!({"jobs": vec![pulled; size]});
        let fill = async |()| drop(tenant.post("/v1/jobs/batch", &body).await.expect(200));
        stream::iter(vec![(); depth / size]).for_each_concurrent(8, fill).await;
        while tenant.get("/v1/queues/bench").await.expect(200).json()["statistics"]["depth"]["queued"] != depth {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Self { depth, key: tenant.api_key, samples: [Vec::new(), Vec::new()] }
    }
}

/// Asks `jobs.api` once.
async fn ask(api: &Function, log: &Log, key: &str, path: &str, body: &Value) -> Sample {
    let bearer = format!("Bearer {key}");
    let event = http_event("POST", path, &[("authorization", &bearer)], Some(&body.to_string()));
    let event = to_raw_value(&event).unwrap();
    log.take();
    let started = Instant::now();
    let answer = api.invoke(event, Context::default()).await.unwrap();
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    let calls = log.take();
    api.after_response().await;
    assert!(answer.get().contains("\"statusCode\":20"), "{answer}");
    let units = |of: fn(&recorder::Call) -> f64| calls.iter().map(of).sum();
    [milliseconds, units(|call| call.write_units), units(|call| call.read_units)]
}

/// What a job costs when many wait. The queues take turns, so that what disturbs one disturbs all.
async fn growth() {
    let environment = stack().environment("jobs.api").unwrap();
    let log = Log::default();
    let aws = log.record(&Aws::new(&environment).unwrap());
    let runtime = |name| Ok(Runtime { aws, ..Runtime::new(name, environment)? });
    let api = ::jobs::SERVICE.build_with("jobs.api", runtime).await.unwrap();
    let pulled = json!({"type": "bench", "queue": "bench"});
    let mut queues = Vec::new();
    for depth in DEPTHS {
        queues.push(Queue::filled(depth, &pulled).await);
    }
    let requests = [("/v1/jobs", pulled), ("/v1/queues/bench/lease", json!({"max": 1}))];
    for _ in 0..ROUNDS {
        for queue in &mut queues {
            for ((path, body), samples) in requests.iter().zip(&mut queue.samples) {
                samples.push(ask(&api, &log, &queue.key, path, body).await);
            }
        }
    }
    println!("\n| jobs that wait | operation | p50 ms | over that of {} | units written | units read |", DEPTHS[0]);
    println!("|---:|---|---:|---:|---:|---:|");
    for (operation, name) in ["enqueue", "claim (a lease)"].into_iter().enumerate() {
        let least = medians(&queues[0].samples[operation])[0];
        for queue in &queues {
            let [milliseconds, written, read] = medians(&queue.samples[operation]);
            let ratio = milliseconds / least;
            println!("| {} | {name} | {milliseconds:.2} | {ratio:.2} | {written} | {read} |", queue.depth);
        }
    }
}

fn medians(samples: &[Sample]) -> Sample {
    [0, 1, 2].map(|part| {
        let mut all: Vec<_> = samples.iter().map(|sample| sample[part]).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    })
}

#[tokio::main]
async fn main() {
    tokio::task::spawn_blocking(stack).await.unwrap();
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let is_wanted = |part: &str| only.as_ref().is_none_or(|only| only == part);
    if is_wanted("systems") {
        systems().await;
    }
    if is_wanted("growth") {
        growth().await;
    }
    if is_wanted("fairness") {
        fairness().await;
    }
}

/// The systems beside one another.
async fn systems() {
    println!("| {JOBS} jobs that do nothing | enqueued a second | done a second | pick-up p50 ms | p99 ms |");
    println!("|---|---:|---:|---:|---:|");
    tenfold(1).await.print("Tenfold, one by one");
    tenfold(100).await.print("Tenfold, by the hundred");
    tokio::task::spawn_blocking(celery).await.unwrap().print("Celery 5.7, one by one, 2 processes");
    match tokio::task::spawn_blocking(bullmq).await.unwrap() {
        Some(measured) => measured.print("BullMQ 6.7, 16 at once"),
        None => println!("| BullMQ | npm is not here | | | |"),
    }
}
