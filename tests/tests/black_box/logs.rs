//! What a function writes into its log: one line for each request, message, batch of records and tick, by which the trace
//! of a request can be followed.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::BoxError;
use shared::events::Event;
use shared::events::links::LinkCreated;
use shared::lambda::{
    BatchConsumer, ConsumeError, Consumer, Function, QueueSettings, Received, StreamConsumer, StreamRecord, Task, Tick,
};
use shared::random::Random;
use shared::telemetry::{TraceContext, subscriber};
use shared::time::Clock;
use tests::account::{PASSWORD, fresh_email};
use tests::{Account, FaultProxy, Instance, Tenant, http_event, queue_event};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;

use crate::resources::{Queue, attribute, failures, received_event};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What this thread's functions write, as on Lambda, from its making to its end.
struct Log {
    written: Written,
    _on_this_thread: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> Self {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(EnvFilter::new("info"), move || writer.clone());
        Self { written, _on_this_thread: tracing::subscriber::set_default(subscriber) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines that say this.
    fn saying(&self, message: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["message"] == message).collect()
    }
}

/// The members of a line, in this order.
fn members<const N: usize>(line: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| line[name].clone())
}

fn is_trace_id(id: &Value) -> bool {
    let digits = |id: &str| id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    id.as_str().is_some_and(digits)
}

#[tokio::test]
async fn the_line_of_a_request_says_who_asked_for_what_and_how_it_went() {
    let (tenant, proxy) = (Tenant::new().await, FaultProxy::watching().await);
    let api = Instance::with(&links::SERVICE, "links.api", Clock::system(), |environment| {
        environment.with("AWS_ENDPOINT_URL", proxy.url()).with("STAGE", "mine")
    })
    .await;
    let bearer = format!("Bearer {}", tenant.api_key);
    let headers =
        [("authorization", bearer.as_str()), ("traceparent", TRACEPARENT), ("x-request-id", "a request of mine")];
    let body = json!({"target": "https://example.com/"}).to_string();
    let log = Log::start();

    let (calls, started) = (proxy.calls().len(), Instant::now());
    let event = http_event("POST", "/v2/links", &headers, Some(&body));
    let made = api.answer_in(&event, Context::default()).await.expect(201).json();
    let (took, calls) = (started.elapsed(), proxy.calls().len() - calls);
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{}", log.text());
    let line = &lines[0];
    assert_eq!(members(line, ["message", "level", "function", "stage"]), ["request", "INFO", "links.api", "mine"]);
    assert_eq!(members(line, ["method", "route", "version"]), ["POST", "/v2/links", "v2"]);
    assert_eq!((&line["status"], &line["cold_start"]), (&json!(201), &json!(true)));
    assert_eq!(members(line, ["tenant", "caller"]), [json!(tenant.id.to_string()), json!("api_key")]);
    assert_eq!(members(line, ["request_id", "trace_id"]), ["a request of mine", TRACE]);
    assert_ne!(line["span_id"], "b7ad6b7169203331", "the span is our own");
    let duration = Duration::from_micros(line["duration_us"].as_u64().unwrap());
    assert!(Duration::ZERO < duration && duration <= took, "{duration:?} of {took:?}");
    assert!(calls > 0 && line["aws_calls"] == calls, "{calls} calls: {line}");
    assert!(line["write_units"].as_f64() > Some(0.0) && line["error"].is_null(), "{line}");

    // The route and not the path, of an instance that is warm.
    let path = format!("/v2/links/{}", made["id"].as_str().unwrap());
    api.http("GET", &path, &[("authorization", &bearer)], None).await.expect(200);
    let line = log.saying("request").pop().unwrap();
    assert_eq!(members(&line, ["method", "route"]), ["GET", "/v2/links/{id}"]);
    assert_eq!((&line["status"], &line["cold_start"]), (&json!(200), &json!(false)));
    assert!(is_trace_id(&line["trace_id"]) && line["trace_id"] != TRACE, "a trace of its own: {line}");
    // What is refused has a line as well, with the kind of the problem and without a caller.
    api.http("DELETE", &path, &[], None).await.problem(401, "unauthenticated");
    let line = log.saying("request").pop().unwrap();
    assert_eq!(
        members(&line, ["status", "problem", "route"]),
        [json!(401), json!("unauthenticated"), json!("/v2/links/{id}")]
    );
    assert_eq!(members(&line, ["tenant", "caller"]), [Value::Null, Value::Null]);
}

