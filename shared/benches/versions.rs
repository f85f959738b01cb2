//! What it costs to serve version 1 of a route: a request carried up and the answer carried down, both from bytes to bytes.
//!
//! The aim is at most 5 µs for each request. `raw` is the reference: the same bodies read into a `serde_json::Value` and written
//! again, without a change. `cargo bench -p shared --bench versions`.

#![allow(clippy::expect_used)] // a bench has no caller to report to
#![allow(missing_docs)] // criterion's macros make public items

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use serde_json::Value;
use serde_json::value::RawValue;
use shared::http::versions::preview::preview;
use shared::time::Clock;

const NOTE: &str = r#"{"title":"Groceries","body":"- milk\n- bread\n- salt","tags":"home,work","due_at":1777887000}"#;

const NOTE_ANSWER: &str = r#"{"id":"note_01k9z4n2y6e0qv3m8t5w7x9abc","owner":"user_01k9z4n2y6e0qv3m8t5w7x9abc","access":"owner","title":"Groceries","content":"- milk\n- bread\n- salt","format":"markdown","tags":["home","work"],"pinned":false,"archived":false,"due_at":"2026-05-04T09:30:00.000Z","done_at":null,"version":1,"created_at":"2026-05-04T09:30:00.000Z","created_by":"user_01k9z4n2y6e0qv3m8t5w7x9abc","updated_at":"2026-05-04T09:30:00.000Z","updated_by":"user_01k9z4n2y6e0qv3m8t5w7x9abc"}"#;

const JOB: &str =
    r#"{"type":"invoice.send","payload":{"invoice":4711,"lines":[1,2,3]},"delay_seconds":60,"tags":["billing"]}"#;

const JOB_ANSWER: &str = r#"{"id":"job_01k9z4n2y6e0qv3m8t5w7x9abc","type":"invoice.send","queue":"default","state":"scheduled","payload":{"invoice":4711,"lines":[1,2,3]},"payload_bytes":35,"payload_omitted":false,"priority":"normal","run_by":"pull","deliver_to":null,"run_at":"2026-05-04T09:30:20.000Z","attempts_begun":0,"max_attempts":10,"backoff":{"kind":"exponential","base_seconds":10,"cap_seconds":3600},"timeout_seconds":60,"unique_key":null,"concurrency_key":null,"tags":["billing"],"depends_on":[],"waits_for":[],"progress":null,"cancel_requested":false,"claim":0,"worker":null,"lease_until":null,"result":null,"attempts":[],"created_at":"2026-05-04T09:30:00.000Z","created_by":"key_01k9z4n2y6e0qv3m8t5w7x9abc","started_at":null,"finished_at":null}"#;

const LINK: &str =
    r#"{"target":"https://example.com/spring?from=letter","title":"Spring sale","not_before":"2026-05-04T09:30:00Z"}"#;

const LINK_ANSWER: &str = r#"{"id":"link_01k9z4n2y6e0qv3m8t5w7x9abc","slug":"k7vq2mz","short_url":"https://short.example/l/k7vq2mz","target":"https://example.com/spring?from=letter","redirect_status":302,"status":"active","title":"Spring sale","note":null,"tags":["spring"],"archived":false,"starts_at":null,"expires_at":null,"max_clicks":null,"clicks_used":null,"has_password":false,"created_at":"2026-05-04T09:30:00.000Z","updated_at":"2026-05-04T09:30:00.000Z","created_by":"key_01k9z4n2y6e0qv3m8t5w7x9abc"}"#;

fn carried(criterion: &mut Criterion) {
    let now = Clock::system().now();
    for (path, request, answer) in
        [("/v1/notes", NOTE, NOTE_ANSWER), ("/v1/jobs", JOB, JOB_ANSWER), ("/v1/links", LINK, LINK_ANSWER)]
    {
        let mut group = criterion.benchmark_group(format!("POST {path}"));
        // A raw value is its text: its members are still to be found.
        let [asked, answered]: [&RawValue; 2] = [request, answer].map(|body| serde_json::from_str(body).expect("JSON"));
        group.bench_function("carried up and down", |bencher| {
            bencher.iter(|| {
                let (asked, answered) = (black_box(asked), black_box(answered));
                preview(&Method::POST, path, Some(asked), Some(answered), now).expect("it is a request of version 1")
            });
        });
        group.bench_function("raw", |bencher| {
            bencher.iter(|| {
                let bodies = [black_box(request), black_box(answer)].map(|body| {
                    let value: Value = serde_json::from_str(body).expect("JSON");
                    value.to_string()
                });
                black_box(bodies)
            });
        });
        group.finish();
    }
}

criterion_group!(benches, carried);
criterion_main!(benches);
