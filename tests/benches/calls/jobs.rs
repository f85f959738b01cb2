//! Making jobs, doing them, and leasing them.

use ::jobs::job::{Job, JobId};
use ::jobs::message::{Message, Ready};
use ::jobs::rules::{NewJob, Origin};
use ::jobs::store::{Along, JobStore};
use serde_json::{Value, json, to_string};
use shared::dynamo::Dynamo;
use shared::random::Random;
use shared::time::Clock;
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
    bench.http("the first job of a queue", &api, 201, ("POST", "/v1/jobs", &authorized, job(json!({})))).await;
    bench.forget();
    let made = bench.http("create a job", &api, 201, ("POST", "/v1/jobs", &authorized, job(json!({})))).await;
    let later = job(json!({"delay_seconds": 86_400}));
    bench.http("create a job for tomorrow", &api, 201, ("POST", "/v1/jobs", &authorized, later)).await;
    bench.http("create a job with an Idempotency-Key", &api, 201, ("POST", "/v1/jobs", &keyed, job(json!({})))).await;
    let unique = job(json!({"unique": {"key": "bench"}}));
    bench.http("create a unique job", &api, 201, ("POST", "/v1/jobs", &authorized, unique.clone())).await;
    bench.http("the same again (there is one)", &api, 200, ("POST", "/v1/jobs", &authorized, unique)).await;
    let path = format!("/v1/jobs/{}", made["id"].as_str().unwrap());
    bench.http("read a job", &api, 200, ("GET", &path, &authorized, Value::Null)).await;
    bench.http("a page of jobs", &api, 200, ("GET", "/v1/jobs", &authorized, Value::Null)).await;
    bench.http("cancel a job", &api, 200, ("POST", &format!("{path}/cancel"), &authorized, Value::Null)).await;

    let pulled = json!({"type": "bench", "queue": "bench"});
    bench.http("the first job of a queue", &api, 201, ("POST", "/v1/jobs", &authorized, pulled.clone())).await;
    bench.forget();
    bench.http("create a job to be leased", &api, 201, ("POST", "/v1/jobs", &authorized, pulled)).await;
    let lease = json!({"max": 1});
    let leased = bench.http("lease a job", &api, 200, ("POST", "/v1/queues/bench/lease", &authorized, lease)).await;
    let (id, claim) = (leased["jobs"][0]["id"].as_str().unwrap(), &leased["jobs"][0]["claim"]);
    let path = format!("/v1/jobs/{id}/complete");
    let complete = json!({"claim": claim});
    bench.http("complete a leased job", &api, 200, ("POST", &path, &authorized, complete)).await;
    work(bench, &tenant).await;
}

/// The worker does jobs that nobody else has heard of.
async fn work(bench: &mut Bench, tenant: &Tenant) {
    let worker = bench.subject(&::jobs::SERVICE, "jobs.worker", Door::Queue, Clock::system()).await;
    let environment = stack().environment("jobs.worker").unwrap();
    let dynamo = Dynamo::new(bench.aws("jobs.worker").dynamo.clone());
    let store = JobStore::new(dynamo, environment.get("JOBS_TABLE").unwrap().to_owned());
    let (clock, random) = (Clock::system(), Random::system());
    let made = async || {
        let origin = Origin {
            id: JobId::new(clock.now(), &random),
            tenant_id: tenant.id,
            created_by: "bench".to_owned(),
            now: clock.now(),
        };
        let new = NewJob::of("noop".parse().unwrap());
        let job: Job = new.into_job(origin, &::jobs::queue::Settings::default(), true).unwrap();
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