#[tokio::test]
async fn no_key_password_token_address_or_body_is_in_the_log() {
    let (tenant, account, email) = (Tenant::new().await, Account::new().await, fresh_email());
    let api = Instance::of(&links::SERVICE, "links.api").await;
    let auth = Instance::of(&auth::SERVICE, "auth.api").await;
    let log = Log::start();
    let from_afar = async |function: &Instance, method: &str, path: &str, bearer: Option<&str>, body: Value| {
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("user-agent", "a-browser-of-mine")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let body = Some(body.to_string()).filter(|body| body != "null");
        let mut event = http_event(method, path, &headers, body.as_deref());
        event["requestContext"]["http"]["sourceIp"] = json!("203.0.113.77");
        function.http_in(&event, Context::default()).await
    };
    let link = json!({"target": "https://in-the-body.example/", "title": "a title of mine", "password": "of-a-link-8"});
    let path = "/v2/links?query=in-the-query";
    from_afar(&api, "POST", path, Some(&tenant.api_key), link).await.expect(201);
    let wrong = json!({"target": "https://in-the-body.example/", "title": 7});
    from_afar(&api, "POST", "/v2/links", Some(&tenant.api_key), wrong).await.problem(422, "validation");
    from_afar(&api, "GET", "/v2/links", Some("tf_live_of_nobody"), json!(null)).await.expect(401);

    let new = json!({"email": email, "password": PASSWORD, "name": "Ann of the log"});
    from_afar(&auth, "POST", "/v1/auth/signup", None, new).await.expect(202);
    let log_in = |password: &str| json!({"email": account.email, "password": password});
    from_afar(&auth, "POST", "/v1/auth/login", None, log_in("not-the-password")).await.expect(401);
    let signed_in = from_afar(&auth, "POST", "/v1/auth/login", None, log_in(PASSWORD)).await.expect(200).json();
    let text = |name: &str| signed_in[name].as_str().unwrap().to_owned();
    from_afar(&auth, "GET", "/v1/me", Some(&text("access_token")), json!(null)).await.expect(200);

    let seen: Vec<_> = log.saying("request").iter().map(|line| members(line, ["status", "caller"])).collect();
    let (nobody, key, user) = (Value::Null, json!("api_key"), json!("user"));
    let expected =
        [(201, &key), (422, &key), (401, &nobody), (202, &nobody), (401, &nobody), (200, &nobody), (200, &user)];
    assert_eq!(seen, expected.map(|(status, caller)| [json!(status), caller.clone()]));
    let mut secrets = vec![tenant.api_key, text("access_token"), text("refresh_token"), email, account.email];
    secrets.extend(
        [
            PASSWORD,
            "not-the-password",
            "of-a-link-8",
            "in-the-body",
            "a title of mine",
            "in-the-query",
            "tf_live_of_nobody",
        ]
        .map(str::to_owned),
    );
    secrets.extend(["203.0.113.77", "a-browser-of-mine", "Ann of the log"].map(str::to_owned));
    for secret in secrets {
        // Also not a part of it: the beginning of a key or the local part of an address.
        let part = &secret[..secret.len().min(14)];
        assert!(!log.text().contains(part), "{part} in {}", log.text());
    }
}

/// Takes numbers, and notes the trace that it is part of.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<Vec<Option<TraceContext>>>>);

impl Numbers {
    fn take(&self, number: u32) -> Result<(), ConsumeError> {
        self.0.lock().unwrap().push(TraceContext::current());
        match number {
            0 => panic!("zero"),
            1 => Err(ConsumeError::Retry("there is no room for it".into())),
            2 => Err(ConsumeError::Poison("it is never wanted".to_owned())),
            _ => Ok(()),
        }
    }

    /// The ids of the traces, of which there are as many as calls.
    fn traces(&self) -> Vec<Option<String>> {
        self.0.lock().unwrap().iter().map(|trace| trace.map(TraceContext::trace_id)).collect()
    }
}

