//! The export of a tenant: the job that asks for its parts, and each part.

use ::jobs::job::JobId;
use ::jobs::message::{Message, Ready};
use ::jobs::store::{Along, JobStore};
use serde_json::{Value, json, to_string};
use shared::dynamo::Dynamo;
use shared::events::Event;
use shared::events::export::{ExportRequested, PARTS};
use shared::lambda::Service;
use shared::random::Random;
use shared::time::Clock;
use tests::{Tenant, queue_event, stack};

use crate::Bench;
use crate::jobs::new_job;
use crate::price::Door;

/// Who makes the parts, in the order of their names.
const EXPORTERS: [(&Service, &str); PARTS.len()] = [
    (&auth::SERVICE, "auth.export"),
    (&::jobs::SERVICE, "jobs.export"),
    (&links::SERVICE, "links.export"),
    (&::notes::SERVICE, "notes.export"),
];

pub(crate) async fn export(bench: &mut Bench) {
    let tenant = Tenant::new().await;
    let (clock, random) = (Clock::system(), Random::system());
    let worker = bench.subject(&::jobs::SERVICE, "jobs.worker", Door::Queue, Clock::system()).await;
    let environment = stack().environment("jobs.worker").unwrap();
    let dynamo = Dynamo::new(bench.aws("jobs.worker").dynamo.clone());
    let store = JobStore::new(dynamo, environment.get("JOBS_TABLE").unwrap().to_owned());
    for name in ["the first of an instance", "look for the parts of an export, and ask for them"] {
        let mut job = new_job(&tenant, &clock, &random);
        job.kind = "tenant.export".parse().unwrap();
        store.insert(&job, Along::default()).await.unwrap();
        let message = to_string(&Message::Run(Ready::of(&job))).unwrap();
        bench.invoke(name, &worker, &queue_event([("export", message)])).await;
    }
    let asked = bench.rows.pop().unwrap();
    bench.forget();
    bench.rows.push(asked);
    parts(bench, &tenant, &random).await;
}

/// The parts of a tenant that has nothing, which show what an export costs at least.
async fn parts(bench: &mut Bench, tenant: &Tenant, random: &Random) {
    let now = Clock::system().now();
    for ((service, handler), part) in EXPORTERS.into_iter().zip(PARTS) {
        let job_id = JobId::new(now, random).to_string();
        let folder = format!("{job_id}/export/bench/");
        let (parts, requested_by) = (vec![part.to_owned()], job_id.clone());
        let data = ExportRequested { job_id: job_id.clone(), folder, parts, began_at: now, requested_by, so_far: None };
        let event = to_string(&Event::new(tenant.id, &job_id, data, now, random)).unwrap();
        let exporter = bench.subject(service, handler, Door::Queue, Clock::system()).await;
        let name = format!("the part of an export that {part} has, when there is nothing");
        let answer: Value = bench.invoke(name, &exporter, &queue_event([("part", event)])).await;
        assert_eq!(answer, json!({"batchItemFailures": []}));
    }
}
