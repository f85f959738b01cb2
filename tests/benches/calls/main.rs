//! How many AWS calls each operation makes, which capacity it uses, and what a million of it cost.
//!
//! `cargo bench -p tests --bench calls`; nothing is timed. An interceptor in each SDK client records the calls of a
//! function that this program alone invokes ([`recorder`]); the prices are in [`price`]. The aim is a redirect with at
//! most one call and no write in its path.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)] // a bench's reader is its only caller

mod export;
mod identity;
mod jobs;
mod notes;
mod price;
mod queues;
mod recorder;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use lambda_runtime::Context;
use links::click::ClickId;
use price::{Door, Price};
use recorder::{Call, Called, Log};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::dynamo::Dynamo;
use shared::events::Event;
use shared::events::links::LinkCreated;
use shared::id::TenantId;
use shared::lambda::{Function, Runtime, Service};
use shared::limits::{DynamoLimiter, Limit, Limiter as _, Policy};
use shared::queue::{Message, Sender};
use shared::random::Random;
use shared::time::{Clock, SignedDuration, Timestamp};
use tests::{Tenant, http_event, queue_event, stack};

/// An operation and what it did.
struct Row {
    name: String,
    door: Door,
    /// The function's memory.
    megabytes: u32,
    /// Whether it computes an argon2.
    hashes: bool,
    /// The calls that the caller waits for.
    before: Vec<Call>,
    /// The calls after the answer.
    after: Vec<Call>,
}

#[derive(Default)]
struct Bench {
    log: Log,
    rows: Vec<Row>,
}

/// A function under measurement.
struct Subject {
    function: Function,
    door: Door,
    megabytes: u32,
}

impl Bench {
    fn aws(&self, handler: &str) -> Aws {
        self.log.record(&Aws::new(&stack().environment(handler).unwrap()).unwrap())
    }

    async fn subject(&self, service: &'static Service, handler: &str, door: Door, clock: Clock) -> Subject {
        let environment = stack().environment(handler).unwrap();
        let megabytes = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").unwrap().parse().unwrap();
        let aws = self.aws(handler);
        let runtime_of = |name| Ok(Runtime { aws, ..Runtime::new(name, environment)?.with_clock(clock) });
        let function = service.build_with(handler, runtime_of).await.unwrap();
        Subject { function, door, megabytes }
    }

    /// Invokes a function once and keeps what it did as a row.
    async fn invoke(&mut self, name: impl Into<String>, subject: &Subject, event: &Value) -> Value {
        self.log.take();
        let answer = subject.function.invoke(to_raw_value(event).unwrap(), Context::default()).await.unwrap();
        let before = self.log.take();
        subject.function.after_response().await;
        let after = self.log.take();
        let Subject { door, megabytes, .. } = *subject;
        self.rows.push(Row { name: name.into(), door, megabytes, hashes: false, before, after });
        serde_json::from_str(answer.get()).unwrap()
    }

    /// The last operation is not to be shown.
    fn forget(&mut self) {
        self.rows.pop();
    }

    async fn http(
        &mut self,
        name: &str,
        subject: &Subject,
        status: u16,
        request: (&str, &str, &[(&str, &str)], Value),
    ) -> Value {
        let (method, path, headers, body) = request;
        let body = match body {
            Value::Null => None,
            Value::String(form) => Some(form),
            body => Some(body.to_string()),
        };
        let answer = self.invoke(name, subject, &http_event(method, path, headers, body.as_deref())).await;
        assert_eq!(answer["statusCode"], status, "{name}: {answer}");
        serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or(Value::Null)
    }
}

