//! The functions of `jobs` with a table, queues and a clock that no other test has.

use std::sync::Mutex;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType,
};
use jobs::SERVICE;
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::BoxFuture;
use shared::dynamo::{AttributeValue, Item};
use shared::time::{Clock, SignedDuration};
use tests::{Answer, Fault, FaultProxy, Instance, Tenant, http_event, queue_event, stack};
use tokio::sync::OnceCell;

use crate::faults::Outage;
use crate::resources::{Queue, aws, due_table, failures, items, name};

/// Longer than a lease, a test's backoff, and the time until the sweeper looks at a job that waits.
pub(super) const LONG: SignedDuration = SignedDuration::from_mins(10);

/// How often [`OwnJobs::until_all_have_ended`] lets [`LONG`] pass.
const ROUNDS: usize = 30;

/// See the module.
pub(super) struct OwnJobs {
    pub(super) tenant: Tenant,
    /// Begins at the machine's time.
    pub(super) clock: Clock,
    pub(super) table: String,
    /// All three priorities have this queue.
    pub(super) queue: Queue,
    /// The same for all tests.
    pub(super) dead_letters: Queue,
    due: String,
    /// The healthy network.
    pub(super) network: FaultProxy,
    pub(super) api: Instance,
    pub(super) worker: Instance,
    pub(super) sweeper: Instance,
    /// Messages that were delivered and not handled: SQS delivers them again.
    pub(super) undone: Mutex<Vec<String>>,
}

/// The network of an outage.
pub(super) async fn network_of(outage: Outage) -> FaultProxy {
    let mut rule = outage.rule();
    network(move |_| rule()).await
}

/// A network on which messages arrive at once, so that the test's clock alone decides about the time.
pub(super) async fn network(rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) -> FaultProxy {
    FaultProxy::without_delays(rule).await
}

/// A network that breaks for good at the `count`th call of `operation` (from 1): the process behind it is as good as killed.
/// `done` says whether that call still arrives.
pub(super) async fn killed_at(operation: &'static str, count: usize, done: bool) -> FaultProxy {
    let (mut calls, mut dead) = (0, false);
    network(move |call| {
        if dead {
            return Some(Fault::LostRequest);
        }
        calls += usize::from(call == operation);
        dead = calls == count && call == operation;
        dead.then_some(if done { Fault::LostAnswer } else { Fault::LostRequest })
    })
    .await
}

