//! The numbers of a queue when the records of the stream come again, in other batches, at once, and through a faulty network.

use std::collections::HashMap;

use futures::future::join_all;
use serde_json::{Value, json};
use shared::dynamo::{AttributeValue, Item};
use tests::{Fault, Instance};

use super::own_jobs::{OwnJobs, network_of};
use crate::faults::{at_each_call, at_each_call_in};
use crate::resources::{failures, items};

/// An attribute as a stream's event has it.
fn attribute(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        AttributeValue::Null(flag) => json!({"NULL": flag}),
        AttributeValue::L(values) => json!({"L": values.iter().map(attribute).collect::<Vec<_>>()}),
        AttributeValue::M(map) => json!({"M": image(map)}),
        other => panic!("jobs have no {other:?}"),
    }
}

fn image(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

/// The stream of a table that has none, as far as it was watched.
struct Stream<'a> {
    own: &'a OwnJobs,
    jobs: HashMap<String, Item>,
    records: Vec<Value>,
}

impl<'a> Stream<'a> {
    fn of(own: &'a OwnJobs) -> Self {
        Self { own, jobs: HashMap::new(), records: Vec::new() }
    }

    /// Makes records of what has changed since the last look.
    async fn look(&mut self) {
        let now: HashMap<_, _> = items(&self.own.table)
            .await
            .into_iter()
            .map(|item| (item["sk"].as_s().unwrap().clone(), item))
            .filter(|(sk, _)| sk.starts_with("job#"))
            .collect();
        let mut keys: Vec<_> = self.jobs.keys().chain(now.keys()).cloned().collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (old, new) = (self.jobs.get(&key), now.get(&key));
            if old == new {
                continue;
            }
            let number = self.records.len();
            let mut change = json!({
                "Keys": {"sk": {"S": key}}, "SequenceNumber": format!("{number:021}"), "SizeBytes": 1,
                "ApproximateCreationDateTime": 1_700_000_000.0, "StreamViewType": "NEW_AND_OLD_IMAGES",
            });
            for (name, item) in [("OldImage", old), ("NewImage", new)] {
                if let Some(item) = item {
                    change[name] = image(item);
                }
            }
            self.records.push(json!({
                "eventID": format!("{}-{number}", self.own.table), "eventName": "MODIFY", "awsRegion": "us-east-1", "dynamodb": change,
            }));
        }
        self.jobs = now;
    }

    /// The records of `count` jobs that were made, done by a worker, and partly failed.
    async fn of_jobs(own: &'a OwnJobs, count: usize) -> Self {
        let mut stream = Self::of(own);
        for index in 0..count {
            let fails = u32::from(index % 3 == 0);
            let sleep = json!({"milliseconds": 0, "fail_attempts": fails});
            own.job(&json!({"type": "sleep", "payload": sleep, "max_attempts": 1})).await;
        }
        stream.look().await;
        own.deliver(&own.worker).await;
        stream.look().await;
        stream
    }
}

/// Brings records; answers from which one on they come again.
async fn bring(function: &Instance, records: &[Value]) -> Option<usize> {
    let answer = function.invoke(&json!({"Records": records})).await.unwrap();
    let failed = failures(&answer).pop()?;
    records.iter().position(|record| record["dynamodb"]["SequenceNumber"] == failed)
}

/// Brings records as Lambda does, until they are done.
async fn bring_until_done(function: &Instance, mut records: &[Value]) {
    for _ in 0..10 {
        match bring(function, records).await {
            Some(failed) => records = &records[failed..],
            None => return,
        }
    }
    panic!("records are not handled: {records:?}");
}