async fn links_api(bench: &mut Bench) {
    let tenant = Tenant::new().await;
    let api = bench.subject(&links::SERVICE, "links.api", Door::Http, Clock::system()).await;
    let bearer = format!("Bearer {}", tenant.api_key);
    let authorized = [("authorization", bearer.as_str())];
    let keyed = [("authorization", bearer.as_str()), ("idempotency-key", "bench")];
    let merge = [("authorization", bearer.as_str()), ("content-type", "application/merge-patch+json")];
    let link = |more: &Value| {
        let mut link =
            json!({"target": "https://example.com/spring?from=letter", "title": "Spring sale", "tags": ["spring"]});
        link.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        link
    };
    let unknown = ("GET", "/v2/links/link_01k9z4n2y6e0qv3m8t5w7x9abc", &authorized[..], Value::Null);
    // The key is not remembered yet.
    bench.http("the first request of an instance", &api, 404, unknown).await;
    bench.forget();
    let post = |headers| move |more: &Value| ("POST", "/v2/links", headers, link(more));
    let (plain, with_key) = (post(&authorized[..]), post(&keyed[..]));
    let soon = (Clock::system().now() + SignedDuration::from_secs(60)).to_string();
    let later = (Clock::system().now() + SignedDuration::from_hours(24)).to_string();
    let made = bench.http("create a link", &api, 201, plain(&json!({}))).await;
    bench.http("create with an alias", &api, 201, plain(&json!({"alias": "calls-and-units"}))).await;
    bench.http("create with an end tomorrow", &api, 201, plain(&json!({"expires_at": later}))).await;
    bench.http("create with an end in a minute", &api, 201, plain(&json!({"expires_at": soon}))).await;
    bench.http("create with an Idempotency-Key", &api, 201, with_key(&json!({}))).await;
    bench.http("the same again (replayed)", &api, 201, with_key(&json!({}))).await;
    let limited = bench.http("create with a click limit", &api, 201, plain(&json!({"max_clicks": 10}))).await;
    let path_of = |link: &Value| format!("/v2/links/{}", link["id"].as_str().unwrap());
    let (path, limited) = (path_of(&made), path_of(&limited));
    for _ in 0..60 {
        tenant.post("/v2/links", &link(&json!({}))).await.expect(201);
    }
    for (name, path) in [
        ("read a link", path.clone()),
        ("read a link with a click limit", limited),
        ("its QR code", format!("{path}/qr")),
        ("its statistics of 30 days", format!("{path}/stats")),
        ("a page of 50, first of an instance", "/v2/links".to_owned()),
        ("a page of 50", "/v2/links".to_owned()),
        ("read the blocklist", "/v2/links/blocklist".to_owned()),
    ] {
        bench.http(name, &api, 200, ("GET", &path, &authorized, Value::Null)).await;
    }
    // Not deprecated, and deprecated.
    let older = ("POST", "/v1/links", &authorized[..], link(&json!({})));
    bench.http("create a link, by version 1", &api, 201, older).await;
    let older = path.replacen("v2", "v1", 1) + "/stats";
    bench.http("its statistics, by version 1", &api, 200, ("GET", &older, &authorized, Value::Null)).await;
    let domains = json!({"domains": ["bad.example"]});
    bench.http("replace the blocklist", &api, 200, ("PUT", "/v2/links/blocklist", &authorized, domains)).await;
    bench.http("edit a link", &api, 200, ("PATCH", &path, &merge, json!({"title": "Summer sale"}))).await;
    bench.http("delete a link", &api, 204, ("DELETE", &path, &authorized, Value::Null)).await;
}

