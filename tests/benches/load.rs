//! Load from end to end: HTTP on loopback through the local stack's gateway into the functions and their stores, and how
//! long a stack takes to start.
//!
//! `cargo bench -p tests --bench load`. The load is a closed loop: each connection sends its next request when the answer
//! to the last has come. Client, gateway, functions and the local AWS endpoint share the machine's cores. What touches
//! DynamoDB or SQS measures that endpoint, a program in Python, and says nothing about AWS.

// A bench has no caller to report to but its reader, and its counts are small.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_precision_loss)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::StatusCode;
use localstack::{Options, Stack};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::{Tenant, client, stack};

const CONNECTIONS: usize = 16;
const LASTS: Duration = Duration::from_secs(8);

type Request = Arc<dyn Fn(&reqwest::Client) -> RequestBuilder + Send + Sync>;

/// Runs the loop and prints a row.
async fn load(name: &str, expected: StatusCode, request: Request) {
    let started = Instant::now();
    let connections = (0..CONNECTIONS).map(|_| {
        let request = request.clone();
        tokio::spawn(async move {
            let client = client();
            let (mut times, mut failures) = (Vec::new(), 0_usize);
            while started.elapsed() < LASTS {
                let sent = Instant::now();
                let answer = request(&client).send().await.unwrap();
                let status = answer.status();
                answer.bytes().await.unwrap();
                times.push(sent.elapsed());
                failures += usize::from(status != expected);
            }
            (times, failures)
        })
    });
    let (mut times, mut failures) = (Vec::new(), 0);
    for connection in join_all(connections).await {
        let (more, failed) = connection.unwrap();
        times.extend(more);
        failures += failed;
    }
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |hundredth: usize| times.get(times.len() * hundredth / 100).unwrap().as_secs_f64() * 1e3;
    println!("| {name} | {rate:.0} | {:.2} | {:.2} | {failures} |", at(50), at(99));
}

/// A start until the first 200, then an orderly end.
async fn start(data: &Path) -> Duration {
    let started = Instant::now();
    let stack = Stack::start(Options::kept(tenfold::SERVICES, data, 0)).await.unwrap();
    alive(&stack).await;
    let took = started.elapsed();
    stack.shutdown().await.unwrap();
    took
}

async fn alive(stack: &Stack) {
    client().get(format!("{}/health", stack.url())).send().await.unwrap().error_for_status().unwrap();
}

async fn starts() {
    println!("| start until the first 200 | seconds |\n|---|---:|");
    let data = tempfile::tempdir().unwrap();
    println!("| first, with new data | {:.2} |", start(data.path()).await.as_secs_f64());
    let mut later = [start(data.path()).await, start(data.path()).await, start(data.path()).await];
    later.sort_unstable();
    println!("| later, with kept data (median of 3) | {:.2} |", later[1].as_secs_f64());
    let started = Instant::now();
    alive(tokio::task::spawn_blocking(stack).await.unwrap()).await;
    println!("| throw-away, as the tests have it | {:.2} |", started.elapsed().as_secs_f64());
}

async fn loads() {
    let url = stack().url();
    let tenant = Tenant::new().await;
    let made: Value = tenant.post("/v1/links", &json!({"target": "https://example.com/"})).await.expect(201).json();
    let get = |address: String| -> Request { Arc::new(move |client| client.get(&address)) };
    let key = tenant.api_key.clone();
    let links = format!("{url}/v1/links");
    let link = format!("{links}/{}", made["id"].as_str().unwrap());
    let read: Request = {
        let key = key.clone();
        Arc::new(move |client| client.get(&link).bearer_auth(&key))
    };
    let create: Request =
        Arc::new(move |client| client.post(&links).bearer_auth(&key).json(&json!({"target": "https://example.com/"})));
    println!(
        "\n| {CONNECTIONS} connections, {} s each | requests a second | p50 ms | p99 ms | failed |",
        LASTS.as_secs()
    );
    println!("|---|---:|---:|---:|---:|");
    load("`GET /health`", StatusCode::OK, get(format!("{url}/health"))).await;
    load("`GET /v1/links/{id}`", StatusCode::OK, read).await;
    load("`POST /v1/links`", StatusCode::CREATED, create).await;
    let slug = made["slug"].as_str().unwrap();
    load("`GET /l/{slug}`, its link remembered", StatusCode::FOUND, get(format!("{url}/l/{slug}"))).await;
}

#[tokio::main]
async fn main() {
    starts().await;
    loads().await;
}
