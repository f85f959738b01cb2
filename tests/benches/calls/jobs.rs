//! Making jobs, and doing them.

use ::jobs::attempt::Outcome;
use ::jobs::job::{Job, JobId, Phase};
use ::jobs::message::{Message, Ready};
use ::jobs::rules::{NewJob, Origin};
use ::jobs::store::{Along, JobStore};
use serde_json::{Value, json, to_string};
use shared::dynamo::Dynamo;
use shared::random::Random;
use shared::time::{Clock, SignedDuration};
use tests::{Tenant, queue_event, stack};

use crate::Bench;
use crate::price::Door;

pub(crate) async fn jobs(bench: &mut Bench) {
    let tenant = Tenant::new().await;
    let bearer = format!("Bearer {}", tenant.api_key);
    let authorized = [("authorization", bearer.as_str())];
    let keyed = [("authorization", bearer.as_str()), ("idempotency-key", "bench")];
    let api = bench.subject(&::jobs::SERVICE, "jobs.api", Door::Http, Clock::system()).await;

    // Far ahead, so that the stack's own worker leaves them alone.
    let job = |more: Value| {
        let mut job = json!({"type": "noop", "delay_seconds": 600});
        job.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        job
    };
    bench.http("the first job of a queue", &api, 201, ("POST", "/v2/jobs", &authorized, job(json!({})))).await;
    bench.forget();
    let made = bench.http("create a job", &api, 201, ("POST", "/v2/jobs", &authorized, job(json!({})))).await;
    let later = job(json!({"delay_seconds": 86_400}));
    bench.http("create a job for tomorrow", &api, 201, ("POST", "/v2/jobs", &authorized, later)).await;
    bench.http("create a job with an Idempotency-Key", &api, 201, ("POST", "/v2/jobs", &keyed, job(json!({})))).await;
    let unique = job(json!({"unique": {"key": "bench"}}));
    bench.http("create a unique job", &api, 201, ("POST", "/v2/jobs", &authorized, unique.clone())).await;
    bench.http("the same again (there is one)", &api, 200, ("POST", "/v2/jobs", &authorized, unique)).await;
    let path = format!("/v2/jobs/{}", made["id"].as_str().unwrap());
    bench.http("read a job", &api, 200, ("GET", &path, &authorized, Value::Null)).await;
    bench.http("a page of jobs", &api, 200, ("GET", "/v2/jobs", &authorized, Value::Null)).await;
    bench.http("cancel a job", &api, 200, ("POST", &format!("{path}/cancel"), &authorized, Value::Null)).await;

    let retry = ("POST", &*format!("{path}/retry"), &authorized[..], Value::Null);
    bench.http("retry a job", &api, 200, retry).await;
    let at = (Clock::system().now() + SignedDuration::from_hours(24)).to_string();
    let reschedule = ("POST", &*format!("{path}/reschedule"), &authorized[..], json!({"run_at": at}));
    bench.http("reschedule a job", &api, 200, reschedule).await;
    let ten = json!({"jobs": vec![job(json!({})); 10]});
    bench.http("create ten jobs in one request", &api, 200, ("POST", "/v2/jobs/batch", &authorized, ten)).await;
    bench.http("create a job, by version 1", &api, 201, ("POST", "/v1/jobs", &authorized, job(json!({})))).await;
    let secret = "/v2/jobs/signing-secret";
    bench.http("the first look at the signing secret", &api, 200, ("GET", secret, &authorized, Value::Null)).await;
    bench.http("the signing secret", &api, 200, ("GET", secret, &authorized, Value::Null)).await;
    let rotate = ("POST", &*format!("{secret}/rotate"), &authorized[..], json!({"overlap_seconds": 60}));
    bench.http("rotate the signing secret", &api, 200, rotate).await;
    work(bench, &tenant).await;
    count(bench, &tenant).await;
}

pub(crate) fn new_job(tenant: &Tenant, clock: &Clock, random: &Random) -> Job {
    let now = clock.now();
    let origin = Origin { id: JobId::new(now, random), tenant_id: tenant.id, created_by: "bench".to_owned(), now };
    let new = NewJob::of("noop".parse().unwrap());
    new.into_job(origin, &::jobs::queue::Settings::default(), true).unwrap()
}