/// The redirect, and the workers behind it.
async fn links_behind(bench: &mut Bench) {
    let tenant = Tenant::new().await;
    let now = Clock::system().now();
    let end = now + SignedDuration::from_hours(1);
    let target = json!({"target": "https://example.com/spring?from=letter"});
    let plain = tenant.post("/v2/links", &target).await.expect(201).json();
    let limited = json!({"target": "https://example.com/", "max_clicks": 10});
    let limited = tenant.post("/v2/links", &limited).await.expect(201).json();
    let ending = json!({"target": "https://example.com/", "expires_at": end.to_string()});
    let ending = tenant.post("/v2/links", &ending).await.expect(201).json();
    let path = |link: &Value| format!("/l/{}", link["slug"].as_str().unwrap());

    let redirect = bench.subject(&links::SERVICE, "links.redirect", Door::Http, Clock::system()).await;
    bench.http("redirect, link not remembered", &redirect, 302, ("GET", &path(&plain), &[], Value::Null)).await;
    let click = bench.rows.last().unwrap().after[0].request["MessageBody"].as_str().unwrap().to_owned();
    bench.http("redirect, link remembered (10 s)", &redirect, 302, ("GET", &path(&plain), &[], Value::Null)).await;
    bench
        .http("redirect with a click limit, not remembered", &redirect, 302, ("GET", &path(&limited), &[], Value::Null))
        .await;
    bench
        .http("redirect with a click limit, remembered", &redirect, 302, ("GET", &path(&limited), &[], Value::Null))
        .await;
    bench.http("redirect, no such link", &redirect, 404, ("GET", "/l/nothing-here", &[], Value::Null)).await;

    let clicks = bench.subject(&links::SERVICE, "links.clicks", Door::Queue, Clock::system()).await;
    let done = json!({"batchItemFailures": []});
    // A message that comes twice counts once, so each is given an id of its own.
    let mut click: Value = serde_json::from_str(&click).unwrap();
    for (name, count) in [("count a click", 1), ("count ten clicks of a link in one batch", 10)] {
        let messages = (0..count).map(|number| {
            click["id"] = json!(ClickId::new(now, &Random::system()));
            (number, click.to_string())
        });
        let event = queue_event(messages);
        assert_eq!(bench.invoke(name, &clicks, &event).await, done);
    }
    let after_the_end = Clock::manual(end + SignedDuration::from_secs(1));
    let expiries = bench.subject(&links::SERVICE, "links.expiries", Door::Queue, after_the_end).await;
    let expiry =
        json!({"tenant_id": tenant.id, "link_id": ending["id"], "expires_at": ending["expires_at"]}).to_string();
    assert_eq!(bench.invoke("tell an expiry", &expiries, &queue_event([("expiry", expiry)])).await, done);
}

async fn platform(bench: &mut Bench) {
    // A time of its own: the stack's scheduler does not see these entries, nor this one others'.
    let due: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
    let scheduler = bench.subject(&platform::SERVICE, "platform.scheduler", Door::Other, Clock::manual(due)).await;
    let aws = bench.aws("platform.scheduler");
    let queue = aws.sqs.create_queue().queue_name("bench").send().await.unwrap().queue_url.unwrap();
    let environment = stack().environment("platform.scheduler").unwrap();
    let dynamo = Dynamo::new(aws.dynamo.clone());
    let table = environment.get("DUE_TABLE").unwrap().to_owned();
    let sender = Sender::new(aws.sqs.clone(), dynamo.clone(), table, Clock::manual(due));
    for count in [0, 1, 100] {
        let writes = (0..count).map(|number| {
            let message = Message {
                queue_url: queue.clone(),
                body: "{}".to_owned(),
                group: "bench".to_owned(),
                id: format!("bench#{number}"),
                trace: None,
            };
            sender.due_write(&message, due)
        });
        let writes: Vec<_> = writes.collect();
        if !writes.is_empty() {
            dynamo.transact(writes).await.unwrap();
        }
        bench.invoke(format!("scheduler's tick, {count} due"), &scheduler, &json!({})).await;
    }

    let relay = bench.subject(&platform::SERVICE, "platform.relay", Door::Other, Clock::system()).await;
    let random = Random::system();
    let tenant = TenantId::new(due, &random);
    let data = LinkCreated { link_id: "link_1".into(), slug: "a".into(), target: "https://example.com/".into() };
    let outbox = Event::new(tenant, "link_1", data, due, &random).outbox().unwrap();
    let outbox = outbox.as_s().unwrap();
    let record = json!({"Records": [{
        "eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "dynamodb": {
            "Keys": {"pk": {"S": "a"}, "sk": {"S": "b"}}, "NewImage": {"pk": {"S": "a"}, "outbox": {"S": outbox}},
            "SequenceNumber": "1", "SizeBytes": 1, "StreamViewType": "NEW_AND_OLD_IMAGES", "ApproximateCreationDateTime": 0,
        },
    }]});
    let answer = bench.invoke("relay an event", &relay, &record).await;
    assert_eq!(answer, json!({"batchItemFailures": []}));
}

