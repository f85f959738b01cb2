//! What a log-in costs beside the one argon2 that it cannot do without: by the reference implementation, which its authors
//! wrote in C, and by the argon2 crate, which the log-in uses; all with the same parameters.
//!
//! `cargo bench -p tests --bench passwords`; the aim is a log-in within 1.05 of the reference. What is compared is CPU time,
//! as a log-in also waits for DynamoDB, which is a program in Python here. It is taken of the threads that the bench itself
//! runs on, and not of the stack's. The contenders take turns, so that a busy machine disturbs all alike. It reads
//! `/proc`, so it needs Linux. Beside them stands what one call of DynamoDB costs, when nothing came between it and the last
//! one, and when a hash did, whose memory pushes all else out of the processor's caches.

// A bench has no caller to report to but its reader, and its counts are small.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_precision_loss)]

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use auth::password::Password;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::config::Environment;
use shared::dynamo::{Dynamo, s};
use shared::password_hash::{LANES, MEMORY_KIB, PASSES};
use shared::random::Random;
use shared::time::Clock;
use tests::account::{PASSWORD, fresh_email};
use tests::python::{packages, python};
use tests::{Instance, http_event, stack};

/// How often each contender has its turn.
const TURNS: usize = 15;
/// What it does in a turn; so many users log in, each once.
const EACH_TURN: usize = 20;

/// What the threads of the bench's runtime are called. The first thread of the process is its, too.
const THREADS: &str = "passwords";

/// The kernel counts when a thread stops, and of one that runs it may be a tick behind.
fn counted() {
    std::thread::sleep(Duration::from_micros(1));
}

/// The CPU time that the bench has used until now.
fn cpu_time() -> Duration {
    counted();
    let first = std::process::id().to_string();
    let read = |path: &Path, name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
    let is_own = |path: &PathBuf| path.ends_with(&first) || read(path, "comm").trim() == THREADS;
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path()).filter(is_own);
    let used = tasks.map(|task| read(&task, "schedstat").split(' ').next().unwrap().parse::<u64>().unwrap_or(0));
    Duration::from_nanos(used.sum())
}

/// The same of the first thread alone, which is read in a moment.
fn cpu_time_here() -> Duration {
    let read = || fs::read_to_string(format!("/proc/self/task/{}/schedstat", std::process::id())).unwrap();
    // The first time brings what reading needs into the caches.
    read();
    counted();
    Duration::from_nanos(read().split(' ').next().unwrap().parse().unwrap())
}

/// A table of the bench's own: nothing reads its stream meanwhile.
async fn table(aws: &Aws, name: &str) {
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        attribute.build().unwrap()
    };
    let create = aws.dynamo.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let create = create.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
    create.attribute_definitions(attribute("pk")).attribute_definitions(attribute("sk")).send().await.unwrap();
}

/// The function, and users who log in to it.
struct LogIns {
    dynamo: Dynamo,
    api: Instance,
    emails: Vec<String>,
    random: Random,
}

impl LogIns {
    async fn new() -> Self {
        let aws = Aws::new(&stack().environment("auth.api").unwrap()).unwrap();
        let tables = [("ACCOUNTS_TABLE", "bench-accounts"), ("IDENTITY_TABLE", "bench-identity")];
        for (_, name) in tables {
            table(&aws, name).await;
        }
        let with_tables = |environment: Environment| {
            tables.iter().fold(environment, |environment, (variable, name)| environment.with(variable, name))
        };
        let admin = Instance::with(&auth::SERVICE, "auth.admin", Clock::system(), with_tables).await;
        let api = Instance::with(&auth::SERVICE, "auth.api", Clock::system(), with_tables).await;
        let mut emails = Vec::new();
        for _ in 0..EACH_TURN {
            let email = fresh_email();
            admin.invoke(&json!({"email": email, "password": PASSWORD})).await.unwrap();
            emails.push(email);
        }
        Self { dynamo: Dynamo::new(aws.dynamo), api, emails, random: Random::system() }
    }

    /// Each from a network of its own, as the tries of one are limited.
    fn event(&self, email: &str) -> Value {
        let body = json!({"email": email, "password": PASSWORD}).to_string();
        let mut event = http_event("POST", "/v1/auth/login", &[], Some(&body));
        let [a, b, c] = self.random.bytes();
        event["requestContext"]["http"]["sourceIp"] = json!(format!("10.{a}.{b}.{c}"));
        event
    }

    async fn turn(&self) {
        for email in &self.emails {
            self.api.http_in(&self.event(email), Context::default()).await.expect(200);
        }
    }

