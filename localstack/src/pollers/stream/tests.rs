//! How batches of a stream are tried again, split and given up.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::sync::Mutex;

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::*;

/// Answers by a script and writes down what it was handed.
struct Script {
    seen: Mutex<Vec<Vec<String>>>,
    answers: Mutex<VecDeque<Option<Value>>>,
}

impl Target for Script {
    async fn handle(&self, event: Box<RawValue>) -> Option<Box<RawValue>> {
        let event: Value = serde_json::from_str(event.get()).unwrap();
        let records = event["Records"].as_array().unwrap();
        let sequences = records.iter().map(|record| record["sequence"].as_str().unwrap().to_owned()).collect();
        self.seen.lock().unwrap().push(sequences);
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Some(json!({})));
        answer.map(|answer| to_raw_value(&answer).unwrap())
    }
}

/// What the function was handed, and the position at the end.
async fn run(settings: StreamTrigger, answers: Vec<Option<Value>>) -> (Vec<Vec<String>>, Option<Position>) {
    let folder = tempfile::tempdir().unwrap();
    let target = Arc::new(Script { seen: Mutex::default(), answers: Mutex::new(answers.into()) });
    let poller = Poller {
        settings,
        stream: "arn".to_owned(),
        on_failure: None,
        clients: Clients::new("http://127.0.0.1:9"),
        target: target.clone(),
        function_arn: String::new(),
        positions: folder.path().join("positions.json"),
    };
    let mut positions = Positions::load(&poller.positions, "arn");
    let records = ["1", "2", "3", "4"].map(|sequence| Pending {
        sequence: sequence.to_owned(),
        event: json!({"sequence": sequence, "eventName": if sequence == "4" { "REMOVE" } else { "INSERT" }}),
    });
    poller.handle("shard", records.into(), &mut positions).await;
    let seen = target.seen.lock().unwrap().clone();
    (seen, Positions::load(&poller.positions, "arn").of("shard").cloned())
}

fn settings() -> StreamTrigger {
    StreamTrigger {
        table: "T".to_owned(),
        batch_size: 10,
        window: Duration::ZERO,
        from_start: true,
        partial_failures: true,
        bisect: false,
        retries: None,
        on_failure: None,
        filters: vec![json!({"eventName": ["INSERT"]})],
    }
}

fn failed(sequence: &str) -> Value {
    json!({"batchItemFailures": [{"itemIdentifier": sequence}]})
}

fn lists(lists: &[&[&str]]) -> Vec<Vec<String>> {
    lists.iter().map(|list| list.iter().map(|&text| text.to_owned()).collect()).collect()
}

#[tokio::test(start_paused = true)]
async fn records_that_do_not_match_are_passed_over() {
    let (seen, position) = run(settings(), vec![]).await;
    assert_eq!(seen, lists(&[&["1", "2", "3"]]));
    assert_eq!(position, Some(Position::After("4".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_failed_record_is_tried_again_with_all_after_it() {
    let (seen, _) = run(settings(), vec![Some(failed("2")), None, Some(failed("2")), Some(json!(null))]).await;
    assert_eq!(seen, lists(&[&["1", "2", "3"], &["2", "3"], &["2", "3"], &["2", "3"]]));
}

#[tokio::test(start_paused = true)]
async fn batches_are_not_larger_than_the_template_says() {
    let (seen, _) = run(StreamTrigger { batch_size: 2, ..settings() }, vec![]).await;
    assert_eq!(seen, lists(&[&["1", "2"], &["3"]]));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_given_up_after_its_retries() {
    let settings = StreamTrigger { retries: Some(1), batch_size: 2, ..settings() };
    let (seen, position) = run(settings, vec![None, None]).await;
    assert_eq!(seen, lists(&[&["1", "2"], &["1", "2"], &["3"]]));
    assert_eq!(position, Some(Position::After("4".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_is_halved_where_the_template_says_so() {
    let settings = StreamTrigger { bisect: true, partial_failures: false, ..settings() };
    let (seen, _) = run(settings, vec![None]).await;
    assert_eq!(seen, lists(&[&["1", "2", "3"], &["1"], &["2", "3"]]));
}