impl Consumer for Numbers {
    type Message = u32;

    async fn consume(&self, message: Received<u32>) -> Result<(), ConsumeError> {
        self.take(message.body)
    }
}

impl BatchConsumer for Numbers {
    type Message = u32;

    async fn consume(&self, messages: Vec<Received<u32>>) -> Vec<Result<(), ConsumeError>> {
        messages.into_iter().map(|message| self.take(message.body)).collect()
    }
}

impl Task for Numbers {
    async fn run(&self, _tick: Tick) -> Result<(), BoxError> {
        let number = 3 - u32::try_from(self.traces().len())?;
        self.take(number).map_err(|_| "nothing is left".into())
    }
}

impl StreamConsumer for Numbers {
    async fn consume(&self, record: StreamRecord) -> Result<(), BoxError> {
        self.take(record.sequence.parse()?).map_err(|_| "it cannot be counted".into())
    }
}

/// The event of messages with these numbers, each with what its attribute says of its trace.
fn numbers<const N: usize>(all: [(u32, Option<&str>); N]) -> Value {
    let event = queue_event(all.map(|(number, _)| (format!("m{number}"), number.to_string())));
    with_trace(event, all.map(|(_, trace)| trace))
}

/// The same event with these attributes.
fn with_trace<const N: usize>(mut event: Value, traces: [Option<&str>; N]) -> Value {
    for (record, trace) in event["Records"].as_array_mut().unwrap().iter_mut().zip(traces) {
        if let Some(trace) = trace {
            record["messageAttributes"]["traceparent"] = json!({
                "stringValue": trace, "dataType": "String", "stringListValues": [], "binaryListValues": [],
            });
        }
    }
    event
}

#[tokio::test]
async fn a_message_has_one_line_with_its_trace_and_what_came_of_it() {
    let (numbers_seen, runtime) = (Numbers::default(), Instance::runtime());
    let function = Function::queue(&runtime, QueueSettings::out_of_reach(), numbers_seen.clone());
    let function = Instance::from_function(function);
    let log = Log::start();
    let event = numbers([(3, Some(TRACEPARENT)), (4, None), (5, Some("garbage")), (1, Some(TRACEPARENT))]);
    function.invoke(&event).await.unwrap();
    function.invoke(&numbers([(0, None), (2, Some(TRACEPARENT))])).await.unwrap();

    let lines = log.lines();
    let seen: Vec<_> = lines.iter().map(|line| members(line, ["message_id", "outcome", "error"])).collect();
    let expected = [
        ["m3", "done", ""],
        ["m4", "done", ""],
        ["m5", "done", ""],
        ["m1", "failed", "there is no room for it"],
        ["m0", "failed", "the consumer panicked"],
        ["m2", "failed", "poison, left to the redrive policy: it is never wanted"],
    ];
    assert_eq!(seen, expected.map(|line| line.map(|text| if text.is_empty() { Value::Null } else { json!(text) })));
    let traces: Vec<_> = lines.iter().map(|line| line["trace_id"].as_str().map(str::to_owned)).collect();
    assert_eq!(numbers_seen.traces(), traces, "the work is part of the trace that its line names");
    let continued: Vec<_> = traces.iter().map(|trace| trace.as_deref() == Some(TRACE)).collect();
    assert_eq!(continued, [true, false, false, true, false, true]);
    for line in &lines {
        assert_eq!(members(line, ["message", "function", "attempt"]), [json!("message"), json!("links.api"), json!(1)]);
        assert!(is_trace_id(&line["trace_id"]) && line["duration_us"].is_u64(), "{line}");
    }
    assert!(traces[1] != traces[2] && traces[2] != traces[4], "each that has none starts one");
}