    /// One call of DynamoDB.
    async fn read(&self) {
        let key = [("pk", s("nobody")), ("sk", s("nobody"))].into();
        assert_eq!(self.dynamo.get("bench-accounts", key, true).await.unwrap(), None);
    }
}

/// The reference implementation, in a process of Python's: `reference.py`. It ends when this is dropped.
struct Reference {
    process: Child,
    asked: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Reference {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/passwords");
        let mut process = Command::new(python())
            .arg(folder.join("reference.py"))
            .args([EACH_TURN.to_string(), MEMORY_KIB.to_string(), PASSES.to_string(), LANES.to_string()])
            .env("PYTHONPATH", packages("argon2", &folder.join("requirements.txt")))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (asked, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, asked, answers: BufReader::new(answers).lines() }
    }

    /// Those of one of the hashes of a turn, as the process measures them.
    fn turn(&mut self) -> Times {
        writeln!(self.asked, "{PASSWORD}").unwrap();
        let answer = self.answers.next().unwrap().unwrap();
        let (used, took) = answer.split_once(' ').unwrap();
        let each =
            |nanoseconds: &str| Duration::from_nanos(nanoseconds.parse().unwrap()) / u32::try_from(EACH_TURN).unwrap();
        (each(used), each(took))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bare_argon2() {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap();
    let argon2id = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    argon2id.hash_password_into(black_box(PASSWORD.as_bytes()), &[7; 16], &mut hash).unwrap();
    black_box(hash);
}

/// CPU time and time of some work.
type Times = (Duration, Duration);

async fn times(cpu_time: fn() -> Duration, work: impl Future<Output = ()>) -> Times {
    let (started, before) = (Instant::now(), cpu_time());
    work.await;
    (cpu_time().saturating_sub(before), started.elapsed())
}

/// Those of one of the operations of a turn.
async fn timed(turn: impl Future<Output = ()>) -> Times {
    let (used, took) = times(cpu_time, turn).await;
    (used / u32::try_from(EACH_TURN).unwrap(), took / u32::try_from(EACH_TURN).unwrap())
}

/// The median of a part, in milliseconds.
fn median(times: &mut [Times], part: fn(&Times) -> Duration) -> f64 {
    times.sort_unstable_by_key(part);
    times.get(times.len() / 2).map_or(0.0, |time| part(time).as_secs_f64() * 1e3)
}

async fn bench() {
    let log_ins = LogIns::new().await;
    let password = Password::offered(PASSWORD);
    let hash = password.hashed(&Random::system()).await.unwrap();
    // The first opens the keys of the instance.
    log_ins.turn().await;
    let mut reference = Reference::start();
    let mut contenders = [const { Vec::new() }; 4];
    let [in_c, bare, verify, log_in] = &mut contenders;
    let mut calls = [const { Vec::new() }; 2];
    let [after_a_call, after_a_hash] = &mut calls;
    for _ in 0..TURNS {
        in_c.push(reference.turn());
        bare.push(timed(async { (0..EACH_TURN).for_each(|_| bare_argon2()) }).await);
        let turn = async {
            for _ in 0..EACH_TURN {
                assert!(password.matches(hash.clone()).await.unwrap());
            }
        };
        verify.push(timed(turn).await);
        log_in.push(timed(log_ins.turn()).await);
        for _ in 0..EACH_TURN {
            bare_argon2();
            after_a_hash.push(times(cpu_time_here, log_ins.read()).await);
            after_a_call.push(times(cpu_time_here, log_ins.read()).await);
        }
    }
    println!("| | CPU ms | over the reference | over the crate | a second on a core | with its waits, ms |");
    println!("|---|---:|---:|---:|---:|---:|");
    let names = ["argon2id, reference", "argon2id, crate", "check of a password", "log-in"];
    let medians =
        contenders.each_mut().map(|times| (median(times, |(used, _)| *used), median(times, |(_, took)| *took)));
    let [(reference, _), (bare, _), ..] = medians;
    for (name, (cpu, took)) in names.into_iter().zip(medians) {
        println!("| {name} | {cpu:.2} | {:.3} | {:.3} | {:.1} | {took:.2} |", cpu / reference, cpu / bare, 1e3 / cpu);
    }
    println!("\n| a call of DynamoDB | CPU ms |\n|---|---:|");
    for (name, mut times) in ["after another", "after a hash"].into_iter().zip(calls) {
        println!("| {name} | {:.2} |", median(&mut times, |(used, _)| *used));
    }
}

fn main() {
    stack();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name(THREADS)
        .thread_keep_alive(Duration::from_mins(10))
        .build();
    runtime.unwrap().block_on(bench());
}