async fn jobs_table() -> String {
    let table = name("jobs");
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let mut create = aws().dynamo.create_table().table_name(&table).billing_mode(BillingMode::PayPerRequest);
    for attribute in ["pk", "sk", "attention_pk", "attention_sk"] {
        let attribute = AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S);
        create = create.attribute_definitions(attribute.build().unwrap());
    }
    let index = GlobalSecondaryIndex::builder()
        .index_name("attention")
        .key_schema(key("attention_pk", KeyType::Hash))
        .key_schema(key("attention_sk", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
    let create = create.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
    create.global_secondary_indexes(index.build().unwrap()).send().await.unwrap();
    table
}

impl OwnJobs {
    pub(super) fn new() -> BoxFuture<'static, Self> {
        Box::pin(Self::build())
    }

    async fn build() -> Self {
        static DUE: OnceCell<String> = OnceCell::const_new();
        static DEAD_LETTERS: OnceCell<Queue> = OnceCell::const_new();
        let (table, queue, due, dead_letters) = tokio::join!(
            jobs_table(),
            Queue::new(),
            DUE.get_or_init(due_table),
            // Nothing but a test of poison sends there.
            DEAD_LETTERS.get_or_init(Queue::new),
        );
        let (due, dead_letters) = (due.clone(), dead_letters.clone());
        let clock = Clock::manual(Clock::system().now());
        let network = network(|_| None).await;
        let built = |handler: &'static str| built(handler, &clock, &network, &table, &queue, &dead_letters, &due, None);
        let (api, worker, sweeper) = (built("jobs.api").await, built("jobs.worker").await, built("jobs.sweeper").await);
        let tenant = Tenant::new().await;
        Self { tenant, api, worker, sweeper, clock, table, queue, dead_letters, due, network, undone: Mutex::default() }
    }

    /// One of the functions in another network.
    pub(super) async fn behind(&self, network: &FaultProxy, handler: &str) -> Instance {
        built(handler, &self.clock, network, &self.table, &self.queue, &self.dead_letters, &self.due, None).await
    }

    /// A worker with another setting.
    pub(super) async fn worker_with(&self, name: &str, value: &str) -> Instance {
        self.worker_behind(&self.network, name, value).await
    }

    /// The same in another network.
    pub(super) async fn worker_behind(&self, network: &FaultProxy, name: &str, value: &str) -> Instance {
        let Self { clock, table, queue, dead_letters, due, .. } = self;
        built("jobs.worker", clock, network, table, queue, dead_letters, due, Some((name, value))).await
    }

    /// Asks the API.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask_at(&self.api, method, path, body).await
    }

    /// Asks another instance of the API.
    pub(super) async fn ask_at(&self, api: &Instance, method: &str, path: &str, body: Option<&Value>) -> Answer {
        api.http(method, path, &[("authorization", &format!("Bearer {}", self.tenant.api_key))], body).await
    }

    /// The same with an idempotency key.
    pub(super) async fn create_once(&self, api: &Instance, path: &str, key: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.tenant.api_key);
        let event = http_event(
            "POST",
            path,
            &[("authorization", bearer.as_str()), ("idempotency-key", key)],
            Some(&body.to_string()),
        );
        api.http_in(&event, Context::default()).await
    }

    /// A new job, whose message is in the queue.
    pub(super) async fn job(&self, new: &Value) -> Value {
        self.ask("POST", "/v1/jobs", Some(new)).await.expect(201).json()
    }

    /// A job as it is now.
    pub(super) async fn read(&self, job: &Value) -> Value {
        self.ask("GET", &path(job), None).await.expect(200).json()
    }

    /// All jobs.
    pub(super) async fn all(&self) -> Vec<Value> {
        let (mut all, mut next) = (Vec::new(), "/v1/jobs?limit=200".to_owned());
        loop {
            let page = self.ask("GET", &next, None).await.expect(200).json();
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { return all };
            next = format!("/v1/jobs?limit=200&cursor={cursor}");
        }
    }

    /// Sets a queue.
    pub(super) async fn set_queue(&self, name: &str, settings: &Value) {
        let set = self.ask("PUT", &format!("/v1/queues/{name}"), Some(settings)).await;
        assert!(set.status.is_success(), "{set:?}");
    }

    /// The message about a job.
    pub(super) fn message(&self, job: &Value) -> String {
        let mut message = json!({"do": "run", "tenant_id": self.tenant.id, "job_id": job["id"], "queue": job["queue"]});
        if job["concurrency_key"].is_string() {
            message["concurrency_key"] = job["concurrency_key"].clone();
        }
        message.to_string()
    }

    /// Takes the messages in the queue and those that were not handled.
    pub(super) async fn messages(&self) -> Vec<String> {
        let undone = std::mem::take(&mut *self.undone.lock().unwrap());
        let sent = self.queue.drain().await;
        sent.iter().map(|message| message.body().unwrap().to_owned()).chain(undone).collect()
    }

    /// Brings `messages` to a worker at once; those that it does not handle are kept to be delivered again. How many these are.
    pub(super) async fn bring(&self, worker: &Instance, messages: Vec<String>) -> usize {
        let answer = worker.invoke(&queue_event(messages.iter().cloned().enumerate())).await;
        let undone: Vec<_> = match answer {
            Ok(answer) => failures(&answer).iter().map(|id| messages[id.parse::<usize>().unwrap()].clone()).collect(),
            Err(_) => messages,
        };
        let count = undone.len();
        self.undone.lock().unwrap().extend(undone);
        count
    }

    /// Brings a worker all messages, ten at a time, until there are none but those that it does not handle, or sends again
    /// because their time has not come.
    pub(super) async fn deliver(&self, worker: &Instance) {
        let (mut messages, mut before) = (self.messages().await, Vec::new());
        while !messages.is_empty() {
            messages.sort();
            if messages == before {
                self.undone.lock().unwrap().append(&mut messages);
                return;
            }
            for some in messages.chunks(10) {
                self.bring(worker, some.to_vec()).await;
            }
            before = messages;
            messages = self.queue.drain().await.iter().map(|message| message.body().unwrap().to_owned()).collect();
        }
    }

    /// A run of the sweeper.
    pub(super) async fn sweep(&self) {
        self.sweeper.invoke(&json!({})).await.unwrap();
    }

    /// Lets a long time pass, in which the sweeper runs and messages arrive.
    pub(super) async fn let_time_pass(&self) {
        self.clock.advance(LONG);
        self.sweep().await;
        self.deliver(&self.worker).await;
    }

    /// Lets all be well until each job has ended: the jobs then. Nothing is left behind.
    pub(super) async fn until_all_have_ended(&self) -> Vec<Value> {
        self.deliver(&self.worker).await;
        for _ in 0..ROUNDS {
            let jobs = self.all().await;
            if jobs.iter().all(|job| job["finished_at"].is_string()) {
                self.let_time_pass().await;
                self.nothing_is_left().await;
                return self.all().await;
            }
            self.let_time_pass().await;
        }
        panic!("there are jobs that do not end: {:#?}", self.all().await);
    }

    /// The one job when it has ended.
    pub(super) async fn until_it_has_ended(&self) -> Value {
        let mut jobs = self.until_all_have_ended().await;
        assert_eq!(jobs.len(), 1, "{jobs:#?}");
        jobs.remove(0)
    }

    /// Checks that no message, no place in a limit, nothing that is parked and nothing for the sweeper is left.
    pub(super) async fn nothing_is_left(&self) {
        assert_eq!(self.messages().await, Vec::<String>::new(), "messages are left");
        for item in items(&self.table).await {
            let pk = item["pk"].as_s().unwrap();
            assert!(!pk.contains("#parked#"), "{item:?}");
            if pk.contains("#slot#") {
                assert_eq!(item["running"], AttributeValue::N("0".into()), "{item:?}");
            }
            let attention = item.get("attention_pk").map(|pk| pk.as_s().unwrap());
            assert!(attention.is_none_or(|pk| pk.contains("#dead#")), "the sweeper looks for it: {item:?}");
        }
    }

    /// How many jobs run of all limits together.
    pub(super) async fn running(&self) -> i64 {
        let slots = items(&self.table).await;
        slots.iter().filter_map(|slot| slot.get("running")?.as_n().ok()?.parse::<i64>().ok()).sum()
    }

    /// The record of a job.
    pub(super) async fn record(&self, job: &Value) -> Item {
        let key = format!("job#{}", job["id"].as_str().unwrap());
        let mut items = items(&self.table).await.into_iter();
        items.find(|item| item["sk"].as_s().unwrap() == &key).expect("the job has a record")
    }

    /// Writes something else in the record of a job.
    pub(super) async fn alter(&self, job: &Value, attribute: &str, value: AttributeValue) {
        let mut record = self.record(job).await;
        record.insert(attribute.to_owned(), value);
        aws().dynamo.put_item().table_name(&self.table).set_item(Some(record)).send().await.unwrap();
    }
}