async fn assert_numbers(own: &OwnJobs, count: u64, when: &str) {
    let statistics = own.ask("GET", "/v1/queues/default", None).await.expect(200).json()["statistics"].clone();
    let dead = count.div_ceil(3);
    let depth = &statistics["depth"];
    assert_eq!((&depth["succeeded"], &depth["dead"]), (&json!(count - dead), &json!(dead)), "{when}: {statistics}");
    let rest = ["blocked", "scheduled", "queued", "running", "retrying", "cancelled"];
    assert!(rest.iter().all(|state| depth[state] == 0), "{when}: {statistics}");
    let minutes = statistics["window_seconds"].as_f64().unwrap() / 60.0;
    let made = statistics["per_minute"]["made"].as_f64().unwrap() * minutes;
    assert!((made - f64::from(u32::try_from(count).unwrap())).abs() < 0.1, "{when}: {made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_again_in_whichever_batches_count_once() {
    let own = OwnJobs::new().await;
    let changes = own.behind(&own.network, "jobs.changes").await;
    let stream = Stream::of_jobs(&own, 12).await;
    let records = &stream.records;
    assert_eq!(records.len(), 24);
    let (first, second) = records.split_at(16);
    // The function was killed after its work, and the batch comes again: whole, and halved.
    for batch in [first, first, &first[..8], &first[8..], &first[..4], &first[4..]] {
        assert_eq!(bring(&changes, batch).await, None);
    }
    // From a record on that is said to have failed, with others that have come since.
    assert_eq!(bring(&changes, &records[10..20]).await, None);
    for batch in [&records[10..], second, &second[2..], records] {
        assert_eq!(bring(&changes, batch).await, None);
    }
    assert_numbers(&own, 12, "again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_call_fails_every_record_counts_once() {
    at_each_call(|outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let changes = own.behind(&network, "jobs.changes").await;
        let stream = Stream::of_jobs(&own, 3).await;
        let again = bring(&changes, &stream.records).await;
        assert!(again.is_none() || outage.lasts, "{outage:?}");
        bring_until_done(&own.behind(&own.network, "jobs.changes").await, &stream.records[again.unwrap_or(0)..]).await;
        assert_numbers(&own, 3, &format!("{outage:?}")).await;
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bucket_holds_of_a_job_goes_whichever_call_fails() {
    let losses = [(Fault::LostRequest, true), (Fault::LostAnswer, true), (Fault::ServerError, true)];
    at_each_call_in(losses.into_iter(), |outage| async move {
        let (own, network) = (OwnJobs::new().await, network_of(outage).await);
        let changes = own.behind(&network, "jobs.changes").await;
        let mut stream = Stream::of(&own);
        let large = own.job(&json!({"type": "noop", "payload": "x".repeat(10_000)})).await;
        let small = own.job(&json!({"type": "noop"})).await;
        stream.look().await;
        for job in [&large, &small] {
            let record = own.record(job).await;
            let delete = crate::resources::aws().dynamo.delete_item().table_name(&own.table);
            let delete = delete.key("pk", record["pk"].clone()).key("sk", record["sk"].clone());
            delete.send().await.unwrap();
        }
        stream.look().await;
        let again = bring(&changes, &stream.records).await;
        bring_until_done(&own.behind(&own.network, "jobs.changes").await, &stream.records[again.unwrap_or(0)..]).await;
        let bucket = tests::stack().environment("jobs.api").unwrap().get("JOBS_BUCKET").unwrap().to_owned();
        let found = crate::resources::aws().s3.list_objects_v2().bucket(bucket).prefix(own.tenant.id.to_string());
        assert!(found.send().await.unwrap().contents().is_empty(), "{outage:?}");
        network.calls().len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_several_shards_at_once_all_count() {
    let own = OwnJobs::new().await;
    let stream = Stream::of_jobs(&own, 12).await;
    let mut shards: HashMap<&Value, Vec<Value>> = HashMap::new();
    for record in &stream.records {
        shards.entry(&record["dynamodb"]["NewImage"]["pk"]["S"]).or_default().push(record.clone());
    }
    let functions = join_all((0..shards.len()).map(|_| own.behind(&own.network, "jobs.changes"))).await;
    let all = functions.iter().zip(shards.into_values());
    join_all(all.map(|(function, records)| async move { bring_until_done(function, &records).await })).await;
    assert_numbers(&own, 12, "at once").await;
}
