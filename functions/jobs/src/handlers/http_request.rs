//! `http.request`: sends one HTTP request as it is told to, not signed. For a job that calls somebody else's API.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use shared::http::FieldError;
use shared::outbound::{Outbound, OutboundError, Request};
use shared::time::Clock;

use super::{Failed, Handler, Work};
use crate::delivery;

/// The most headers.
const MOST_HEADERS: usize = 50;

/// Characters of the answer's body that are kept: at most 8 KB.
const KEPT_BODY: usize = 2 * 1024;

pub(super) struct HttpRequest {
    outbound: Outbound,
    clock: Clock,
}

impl HttpRequest {
    pub(super) const fn new(outbound: Outbound, clock: Clock) -> Self {
        Self { outbound, clock }
    }
}

/// What is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Payload {
    /// The method; without one, `GET`, or `POST` with a body.
    #[serde(default)]
    method: Option<String>,
    /// An https URL.
    url: String,
    /// Headers.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body, as text.
    #[serde(default)]
    body: Option<String>,
}

/// What was answered.
#[derive(Serialize)]
pub(super) struct Answer {
    status: u16,
    /// The beginning of the body, when it is text.
    body: Option<String>,
}

impl Payload {
    fn method(&self) -> Result<Method, FieldError> {
        let default = if self.body.is_some() { "POST" } else { "GET" };
        let method = self.method.as_deref().unwrap_or(default).parse();
        method.map_err(|_| FieldError::new("/method", "invalid", "is no HTTP method"))
    }

    fn headers(&self) -> Result<HeaderMap, FieldError> {
        let wrong = |detail: &str| FieldError::new("/headers", "invalid", detail.to_owned());
        if self.headers.len() > MOST_HEADERS {
            return Err(wrong("there may be at most 50"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|_| wrong("a name is no header's name"))?;
            let value: HeaderValue = value.parse().map_err(|_| wrong("a value is no header's value"))?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    fn request(self) -> Result<Request, FieldError> {
        let (method, headers) = (self.method()?, self.headers()?);
        let mut request = Request::new(method, self.url);
        request.headers = headers;
        request.body = self.body.unwrap_or_default().into();
        Ok(request)
    }
}

impl Handler for HttpRequest {
    const TYPE: &'static str = "http.request";
    type Payload = Payload;
    type Result = Answer;

    fn check(payload: &Payload, outbound: &Outbound) -> Vec<FieldError> {
        let refused = |request: &Request| outbound.check(request).err();
        let url = refused(&Request::new(Method::GET, &payload.url));
        let url = url.map(|error| FieldError::new("/url", error.code(), error.to_string()));
        let method = payload.method().map(|method| match refused(&Request::new(method, &payload.url)) {
            Some(error @ OutboundError::InvalidMethod) => {
                Some(FieldError::new("/method", error.code(), error.to_string()))
            }
            _ => None,
        });
        let headers = payload.headers().map(|headers| {
            let mut request = Request::new(Method::GET, &payload.url);
            request.headers = headers;
            match refused(&request) {
                Some(error @ OutboundError::InvalidHeader(_)) => {
                    Some(FieldError::new("/headers", error.code(), error.to_string()))
                }
                _ => None,
            }
        });
        [method.unwrap_or_else(Some), headers.unwrap_or_else(Some), url].into_iter().flatten().collect()
    }

    async fn run(&self, payload: Payload, work: &Work) -> Result<Answer, Failed> {
        let invalid = |fault: FieldError| {
            Failed::Poison(crate::attempt::Failure::new("payload", format!("{}: {}", fault.pointer, fault.detail)))
        };
        let mut request = payload.request().map_err(invalid)?;
        request.timeout = work.time + delivery::TIMEOUT_MARGIN;
        let response = tokio::select! {
            response = self.outbound.send(request) => response.map_err(|error| delivery::failed(&error))?,
            () = work.stopped() => return Err(Failed::Stopped),
        };
        if !response.status.is_success() {
            return Err(delivery::refused(&response, self.clock.now()));
        }
        let body = std::str::from_utf8(&response.body).ok();
        let body = body.map(|body| body.chars().take(KEPT_BODY).collect()).filter(|body: &String| !body.is_empty());
        Ok(Answer { status: response.status.as_u16(), body })
    }
}