/// The path of a job in the API.
pub(super) fn path(job: &Value) -> String {
    format!("/v1/jobs/{}", job["id"].as_str().unwrap())
}

#[allow(clippy::too_many_arguments)] // all that a function of a test's own has of its own
async fn built(
    handler: &str,
    clock: &Clock,
    network: &FaultProxy,
    table: &str,
    queue: &Queue,
    dead_letters: &Queue,
    due: &str,
    setting: Option<(&str, &str)>,
) -> Instance {
    assert!(stack().environment(handler).is_some(), "{handler}");
    Instance::with(&SERVICE, handler, clock.clone(), |environment| {
        let environment = setting.into_iter().fold(environment, |all, (name, value)| all.with(name, value));
        ["HIGH_QUEUE_URL", "NORMAL_QUEUE_URL", "LOW_QUEUE_URL", "WORKER_QUEUE_URL"]
            .into_iter()
            .fold(environment, |environment, name| environment.with(name, &queue.url))
            .with("WORKER_DEAD_LETTER_URL", &dead_letters.url)
            // The messages come from the test: there is nothing to keep invisible.
            .with("WORKER_LEASE_SECONDS", "5400")
            .with("JOBS_TABLE", table)
            .with("DUE_TABLE", due)
            .with("AWS_ENDPOINT_URL", network.url())
    })
    .await
}
