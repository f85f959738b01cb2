//! Queues with their settings, leases and dead jobs, and schedules.

use serde_json::{Value, json};
use shared::time::Clock;
use tests::Tenant;

use crate::price::Door;
use crate::{Bench, Subject};

/// The API, asked by one tenant.
struct Api<'a> {
    bench: &'a mut Bench,
    subject: Subject,
    bearer: String,
}

impl Api<'_> {
    async fn ask(&mut self, name: &str, status: u16, method: &str, path: &str, body: Value) -> Value {
        let headers = [("authorization", self.bearer.as_str())];
        self.bench.http(name, &self.subject, status, (method, path, &headers, body)).await
    }

    /// Leases a job, which is not shown.
    async fn lease(&mut self) -> (String, Value) {
        let leased = self.ask("", 200, "POST", "/v2/queues/bench/lease", json!({"max": 1})).await;
        self.bench.forget();
        let job = &leased["jobs"][0];
        (format!("/v2/jobs/{}", job["id"].as_str().unwrap()), job["claim"].clone())
    }
}

pub(crate) async fn queues(bench: &mut Bench) {
    let tenant = Tenant::new().await;
    let subject = bench.subject(&::jobs::SERVICE, "jobs.api", Door::Http, Clock::system()).await;
    let mut api = Api { bench, subject, bearer: format!("Bearer {}", tenant.api_key) };
    api.ask("first of the instance", 404, "GET", "/v2/jobs/job_01k9z4n2y6e0qv3m8t5w7x9abc", Value::Null).await;
    api.bench.forget();
    leases(&mut api).await;
    dead(&mut api).await;
    settings(&mut api).await;
    schedules(&mut api).await;
}

async fn leases(api: &mut Api<'_>) {
    let pulled = json!({"type": "bench", "queue": "bench"});
    api.ask("the first job of a queue", 201, "POST", "/v2/jobs", pulled.clone()).await;
    api.bench.forget();
    for _ in 0..4 {
        api.ask("create a job to be leased", 201, "POST", "/v2/jobs", pulled.clone()).await;
        api.bench.forget();
    }
    api.ask("create a job to be leased", 201, "POST", "/v2/jobs", pulled).await;
    let leased = api.ask("lease a job", 200, "POST", "/v2/queues/bench/lease", json!({"max": 1})).await;
    let path = format!("/v2/jobs/{}", leased["jobs"][0]["id"].as_str().unwrap());
    let claim = json!({"claim": leased["jobs"][0]["claim"]});
    api.ask("a heartbeat for a leased job", 200, "POST", &format!("{path}/heartbeat"), claim.clone()).await;
    api.ask("complete a leased job", 200, "POST", &format!("{path}/complete"), claim).await;
    let (path, claim) = api.lease().await;
    let snooze = json!({"claim": claim, "seconds": 600});
    api.ask("snooze a leased job", 200, "POST", &format!("{path}/snooze"), snooze).await;
    let (path, claim) = api.lease().await;
    let failed = json!({"claim": claim, "class": "stock", "message": "item 1"});
    api.ask("fail a leased job, which is tried again", 200, "POST", &format!("{path}/fail"), failed).await;
}

async fn dead(api: &mut Api<'_>) {
    let (path, claim) = api.lease().await;
    let failed = json!({"claim": claim, "class": "stock", "message": "item 1", "permanent": true});
    api.ask("fail a leased job for good", 200, "POST", &format!("{path}/fail"), failed).await;
    api.ask("the dead of a queue (one)", 200, "GET", "/v2/queues/bench/dead", Value::Null).await;
    api.ask("redrive the dead of a queue (one)", 200, "POST", "/v2/queues/bench/redrive", json!({})).await;
}

async fn settings(api: &mut Api<'_>) {
    api.ask("read a queue", 200, "GET", "/v2/queues/bench", Value::Null).await;
    api.ask("a page of queues", 200, "GET", "/v2/queues", Value::Null).await;
    api.ask("change the settings of a queue", 200, "PUT", "/v2/queues/bench", json!({"concurrency": 5})).await;
}

async fn schedules(api: &mut Api<'_>) {
    let schedule = json!({"name": "nightly", "cron": "0 3 * * *", "job": {"type": "noop"}});
    let made = api.ask("create a schedule", 201, "POST", "/v2/schedules", schedule).await;
    let path = format!("/v2/schedules/{}", made["id"].as_str().unwrap());
    api.ask("read a schedule", 200, "GET", &path, Value::Null).await;
    api.ask("a page of schedules", 200, "GET", "/v2/schedules", Value::Null).await;
    api.ask("edit a schedule", 200, "PATCH", &path, json!({"name": "at night"})).await;
    api.ask("run a schedule now", 201, "POST", &format!("{path}/run"), json!({})).await;
    api.ask("the runs of a schedule", 200, "GET", &format!("{path}/history"), Value::Null).await;
    api.ask("delete a schedule", 204, "DELETE", &path, Value::Null).await;
}
