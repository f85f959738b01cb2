//! A function of a test's own: built from the stack's environment, with another clock or another network, and invoked
//! by the events that Lambda would bring.

use std::fmt::Display;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lambda_runtime::Context;
use serde_json::{Value, json};
use shared::BoxError;
use shared::config::Environment;
use shared::lambda::{Function, Runtime, Service};
use shared::time::Clock;

use crate::conformance::{Asked, check};
use crate::{Answer, stack};

/// A function's instance that only its test invokes.
#[derive(Debug)]
pub struct Instance(Function);

impl Instance {
    /// The function called `handler`, by the stack's environment.
    pub async fn of(service: &'static Service, handler: &str) -> Self {
        Self::with(service, handler, Clock::system(), |environment| environment).await
    }

    /// The same with another clock and a changed environment.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(
        service: &'static Service,
        handler: &str,
        clock: Clock,
        change: impl FnOnce(Environment) -> Environment,
    ) -> Self {
        let environment = change(stack().environment(handler).expect("the template has the function"));
        let function = service
            .build_with(handler, |name| Ok(Runtime::new(name, environment)?.with_clock(clock)))
            .await
            .expect("the function starts");
        Self(function)
    }

    /// A function that the test itself has built, from [`Instance::runtime`].
    pub const fn from_function(function: Function) -> Self {
        Self(function)
    }

    /// What a function of the test's own is built from: the clients and variables of `links.api`.
    ///
    /// # Panics
    /// When the stack has no such function.
    pub fn runtime() -> Runtime {
        let environment = stack().environment("links.api").expect("the template has the function");
        Runtime::new("links.api", environment).expect("its environment is complete")
    }

    /// Invokes it with an event, and lets it do what it deferred.
    pub async fn invoke(&self, event: &Value) -> Result<Value, BoxError> {
        self.invoke_in(event, Context::default()).await
    }

    /// The same with a context of the test's making.
    pub async fn invoke_in(&self, event: &Value, context: Context) -> Result<Value, BoxError> {
        let answer = self.0.invoke(serde_json::value::to_raw_value(event)?, context).await?;
        self.0.after_response().await;
        Ok(serde_json::from_str(answer.get())?)
    }

    /// Invokes it with an event and kills it before it does what it deferred.
    pub async fn invoke_and_kill(self, event: &Value) -> Result<Value, BoxError> {
        let answer = self.0.invoke(serde_json::value::to_raw_value(event)?, Context::default()).await?;
        Ok(serde_json::from_str(answer.get())?)
    }

    /// Invokes it with an HTTP request.
    ///
    /// # Panics
    /// When it answers with something else than a response.
    pub async fn http(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let body = body.map(ToString::to_string);
        self.http_in(&http_event(method, path, headers, body.as_deref()), Context::default()).await
    }

    /// The same with an event and a context of the test's making. A body in base64 is left as it is.
    ///
    /// # Panics
    /// When it answers with something else than a response.
    pub async fn http_in(&self, event: &Value, context: Context) -> Answer {
        let answer = self.answer_in(event, context).await;
        self.0.after_response().await;
        answer
    }

    /// The same up to the answer: what is deferred waits for the next invocation of another kind.
    ///
    /// # Panics
    /// When it answers with something else than a response.
    pub async fn answer_in(&self, event: &Value, context: Context) -> Answer {
        let raw = serde_json::value::to_raw_value(event).expect("an event is JSON");
        let answer = self.0.invoke(raw, context).await.expect("it answers");
        let answer: Value = serde_json::from_str(answer.get()).expect("an answer is JSON");
        let mut read = HeaderMap::new();
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            let name: HeaderName = name.parse().expect("a header name");
            read.insert(name, HeaderValue::from_str(value.as_str().unwrap_or_default()).expect("a header value"));
        }
        let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
        let answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: read,
            body: answer["body"].as_str().unwrap_or_default().to_owned().into(),
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (method, path) = (text(&event["requestContext"]["http"]["method"]), text(&event["rawPath"]));
        check(&Asked { method: &method, path: &path, body: text(&event["body"]).as_bytes() }, &answer);
        answer
    }
}

/// API Gateway's event (payload format 2.0) of a request; a body is JSON.
pub fn http_event(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Value {
    let (raw_path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut all = json!({"host": "short.example", "x-forwarded-proto": "https"});
    if body.is_some() {
        all["content-type"] = json!("application/json");
    }
    for (name, value) in headers {
        all[*name] = json!(value);
    }
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": raw_path,
        "rawQueryString": query,
        "headers": all,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "local",
            "domainName": "short.example",
            "http": {"method": method, "path": raw_path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "test",
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": 0
        },
        "body": body,
        "isBase64Encoded": false
    })
}

/// The event that Lambda makes of a queue's messages: each an id and a body.
pub fn queue_event(messages: impl IntoIterator<Item = (impl Display, String)>) -> Value {
    let record = |(id, body)| {
        json!({
            "messageId": format!("{id}"), "receiptHandle": format!("receipt-{id}"), "body": body,
            "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:test", "awsRegion": "us-east-1",
        })
    };
    json!({"Records": messages.into_iter().map(record).collect::<Vec<_>>()})
}
