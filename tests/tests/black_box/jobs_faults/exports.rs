//! Exports whose parts do not come, come twice or come late, and whose workers are killed. The events that ask for parts come
//! to the test, which brings them to the functions that make these.

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::events::export::{IDENTITY, JOBS, LINKS, NOTES, PARTS};
use shared::time::SignedDuration;
use tests::{FaultProxy, Instance, eventually, queue_event, stack};

use super::own_jobs::{LONG, OwnJobs, killed_at, path};
use super::story_of;
use crate::jobs_export::{Export, wanted};
use crate::resources::{Queue, aws, name};

/// Longer than an attempt waits for its parts.
const TOO_LONG: SignedDuration = SignedDuration::from_mins(21);

/// Functions of a test's own, and a topic that only it hears of.
struct Exporting {
    own: OwnJobs,
    topic: String,
    requests: Queue,
}

impl Exporting {
    async fn new() -> Self {
        let (own, requests) = (OwnJobs::new().await, Queue::new().await);
        let sns = aws().sns;
        let topic = sns.create_topic().name(name("exports")).send().await.unwrap().topic_arn.unwrap();
        let arn = requests.attribute(QueueAttributeName::QueueArn).await;
        let subscribed = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn);
        subscribed.attributes("RawMessageDelivery", "true").send().await.unwrap();
        Self { own, topic, requests }
    }

    async fn worker(&self) -> Instance {
        self.worker_behind(&self.own.network).await
    }

    async fn worker_behind(&self, network: &FaultProxy) -> Instance {
        self.own.worker_behind(network, "EVENTS_TOPIC_ARN", &self.topic).await
    }

    /// A new job that exports, tried again a second after a failure.
    async fn job(&self) -> Value {
        let mut new = wanted();
        new["backoff"] = json!({"kind": "fixed", "seconds": 1});
        self.own.job(&new).await
    }

    /// The one event that asks for parts.
    async fn request(&self) -> Value {
        let messages = self.requests.await_messages(1).await;
        assert_eq!(messages.len(), 1);
        serde_json::from_str(messages[0].body().unwrap()).unwrap()
    }

    /// The function that makes a part.
    async fn exporter(&self, part: &str) -> Instance {
        self.exporter_with(part, |environment| environment).await
    }

    /// The same that has no time, so that it stops after each page.
    async fn hurried(&self, part: &str) -> Instance {
        self.exporter_with(part, |environment| environment.with("EXPORT_STOP_MARGIN_SECONDS", "100000")).await
    }

    async fn exporter_with(&self, part: &str, more: impl FnOnce(Environment) -> Environment) -> Instance {
        let (service, handler) = match part {
            IDENTITY => (&auth::SERVICE, "auth.export"),
            JOBS => (&jobs::SERVICE, "jobs.export"),
            LINKS => (&links::SERVICE, "links.export"),
            NOTES => (&notes::SERVICE, "notes.export"),
            other => panic!("nobody makes {other}"),
        };
        let change = |environment: Environment| {
            more(if part == JOBS { environment.with("JOBS_TABLE", &self.own.table) } else { environment })
        };
        Instance::with(service, handler, self.own.clock.clone(), change).await
    }

    /// Has these parts made.
    async fn make(&self, event: &Value, parts: &[&str]) {
        for part in parts {
            bring(&self.exporter(part).await, event).await;
        }
    }

    /// Lets some time pass, and brings the worker what has come.
    async fn pass(&self, worker: &Instance, time: SignedDuration) {
        self.own.clock.advance(time);
        self.own.deliver(worker).await;
    }

    /// What was exported.
    async fn export(&self, job: &Value) -> Export {
        Export::of(job, async |name| self.own.ask("GET", &format!("{}/files/{name}", path(job)), None).await).await
    }

    /// The document of a part, which the event has asked for.
    async fn document(&self, event: &Value, part: &str) -> Option<Value> {
        let bucket = stack().environment("jobs.worker").unwrap().get("JOBS_BUCKET").unwrap().to_owned();
        let key = format!("{}/{}{part}.json", self.own.tenant.id, event["data"]["folder"].as_str().unwrap());
        let object = aws().s3.get_object().bucket(bucket).key(key).send().await.ok()?;
        Some(serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap())
    }
}

