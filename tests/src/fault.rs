//! A faulty network: an HTTP proxy that stands between a function and the AWS endpoint and does what networks and
//! overloaded services do.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use crate::server::{Answered, serve};
use crate::stack;
use crate::tenant::client;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the call arrives: nothing was done.
    LostRequest,
    /// The call is done, and the connection breaks before the answer arrives.
    LostAnswer,
    /// The service refuses because it is overloaded.
    Throttled,
    /// DynamoDB refuses because a transaction holds the item.
    InTransaction,
    /// The service fails.
    ServerError,
    /// Nothing is done, and there is no answer, for as long as the caller waits.
    Silence,
    /// Nothing is done, and the answer is 200 with this body: what only a service in trouble would say.
    Instead(&'static str),
}

/// A call that came by.
#[derive(Clone, Debug)]
struct Call {
    operation: String,
    body: Bytes,
}

type Rule = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

/// The proxy. It lives as long as the test's runtime.
#[derive(Clone)]
pub struct FaultProxy {
    url: String,
    traffic: Arc<Traffic>,
}

/// What decides about calls, and those that came by.
struct Traffic {
    rule: Mutex<Rule>,
    calls: Mutex<Vec<Call>>,
    /// Whether messages arrive at once, however long they are to be delayed.
    without_delays: bool,
    http: reqwest::Client,
}

impl FaultProxy {
    /// A proxy whose `rule` is asked about each call, by its operation (`PutItem`, `SendMessage`, `PublishBatch` …).
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) -> Self {
        Self::with(Box::new(rule), false).await
    }

    /// The same, and messages arrive at once, also those whose answer is lost: for tests that move the time themselves.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn without_delays(rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) -> Self {
        Self::with(Box::new(rule), true).await
    }

    async fn with(rule: Rule, without_delays: bool) -> Self {
        let (rule, calls) = (Mutex::new(rule), Mutex::default());
        let traffic = Arc::new(Traffic { rule, calls, without_delays, http: client() });
        let passing = traffic.clone();
        let address = serve(move |request| {
            let traffic = passing.clone();
            async move { traffic.pass(request).await }
        })
        .await;
        Self { url: format!("http://{address}"), traffic }
    }

    /// A proxy that passes everything on, to see which calls are made.
    pub async fn watching() -> Self {
        Self::start(|_| None).await
    }

    /// Its address: the `AWS_ENDPOINT_URL` of a function under test.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The operations that were called so far, in their order.
    pub fn calls(&self) -> Vec<String> {
        let calls = self.traffic.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().map(|call| call.operation.clone()).collect()
    }

    /// What the calls of `operation` asked for so far, in their order: the bodies of a JSON protocol.
    pub fn requests(&self, operation: &str) -> Vec<serde_json::Value> {
        let calls = self.traffic.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let of_operation = calls.iter().filter(|call| call.operation == operation);
        of_operation.map(|call| serde_json::from_slice(&call.body).unwrap_or_default()).collect()
    }
}

impl Traffic {
    /// Answers a call, or breaks the connection by an error.
    async fn pass(&self, request: hyper::Request<Incoming>) -> Answered {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let operation = operation(&parts.headers, &body);
        let call = Call { operation: operation.clone(), body: body.clone() };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        let body = if self.without_delays && operation == "SendMessage" { without_delay(&body)? } else { body };
        let fault = (self.rule.lock().unwrap_or_else(PoisonError::into_inner))(&operation);
        match fault {
            None => self.forward(parts, body).await,
            Some(Fault::LostRequest) => anyhow::bail!("the request is lost"),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::LostAnswer) => {
                self.forward(parts, body).await?;
                anyhow::bail!("the answer is lost")
            }
            Some(Fault::InTransaction) => refusal(&parts.headers, 400, "TransactionConflictException"),
            Some(Fault::Throttled) => refusal(&parts.headers, 400, "ThrottlingException"),
            Some(Fault::ServerError) => refusal(&parts.headers, 500, "InternalServerError"),
            Some(Fault::Instead(answer)) => Ok(hyper::Response::builder()
                .header("content-type", "application/x-amz-json-1.0")
                .body(Full::new(answer.into()))?),
        }
    }

    async fn forward(&self, mut parts: http::request::Parts, body: Bytes) -> Answered {
        let url = format!("{}{}", stack().dev().aws_endpoint, parts.uri);
        // It may have been changed on its way.
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let answer = self.http.request(parts.method, url).headers(parts.headers).body(body).send().await?;
        let mut response = hyper::Response::builder().status(answer.status());
        for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
            response = response.header(name, value);
        }
        Ok(response.body(Full::new(answer.bytes().await?))?)
    }
}

/// The operation of a call: in a header of the JSON protocols, in the body of the query protocol.
fn operation(headers: &http::HeaderMap, body: &[u8]) -> String {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if let Some((_, operation)) = target.and_then(|target| target.rsplit_once('.')) {
        return operation.to_owned();
    }
    let text = String::from_utf8_lossy(body);
    text.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default().to_owned()
}

/// A message to a queue that says nothing of a delay.
fn without_delay(body: &[u8]) -> serde_json::Result<Bytes> {
    let mut message: serde_json::Value = serde_json::from_slice(body)?;
    if let Some(message) = message.as_object_mut() {
        message.remove("DelaySeconds");
    }
    Ok(serde_json::to_vec(&message)?.into())
}

/// A service's refusal, in the protocol in which it was asked.
fn refusal(asked: &http::HeaderMap, status: u16, code: &str) -> Answered {
    let response = hyper::Response::builder().status(status);
    if asked.contains_key("x-amz-target") {
        let body = format!(r#"{{"__type":"com.amazonaws#{code}","message":"injected"}}"#);
        let response = response.header("content-type", "application/x-amz-json-1.0").header("x-amzn-errortype", code);
        return Ok(response.body(Full::new(body.into()))?);
    }
    let is_query =
        asked.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    if !is_query {
        // S3 has its own words.
        let (status, code) = if status == 400 { (503, "SlowDown") } else { (status, "InternalError") };
        let body = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
        let response = hyper::Response::builder().status(status).header("content-type", "application/xml");
        return Ok(response.body(Full::new(body.into()))?);
    }
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>injected</Message></Error>");
    let body = format!("<ErrorResponse>{error}<RequestId>injected</RequestId></ErrorResponse>");
    Ok(response.header("content-type", "text/xml").body(Full::new(body.into()))?)
}
