//! Reading the request out of API Gateway's event.
//!
//! The event (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>)
//! looks like this, as far as it matters here:
//! ```json
//! {"version": "2.0", "rawPath": "/sandbox/items", "headers": {"content-type": "application/json"},
//!  "requestContext": {"requestId": "…", "http": {"method": "POST"}}, "body": "{\"name\": …", "isBase64Encoded": false}
//! ```

use lambda_runtime::Error;
use serde_json::Value;

use crate::base64;

/// A request for the sandbox.
#[derive(Debug)]
pub struct Request {
    /// The method, in capitals as HTTP has it; `GET` when `head`.
    pub method: String,
    /// A HEAD: what a GET would answer, without the body (RFC 9110, section 9.3.2).
    pub head: bool,
    /// The path, still percent-encoded.
    pub path: String,
    /// The client's `X-Request-Id`, or API Gateway's.
    pub id: String,
    /// The `Content-Type` without its parameters, in lower case; empty when there is none.
    pub media_type: String,
    /// The body. `None` when it was said to be base64 and is not.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// Takes the event apart. `invocation_id` stands in where neither the client nor API Gateway gave an id.
    ///
    /// Texts are taken out of the event and not copied: its largest, the body, would be copied for nothing.
    pub fn read(mut event: Value, invocation_id: &str) -> Result<Self, Error> {
        let (Some(method), Some(path)) = (
            event.pointer_mut("/requestContext/http/method").and_then(take_text),
            event.get_mut("rawPath").and_then(take_text),
        ) else {
            return Err("the event is not of an HTTP API with payload format 2.0".into());
        };
        // API Gateway writes the names in lower case and joins repeated headers with commas.
        let header = |name: &str| event.get("headers").and_then(|headers| headers.get(name)).and_then(Value::as_str);
        let media_type = header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let id = header("x-request-id")
            .filter(|id| is_request_id(id))
            .or_else(|| event.pointer("/requestContext/requestId").and_then(Value::as_str))
            .unwrap_or(invocation_id)
            .to_owned();
        let encoded = event.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
        let body = event.get_mut("body").and_then(take_text).unwrap_or_default().into_bytes();
        let body = if encoded { base64::decode(&body) } else { Some(body) };
        let head = method == "HEAD";
        Ok(Self { method: if head { "GET".to_owned() } else { method }, head, path, id, media_type, body })
    }
}

fn take_text(value: &mut Value) -> Option<String> {
    match value.take() {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// 1 to 128 printable ASCII characters: it goes back into a header and into logs.
fn is_request_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}
