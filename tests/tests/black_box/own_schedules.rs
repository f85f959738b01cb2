//! Schedules of a test's own: a jobs table, a queue and a due index that the stack does not know, and functions whose clock
//! stands until the test moves it.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use serde_json::{Value, json};
use shared::config::Environment;
use shared::time::{Clock, Timestamp};
use tests::{Answer, FaultProxy, Instance, Tenant, queue_event};

use crate::resources::{Queue, aws, due_table, name};

/// The functions, and what lies between them.
pub(crate) struct OwnSchedules {
    pub(crate) tenant: Tenant,
    pub(crate) clock: Clock,
    pub(crate) queue: Queue,
    api: Instance,
    pub(crate) table: String,
    due: String,
}

/// A jobs table as the template declares it: its name.
async fn jobs_table() -> String {
    let key =
        |attribute: &str, kind| KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build().unwrap();
    let table = name("jobs");
    let mut create = aws().dynamo.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    for attribute in ["pk", "sk", "attention_pk", "attention_sk"] {
        let definition =
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S);
        create = create.attribute_definitions(definition.build().unwrap());
    }
    let index = GlobalSecondaryIndex::builder()
        .index_name("attention")
        .key_schema(key("attention_pk", KeyType::Hash))
        .key_schema(key("attention_sk", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
        .build()
        .unwrap();
    create
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .global_secondary_indexes(index)
        .send()
        .await
        .unwrap();
    table
}

impl OwnSchedules {
    /// With the clock at this time.
    pub(crate) async fn at(time: &str) -> Self {
        let (table, due, queue) = (jobs_table().await, due_table().await, Queue::new().await);
        let clock = Clock::manual(time.parse().unwrap());
        let change = |environment: Environment| own(&environment, &table, &due, &queue);
        let api = Instance::with(&jobs::SERVICE, "jobs.api", clock.clone(), change).await;
        Self { tenant: Tenant::new().await, clock, queue, api, table, due }
    }

    /// Another instance of the function that makes the jobs of schedules.
    pub(crate) async fn sweeper(&self) -> Instance {
        self.sweeper_with(|environment| environment).await
    }

    /// The same behind a faulty network.
    pub(crate) async fn sweeper_behind(&self, proxy: &FaultProxy) -> Instance {
        self.sweeper_with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await
    }

    async fn sweeper_with(&self, change: impl FnOnce(Environment) -> Environment) -> Instance {
        let own = |environment: Environment| change(own(&environment, &self.table, &self.due, &self.queue));
        Instance::with(&jobs::SERVICE, "jobs.sweeper", self.clock.clone(), own).await
    }

    /// The minute's run at a time.
    pub(crate) async fn sweep_at(&self, time: &str) {
        self.move_to(time);
        self.sweeper().await.invoke(&json!({})).await.unwrap();
    }

    pub(crate) fn move_to(&self, time: &str) {
        let time: Timestamp = time.parse().unwrap();
        self.clock.advance(time.duration_since(self.clock.now()));
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let bearer = format!("Bearer {}", self.tenant.api_key);
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        self.api.http(method, path, &all, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call("GET", path, &[], None).await.expect(200).json()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &[], Some(&body)).await
    }

    /// A new schedule of jobs that a worker leases; `more` is set besides.
    pub(crate) async fn schedule(&self, more: Value) -> Value {
        let mut body = json!({"name": "Report", "job": {"type": "report.make"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/schedules", body).await.expect(201).json()
    }

    pub(crate) async fn patch(&self, schedule: &Value, patch: Value) -> Answer {
        self.call("PATCH", &path_of(schedule), &[], Some(&patch)).await
    }

    /// The times of all jobs, in their order.
    pub(crate) async fn run_times(&self) -> Vec<String> {
        let jobs = self.jobs().await;
        jobs.iter().map(|job| job["run_at"].as_str().unwrap().to_owned()).collect()
    }

    /// All jobs, in the order of their ticks.
    pub(crate) async fn jobs(&self) -> Vec<Value> {
        let page = self.get("/v1/jobs?limit=200&sort=created_at").await;
        assert_eq!(page["has_more"], false);
        page["data"].as_array().unwrap().clone()
    }

    /// What came of the ticks of a schedule, the newest first: the tick, and why there is no job.
    pub(crate) async fn history(&self, schedule: &Value) -> Vec<(String, Value)> {
        let page = self.get(&format!("{}/history?limit=200", path_of(schedule))).await;
        let runs = page["data"].as_array().unwrap().iter();
        runs.map(|run| {
            assert_ne!(run["job_id"].is_null(), run["skipped"].is_null(), "{run}");
            (run["tick_at"].as_str().unwrap_or("asked for").to_owned(), run["skipped"].clone())
        })
        .collect()
    }

    /// Jobs that a worker gets who takes all.
    pub(crate) async fn leased(&self) -> Vec<Value> {
        let leased =
            self.post("/v1/queues/default/lease", json!({"max": 32, "lease_seconds": 840})).await.expect(200).json();
        leased["jobs"].as_array().unwrap().clone()
    }

    /// How many messages wait for their time.
    pub(crate) async fn delayed(&self) -> String {
        let delayed = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessagesDelayed;
        self.queue.attribute(delayed).await
    }

    /// What the worker makes of a message.
    pub(crate) async fn work(&self, message: &Value) {
        let change = |environment: Environment| own(&environment, &self.table, &self.due, &self.queue);
        let worker = Instance::with(&jobs::SERVICE, "jobs.worker", self.clock.clone(), change).await;
        let answer = worker.invoke(&queue_event([("1", message.to_string())])).await.unwrap();
        assert_eq!(answer["batchItemFailures"], json!([]));
    }

    /// Ends a leased job.
    pub(crate) async fn complete(&self, job: &Value) {
        let path = format!("/v1/jobs/{}/complete", job["id"].as_str().unwrap());
        self.post(&path, json!({"claim": job["claim"]})).await.expect(200);
    }
}

fn own(environment: &Environment, table: &str, due: &str, queue: &Queue) -> Environment {
    let environment = environment.with("JOBS_TABLE", table).with("DUE_TABLE", due);
    ["HIGH_QUEUE_URL", "NORMAL_QUEUE_URL", "LOW_QUEUE_URL"]
        .into_iter()
        .fold(environment, |environment, name| environment.with(name, &queue.url))
}

/// The path of a schedule in the API.
pub(crate) fn path_of(schedule: &Value) -> String {
    format!("/v1/schedules/{}", schedule["id"].as_str().unwrap())
}