#[tokio::test]
async fn messages_that_are_worked_on_together_have_a_line_each_with_their_own_traces() {
    let numbers_seen = Numbers::default();
    let function = Function::batches(&Instance::runtime(), QueueSettings::out_of_reach(), numbers_seen.clone());
    let function = Instance::from_function(function);
    let log = Log::start();
    function.invoke(&numbers([(3, Some(TRACEPARENT)), (4, None), (1, Some(TRACEPARENT))])).await.unwrap();
    function.invoke(&numbers([(0, Some(TRACEPARENT))])).await.unwrap();
    let lines = log.saying("message");
    let seen: Vec<_> = lines.iter().map(|line| members(line, ["message_id", "outcome", "error"])).collect();
    let failed = |id: &str, error: &str| [id, "failed", error].map(|text| json!(text));
    let done = |id: &str| [json!(id), json!("done"), Value::Null];
    let expected =
        [done("m3"), done("m4"), failed("m1", "there is no room for it"), failed("m0", "the consumer panicked")];
    assert_eq!(seen, expected);
    let continued: Vec<_> = lines.iter().map(|line| line["trace_id"] == TRACE).collect();
    assert_eq!(continued, [true, false, true, true]);
    assert_eq!(numbers_seen.traces(), vec![None; 4], "what is done together is part of no message's trace");
}

#[tokio::test]
async fn a_tick_is_a_trace_of_its_own_with_one_line() {
    let seen = Numbers::default();
    let function = Instance::from_function(Function::schedule(&Instance::runtime(), seen.clone()));
    let log = Log::start();
    function.invoke(&json!({})).await.unwrap();
    assert_eq!(function.invoke(&json!({})).await.unwrap_err().to_string(), "nothing is left");
    let lines = log.lines();
    let ended: Vec<_> = lines.iter().map(|line| members(line, ["message", "function", "outcome", "error"])).collect();
    let expected = [["tick", "links.api", "done", ""], ["tick", "links.api", "failed", "nothing is left"]];
    assert_eq!(ended, expected.map(|line| line.map(|text| if text.is_empty() { Value::Null } else { json!(text) })));
    let traces: Vec<_> = lines.iter().map(|line| line["trace_id"].as_str().map(str::to_owned)).collect();
    assert!(traces == seen.traces() && traces[0] != traces[1] && is_trace_id(&lines[0]["trace_id"]), "{lines:?}");
}

/// The event of a stream's records with these numbers and new items.
fn records<const N: usize>(all: [(u32, Value); N]) -> Value {
    let record = |(number, item): (u32, Value)| {
        json!({"eventID": number.to_string(), "eventName": "INSERT", "awsRegion": "us-east-1", "dynamodb": {
            "Keys": {}, "NewImage": item, "SequenceNumber": number.to_string(), "SizeBytes": 1,
            "StreamViewType": "NEW_AND_OLD_IMAGES", "ApproximateCreationDateTime": 0,
        }})
    };
    json!({"Records": all.map(record).to_vec()})
}

#[tokio::test]
async fn the_records_of_a_stream_are_a_trace_by_the_id_of_the_invocation() {
    let (seen, mut runtime) = (Numbers::default(), Instance::runtime());
    runtime.environment = runtime.environment.with("STAGE", "mine");
    let function = Instance::from_function(Function::stream(&runtime, seen.clone()));
    let mut context = Context::default();
    context.request_id = "6f1c9f1e-52aa-4c0e-9d0a-3f1f4ce1b9a7".to_owned();
    context.invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:Counting".to_owned();
    let log = Log::start();
    for numbers in [[3, 4], [5, 1]] {
        function.invoke_in(&records(numbers.map(|number| (number, json!({})))), context.clone()).await.unwrap();
    }
    let lines = log.lines();
    let names = ["message", "function", "stage", "outcome", "records", "sequence", "error"];
    let ended: Vec<_> = lines.iter().map(|line| members(line, names)).collect();
    let start = ["records", "links.api", "mine"].map(|text| json!(text));
    let all = |more: [Value; 4]| -> [Value; 7] { [&start[..], &more[..]].concat().try_into().unwrap() };
    let expected = [
        all([json!("done"), json!(2), Value::Null, Value::Null]),
        all([json!("failed"), json!(2), json!("1"), json!("it cannot be counted")]),
    ];
    assert_eq!(ended, expected);
    let trace = "6f1c9f1e52aa4c0e9d0a3f1f4ce1b9a7".to_owned();
    assert!(lines.iter().all(|line| line["trace_id"] == trace), "{lines:?}");
    assert_eq!(seen.traces(), vec![Some(trace); 4]);
}