async fn bring(exporter: &Instance, event: &Value) {
    let answer = exporter.invoke(&queue_event([("m", event.to_string())])).await.unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]), "{event}");
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_does_not_come_is_asked_for_again_and_those_that_came_are_kept() {
    let exporting = Exporting::new().await;
    let (own, worker) = (&exporting.own, exporting.worker().await);
    let job = exporting.job().await;
    own.deliver(&worker).await;
    let first = exporting.request().await;
    let (id, folder) = (job["id"].as_str().unwrap(), first["data"]["folder"].as_str().unwrap());
    assert_eq!((&first["type"], &first["data"]["job_id"]), (&json!("tenant.export.requested"), &json!(id)));
    assert_eq!((&first["data"]["parts"], &first["tenantid"]), (&json!(PARTS), &json!(own.tenant.id)));
    assert!(folder.starts_with(&format!("jobs/{id}/export/")) && folder.ends_with('/'), "{folder}");

    exporting.make(&first, &[IDENTITY, LINKS, NOTES]).await;
    exporting.pass(&worker, seconds(2)).await;
    let waiting = own.read(&job).await;
    assert_eq!(waiting["progress"], json!({"fraction": 0.75, "message": "3 of 4 parts"}));
    assert_eq!((&waiting["attempt"], &waiting["result"]), (&json!(0), &json!(null)), "it waits without an attempt");
    let kept = exporting.document(&first, LINKS).await.unwrap();

    exporting.pass(&worker, TOO_LONG).await;
    let failed = own.read(&job).await;
    assert_eq!(story_of(&failed), ["missing_part_jobs"]);
    exporting.pass(&worker, seconds(5)).await;
    let second = exporting.request().await;
    assert_eq!((&second["data"]["parts"], &second["data"]["folder"]), (&json!([JOBS]), &json!(folder)));
    // Whoever is not asked does nothing.
    exporting.make(&second, &PARTS).await;
    assert_eq!(exporting.document(&first, LINKS).await.unwrap(), kept);
    exporting.pass(&worker, seconds(5)).await;
    let done = own.read(&job).await;
    assert_eq!(story_of(&done), ["missing_part_jobs", "done"]);
    let export = exporting.export(&done).await;
    assert_eq!(export.record("jobs", &job["id"])["type"], "tenant.export");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_made_twice_is_one_part_and_the_manifest_holds() {
    let exporting = Exporting::new().await;
    let (own, worker) = (&exporting.own, exporting.worker().await);
    let job = exporting.job().await;
    own.deliver(&worker).await;
    let event = exporting.request().await;
    exporting.make(&event, &PARTS).await;
    exporting.make(&event, &PARTS).await;
    exporting.pass(&worker, seconds(2)).await;
    let done = own.read(&job).await;
    let export = exporting.export(&done).await;
    // The same event once more, when all is done and something else is there to export.
    own.job(&json!({"type": "own"})).await;
    exporting.make(&event, &PARTS).await;
    let after = exporting.export(&own.read(&job).await).await;
    assert_eq!((export.text, export.manifest), (after.text, after.manifest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_too_much_for_one_invocation_goes_on_where_it_stopped() {
    let exporting = Exporting::new().await;
    let (own, worker) = (&exporting.own, exporting.worker().await);
    let mut jobs = Vec::new();
    for number in 0..5 {
        jobs.push(own.job(&json!({"type": "own", "queue": format!("queue-{number}")})).await);
    }
    let job = exporting.job().await;
    jobs.push(job.clone());
    own.deliver(&worker).await;
    let first = exporting.request().await;
    exporting.make(&first, &[IDENTITY, LINKS]).await;
    let (mut rest, hurried) = (vec![first], [exporting.hurried(JOBS).await, exporting.hurried(NOTES).await]);
    // It is a page at a time: the jobs have four at least, the queues two, the last of which lead on to what follows.
    let (mut rounds, mut done) = (0, own.read(&job).await);
    while done["finished_at"].is_null() {
        rounds += 1;
        assert!(rounds < 30, "{done}");
        for event in rest {
            for exporter in &hurried {
                bring(exporter, &event).await;
            }
            // Once more, as a queue may.
            bring(&hurried[0], &event).await;
        }
        exporting.pass(&worker, seconds(2)).await;
        let messages = exporting.requests.drain().await;
        rest = messages.iter().map(|message| serde_json::from_str(message.body().unwrap()).unwrap()).collect();
        done = own.read(&job).await;
    }
    assert!(rounds >= 5, "{rounds}");
    assert_eq!(story_of(&done), ["done"]);
    let export = exporting.export(&done).await;
    let all = |kind: &str, member: &str| -> Vec<String> {
        let files = export
            .files
            .iter()
            .filter(|(name, _)| name.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()) == kind);
        let records = files.flat_map(|(_, records)| records);
        let mut all: Vec<_> = records.map(|record| record[member].as_str().unwrap().to_owned()).collect();
        all.sort_unstable();
        all
    };
    let mut expected = crate::jobs::ids(&jobs);
    expected.sort_unstable();
    assert_eq!(all("jobs", "id"), expected);
    assert!(export.files.contains_key("jobs-2"), "{:?}", export.files.keys());
    let queues = ["exports", "queue-0", "queue-1", "queue-2", "queue-3", "queue-4"];
    assert_eq!(all("queues", "name"), queues);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_day_is_answered_no_more() {
    let exporting = Exporting::new().await;
    exporting.job().await;
    exporting.own.deliver(&exporting.worker().await).await;
    let event = exporting.request().await;
    exporting.own.clock.advance(SignedDuration::from_hours(13));
    exporting.make(&event, &PARTS).await;
    for part in PARTS {
        assert_eq!(exporting.document(&event, part).await, None, "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_left_out_where_there_is_no_postgres() {
    let exporting = Exporting::new().await;
    let (own, worker) = (&exporting.own, exporting.worker().await);
    let job = exporting.job().await;
    own.deliver(&worker).await;
    let event = exporting.request().await;
    exporting.make(&event, &[IDENTITY, JOBS, LINKS]).await;
    let notes = exporting.exporter_with(NOTES, |environment| environment.with("DATABASE_URL", "")).await;
    bring(&notes, &event).await;
    exporting.pass(&worker, seconds(2)).await;
    let export = exporting.export(&own.read(&job).await).await;
    assert!(!export.files.contains_key("notes"), "{:?}", export.files.keys());
    let left_out = export.manifest["left_out"].as_array().unwrap();
    let notes = left_out.iter().find(|one| one["part"] == "notes").unwrap();
    assert!(notes["why"].as_str().unwrap().contains("Postgres"), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_whose_worker_is_killed_goes_on() {
    // The event; and in the look that finds all parts, the manifest and that it is finished, after the five documents.
    for (operation, count, done, in_second_look) in
        [("PublishBatch", 1, false, false), ("PublishBatch", 1, true, false), ("", 6, true, true), ("", 7, true, true)]
    {
        let exporting = Exporting::new().await;
        let (own, worker) = (&exporting.own, exporting.worker().await);
        let job = exporting.job().await;
        let network = killed_at(operation, count, done).await;
        let dying = exporting.worker_behind(&network).await;
        if in_second_look {
            own.deliver(&worker).await;
            exporting.make(&exporting.request().await, &PARTS).await;
            own.clock.advance(seconds(2));
        }
        own.deliver(&dying).await;
        assert_eq!(own.read(&job).await["state"], "running", "{operation} {count}: nobody has written an end");
        own.clock.advance(LONG);
        let ended = eventually("the end of the export", || async {
            own.sweep().await;
            own.deliver(&worker).await;
            for message in exporting.requests.drain().await {
                exporting.make(&serde_json::from_str(message.body().unwrap()).unwrap(), &PARTS).await;
            }
            own.clock.advance(seconds(60));
            let job = own.read(&job).await;
            job["finished_at"].is_string().then_some(job)
        })
        .await;
        let mut story = story_of(&ended);
        assert_eq!(story.pop().as_deref(), Some("done"), "{operation} {count}: {ended}");
        exporting.export(&ended).await;
    }
}
