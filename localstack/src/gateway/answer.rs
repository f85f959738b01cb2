//! A function's answer as API Gateway sends it to the client (payload format 2.0): a structured answer, or any JSON,
//! which is sent as it is with 200.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// An answer in one piece.
pub(super) type Answer = Response<Full<Bytes>>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Structured {
    status_code: u16,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

/// What a failure of the gateway's own looks like.
pub(super) fn failure(status: StatusCode, message: &str) -> Answer {
    json(status, &serde_json::json!({ "message": message }))
}

/// `value` as JSON.
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The function's answer; one that is malformed is 500, as on AWS.
pub(super) fn of(raw: &RawValue) -> Answer {
    well_formed(raw).unwrap_or_else(|| failure(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))
}

fn well_formed(raw: &RawValue) -> Option<Answer> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    if value.get("statusCode").is_none() {
        let body = match value {
            Value::String(text) => text,
            _ => raw.get().to_owned(),
        };
        let mut answer = Response::new(Full::from(body));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Some(answer);
    }
    let structured: Structured = serde_json::from_value(value).ok()?;
    let body = structured.body.unwrap_or_default();
    let body = match structured.is_base64_encoded {
        Some(true) => Bytes::from(BASE64_STANDARD.decode(body).ok()?),
        _ => Bytes::from(body),
    };
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = StatusCode::from_u16(structured.status_code).ok().filter(|status| status.as_u16() >= 200)?;
    let headers = answer.headers_mut();
    for (name, value) in structured.headers.unwrap_or_default() {
        let name: HeaderName = name.parse().ok()?;
        // The length and the connection are the gateway's own.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING && name != CONNECTION {
            headers.insert(name, header_value(&value)?);
        }
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/plain;charset=UTF-8"));
    for cookie in structured.cookies.unwrap_or_default() {
        headers.append(SET_COOKIE, cookie.parse().ok()?);
    }
    Some(answer)
}

fn header_value(value: &Value) -> Option<HeaderValue> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(_) | Value::Bool(_) => value.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;

    async fn answer(value: Value) -> (u16, BTreeMap<String, String>, Vec<u8>) {
        let answer = of(&serde_json::value::to_raw_value(&value).unwrap());
        let (parts, body) = answer.into_parts();
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &parts.headers {
            let values = headers.entry(name.to_string()).or_default();
            values.push_str(value.to_str().unwrap());
            values.push('|');
        }
        (parts.status.as_u16(), headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_structured_answer_is_sent_as_it_says() {
        let (status, headers, body) = answer(json!({
            "statusCode": 201,
            "headers": {"Content-Type": "image/png", "X-N": 3, "Content-Length": "999"},
            "cookies": ["a=b", "c=d; HttpOnly"],
            "body": "iVBORw==",
            "isBase64Encoded": true,
        }))
        .await;
        assert_eq!((status, body.as_slice()), (201, b"\x89PNG".as_slice()));
        let expected = [("content-type", "image/png|"), ("set-cookie", "a=b|c=d; HttpOnly|"), ("x-n", "3|")];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[tokio::test]
    async fn an_answer_without_a_status_is_the_body() {
        let (status, headers, body) = answer(json!({"a": 1})).await;
        assert_eq!((status, body.as_slice()), (200, br#"{"a":1}"#.as_slice()));
        assert_eq!(headers.get("content-type").unwrap(), "application/json|");
        assert_eq!(answer(json!("Hello")).await.2, b"Hello");
    }

    #[tokio::test]
    async fn a_malformed_answer_is_an_internal_error() {
        for value in [
            json!({"statusCode": "abc"}),
            json!({"statusCode": 42}),
            json!({"statusCode": 200, "body": {"a": 1}}),
            json!({"statusCode": 200, "body": "?", "isBase64Encoded": true}),
            json!({"statusCode": 200, "headers": {"bad name": "x"}}),
            json!({"statusCode": 200, "headers": {"x": "a\nb"}}),
        ] {
            let (status, _, body) = answer(value.clone()).await;
            assert_eq!(
                (status, body.as_slice()),
                (500, br#"{"message":"Internal Server Error"}"#.as_slice()),
                "{value}"
            );
        }
    }
}