/// The worker does jobs that nobody else has heard of.
async fn work(bench: &mut Bench, tenant: &Tenant) {
    let worker = bench.subject(&::jobs::SERVICE, "jobs.worker", Door::Queue, Clock::system()).await;
    let environment = stack().environment("jobs.worker").unwrap();
    let dynamo = Dynamo::new(bench.aws("jobs.worker").dynamo.clone());
    let store = JobStore::new(dynamo, environment.get("JOBS_TABLE").unwrap().to_owned());
    let (clock, random) = (Clock::system(), Random::system());
    let made = async || {
        let job = new_job(tenant, &clock, &random);
        store.insert(&job, Along::default()).await.unwrap();
        to_string(&Message::Run(Ready::of(&job))).unwrap()
    };
    let first = made().await;
    bench.invoke("the first of an instance", &worker, &queue_event([("first", first)])).await;
    bench.forget();
    let one = made().await;
    bench.invoke("do a job", &worker, &queue_event([("one", one.clone())])).await;
    bench.invoke("its message again", &worker, &queue_event([("one", one)])).await;
    let mut ten = Vec::new();
    for _ in 0..10 {
        ten.push(made().await);
    }
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    bench.invoke("do ten jobs of one batch", &worker, &queue_event(names.into_iter().zip(ten))).await;
    let sweeper = bench.subject(&::jobs::SERVICE, "jobs.sweeper", Door::Other, Clock::system()).await;
    bench.invoke("the sweeper's run, nothing to see", &sweeper, &json!({})).await;
}

/// The stream brings what has become of jobs.
async fn count(bench: &mut Bench, tenant: &Tenant) {
    let changes = bench.subject(&::jobs::SERVICE, "jobs.changes", Door::Other, Clock::system()).await;
    let (clock, random) = (Clock::system(), Random::system());
    for (jobs, queue, name) in [
        (1, "one", "count a job that is made and done"),
        (33, "many", "count 33 jobs that are made and done, in one batch"),
    ] {
        let mut records = Vec::new();
        for number in 0..jobs {
            let made = Job { queue: queue.parse().unwrap(), ..new_job(tenant, &clock, &random) };
            let running = Job { phase: Phase::Running, attempt: 1, ..made.clone() };
            let (_, attempt) = running.after(Outcome::Succeeded(None), clock.now(), &random);
            let history = running.history_with(attempt);
            let done = Job { phase: Phase::Succeeded, history, finished_at: Some(clock.now()), ..running.clone() };
            let images = [None, Some(&made), Some(&running), Some(&done)].map(|job| job.map(image));
            for (step, pair) in images.windows(2).enumerate() {
                let mut change = json!({
                    "Keys": {}, "NewImage": pair[1], "SequenceNumber": format!("{number}{step}"), "SizeBytes": 1,
                    "StreamViewType": "NEW_AND_OLD_IMAGES", "ApproximateCreationDateTime": 0,
                });
                if let Some(old) = &pair[0] {
                    change["OldImage"] = old.clone();
                }
                records.push(json!({
                    "eventID": format!("{queue}-{number}-{step}"), "eventName": "MODIFY", "awsRegion": "us-east-1", "dynamodb": change,
                }));
            }
        }
        let answer = bench.invoke(name, &changes, &json!({"Records": records})).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
    }
}

/// A job as a stream's event has it.
fn image(job: &Job) -> Value {
    fn attribute(value: &Value) -> Value {
        match value {
            Value::Null => json!({"NULL": true}),
            Value::Bool(flag) => json!({"BOOL": flag}),
            Value::Number(number) => json!({"N": number.to_string()}),
            Value::String(text) => json!({"S": text}),
            Value::Array(values) => json!({"L": values.iter().map(attribute).collect::<Vec<_>>()}),
            Value::Object(fields) => json!({"M": attributes(fields)}),
        }
    }
    fn attributes(fields: &serde_json::Map<String, Value>) -> Value {
        fields.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
    }
    attributes(serde_json::to_value(job).unwrap().as_object().unwrap())
}
