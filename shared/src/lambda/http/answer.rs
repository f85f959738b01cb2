//! Writing an answer as API Gateway takes it, payload format 2.0: a body that is no UTF-8 goes in base64, repeated headers
//! are joined by commas (RFC 9110, section 5.3), and `Set-Cookie`, which cannot be, goes in `cookies`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::SET_COOKIE;
use http::response::Parts;
use http::{HeaderMap, HeaderName};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::value::{RawValue, to_raw_value};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    status_code: u16,
    #[serde(serialize_with = "headers")]
    headers: &'a HeaderMap,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<Cow<'a, str>>,
    body: Cow<'a, str>,
    is_base64_encoded: bool,
}

/// The event of an answer with this body.
pub(super) fn write(parts: &Parts, body: &[u8]) -> serde_json::Result<Box<RawValue>> {
    let text = std::str::from_utf8(body);
    to_raw_value(&Answer {
        status_code: parts.status.as_u16(),
        headers: &parts.headers,
        cookies: values(&parts.headers, &SET_COOKIE).collect(),
        is_base64_encoded: text.is_err(),
        body: text.map_or_else(|_| STANDARD.encode(body).into(), Cow::from),
    })
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = Cow<'a, str>> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()))
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn headers<S: Serializer>(headers: &&HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for name in headers.keys().filter(|name| *name != SET_COOKIE) {
        let mut values = values(headers, name);
        let first = values.next().unwrap_or_default();
        let joined = values.fold(first, |joined, value| joined + ", " + value);
        map.serialize_entry(name.as_str(), &joined)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::Response;
    use serde_json::{Value, json};

    use super::*;

    fn event(response: http::response::Builder, body: &[u8]) -> Value {
        let (parts, ()): (_, ()) = response.body(()).unwrap().into_parts();
        serde_json::from_str(write(&parts, body).unwrap().get()).unwrap()
    }

    #[test]
    fn repeated_headers_are_joined_and_cookies_stay_apart() {
        let response = Response::builder()
            .status(201)
            .header("vary", "accept")
            .header("vary", "origin")
            .header("set-cookie", "a=b; Path=/")
            .header("set-cookie", "c=d")
            .header("location", "/v1/links/1");
        assert_eq!(
            event(response, "{\"a\": \"é\"}".as_bytes()),
            json!({
                "statusCode": 201,
                "headers": {"vary": "accept, origin", "location": "/v1/links/1"},
                "cookies": ["a=b; Path=/", "c=d"],
                "body": "{\"a\": \"é\"}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn a_body_that_is_no_text_is_encoded() {
        let png = event(Response::builder().header("content-type", "image/png"), b"\x89PNG");
        assert_eq!((&png["body"], &png["isBase64Encoded"]), (&json!("iVBORw=="), &json!(true)));
        let empty = event(Response::builder().status(204), b"");
        assert_eq!((&empty["body"], &empty["isBase64Encoded"]), (&json!(""), &json!(false)));
    }
}