async fn limiter(bench: &mut Bench) {
    let aws = bench.aws("links.api");
    let attribute = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
    aws.dynamo
        .create_table()
        .table_name("bench-limits")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(key.build().unwrap())
        .send()
        .await
        .unwrap();
    let limiter = DynamoLimiter::new(Dynamo::new(aws.dynamo.clone()), "bench-limits", Random::system());
    let policy = |name: &str| Policy::new(name, 100, std::time::Duration::from_mins(1), 100).unwrap();
    let policies = ["key", "tenant", "route"].map(policy);
    for count in [1, 3] {
        let limits: Vec<_> = policies.iter().take(count).map(|policy| Limit { policy, key: "k", cost: 1 }).collect();
        bench.log.take();
        assert!(limiter.check("bench", &limits, Clock::system().now()).await.unwrap().allowed);
        let before = bench.log.take();
        let name = format!("limiter on DynamoDB, {count} limit{}", if count == 1 { "" } else { "s" });
        bench.rows.push(Row { name, door: Door::Inside, megabytes: 0, hashes: false, before, after: Vec::new() });
    }
}

fn count(calls: &[Call], called: Called) -> usize {
    calls.iter().filter(|call| call.called == called).count()
}

fn units(calls: &[Call]) -> (f64, f64) {
    calls.iter().fold((0.0, 0.0), |(read, write), call| (read + call.read_units, write + call.write_units))
}

/// What happens after the answer, in words.
fn after(calls: &[Call]) -> String {
    let (read, write) = units(calls);
    let mut parts = Vec::new();
    for (called, name) in [(Called::Dynamo, "DynamoDB"), (Called::Sqs, "SQS"), (Called::Sns, "SNS"), (Called::S3, "S3")]
    {
        match count(calls, called) {
            0 => {}
            some => parts.push(format!("{some} {name}")),
        }
    }
    for (units, name) in [(read, "read"), (write, "written")] {
        if units > 0.0 {
            parts.push(format!("{units} {name}"));
        }
    }
    parts.join(", ")
}

fn print(rows: &[Row]) {
    println!(
        "| operation | DynamoDB | SQS | SNS | S3 | read units | write units | after the answer |\n|---|---:|---:|---:|---:|---:|---:|---|"
    );
    for row in rows {
        let (read, write) = units(&row.before);
        let called = [Called::Dynamo, Called::Sqs, Called::Sns, Called::S3];
        let [dynamo, sqs, sns, s3] = called.map(|called| count(&row.before, called));
        println!("| {} | {dynamo} | {sqs} | {sns} | {s3} | {read} | {write} | {} |", row.name, after(&row.after));
    }
    println!(
        "\n| a million times | API | Lambda | DynamoDB | SQS, SNS, S3 | in all, $ |\n|---|---:|---:|---:|---:|---:|"
    );
    for row in rows {
        let price = Price::of(row);
        let Price { api, lambda, dynamo, others } = price;
        println!("| {} | {api:.2} | {lambda:.2} | {dynamo:.2} | {others:.2} | {:.2} |", row.name, price.total());
    }
}

#[tokio::main]
async fn main() {
    let mut bench = Bench::default();
    // First, while nothing else is due.
    platform(&mut bench).await;
    links_api(&mut bench).await;
    links_behind(&mut bench).await;
    identity::identity(&mut bench).await;
    jobs::jobs(&mut bench).await;
    queues::queues(&mut bench).await;
    notes::notes(&mut bench).await;
    export::export(&mut bench).await;
    limiter(&mut bench).await;
    bench.rows.rotate_left(4);
    print(&bench.rows);
}