#[tokio::test]
async fn records_for_which_the_time_does_not_suffice_come_again_and_are_no_error() {
    let seen = Numbers::default();
    let function = Instance::from_function(Function::stream(&Instance::runtime(), seen.clone()));
    let mut context = Context::default();
    // None is begun within the last three seconds.
    context.deadline = u64::try_from(Clock::system().now().as_millisecond()).unwrap() + 2_000;
    let log = Log::start();
    let answer = function.invoke_in(&records([3, 4].map(|number| (number, json!({})))), context).await.unwrap();
    assert_eq!(failures(&answer), ["3"]);
    assert!(seen.traces().is_empty(), "none was begun");
    let [line] = log.lines().try_into().unwrap();
    let expected = [json!("INFO"), json!("stopped"), json!("3"), Value::Null];
    assert_eq!(members(&line, ["level", "outcome", "sequence", "error"]), expected);
}

#[tokio::test]
async fn an_event_that_was_published_has_a_line_with_the_trace_of_what_caused_it() {
    let relay = Instance::with(&platform::SERVICE, "platform.relay", Clock::system(), |environment| {
        environment.with("STAGE", "mine")
    })
    .await;
    let (tenant, now, random) = (Tenant::new().await.id, Clock::system().now(), Random::system());
    let data = LinkCreated { link_id: "link_1".into(), slug: "slug".into(), target: "https://example.com/".into() };
    let trace: TraceContext = TRACEPARENT.parse().unwrap();
    let event = trace.scope(async { Event::new(tenant, "link_1", data, now, &random) }).await;
    let outbox = event.outbox().unwrap();
    let log = Log::start();
    relay.invoke(&records([(1, json!({"outbox": {"S": outbox.as_s().unwrap()}}))])).await.unwrap();
    let [line] = log.saying("event").try_into().unwrap();
    let expected = ["platform.relay", "mine", "link.created", TRACE];
    assert_eq!(members(&line, ["function", "stage", "kind", "trace_id"]), expected);
    assert_eq!(line["event_id"], event.id.to_string());
}

#[tokio::test]
async fn one_search_for_a_trace_finds_the_request_the_message_and_the_attempt_of_its_job() {
    let (tenant, queue) = (Tenant::new().await, Queue::new().await);
    // Its messages do not reach the stack's own worker.
    let api = Instance::with(&jobs::SERVICE, "jobs.api", Clock::system(), |environment| {
        environment.with("NORMAL_QUEUE_URL", &queue.url)
    })
    .await;
    let worker = Instance::of(&jobs::SERVICE, "jobs.worker").await;
    let log = Log::start();
    let bearer = format!("Bearer {}", tenant.api_key);
    let headers = [("authorization", bearer.as_str()), ("traceparent", TRACEPARENT)];
    let job = json!({"type": "sleep", "payload": {"seconds": "in-the-payload"}});
    api.http("POST", "/v2/jobs", &headers, Some(&job)).await.problem(422, "validation");
    let made = api.http("POST", "/v2/jobs", &headers, Some(&json!({"type": "noop"}))).await.expect(201).json();
    let messages = queue.await_messages(1).await;
    worker
        .invoke(&with_trace(received_event(&messages), [Some(attribute(&messages[0], "traceparent"))]))
        .await
        .unwrap();

    let found: Vec<_> = log.lines().into_iter().filter(|line| line["trace_id"] == TRACE).collect();
    let functions: Vec<_> = found.iter().map(|line| members(line, ["message", "function"])).collect();
    let [request, attempt, message] = [["request", "jobs.api"], ["attempt", "jobs.worker"], ["message", "jobs.worker"]];
    assert_eq!(functions, [request, request, attempt, message], "{}", log.text());
    assert_eq!(
        members(&found[2], ["job_id", "outcome", "kind"]),
        [made["id"].clone(), json!("succeeded"), json!("noop")]
    );
    assert_eq!(members(&found[2], ["tenant", "attempt"]), [json!(tenant.id.to_string()), json!(1)]);
    assert!(!log.text().contains("in-the-payload"));
}
