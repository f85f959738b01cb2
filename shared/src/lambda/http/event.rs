//! Reading a request out of API Gateway's event, payload format 2.0
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
//!
//! Only what a request is made of is read, most of it without a copy. `lambda_http` reads each event twice and whole,
//! takes a path with `..` in it for another than the one that was routed, and panics at some paths and hosts.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::COOKIE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use crate::BoxError;
use crate::http::{ClientAddress, ClientNetwork};

/// What stands for itself neither in a path nor in a query (RFC 3986, section 3.3 and 3.4).
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');
/// The gateway has decoded the path, so a `%` in it is one and a `?` begins no query.
const PATH: &AsciiSet = &QUERY.add(b'%').add(b'?').add(b'`').add(b'{').add(b'}');

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    raw_path: Cow<'a, str>,
    // Emulators of Lambda write null for what is not there.
    #[serde(borrow, default)]
    raw_query_string: Option<Text<'a>>,
    #[serde(default, deserialize_with = "headers")]
    headers: HeaderMap,
    #[serde(borrow, default)]
    cookies: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    request_context: RequestContext<'a>,
    #[serde(borrow, default)]
    body: Option<Text<'a>>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct RequestContext<'a> {
    #[serde(borrow)]
    http: Http<'a>,
}

#[derive(Deserialize)]
struct Http<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default, rename = "sourceIp")]
    source_ip: Option<Text<'a>>,
}

/// A text that is copied only when JSON escapes something in it; serde borrows a bare `Cow` within a field alone.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The request that `event` carries.
pub(super) fn read(event: &str) -> Result<Request<Full<Bytes>>, BoxError> {
    let event: Event = serde_json::from_str(event)?;
    let body = match event.body {
        Some(Text(text)) if event.is_base64_encoded => Bytes::from(STANDARD.decode(text.as_bytes())?),
        Some(Text(text)) => Bytes::from(text.into_owned()),
        None => Bytes::new(),
    };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::from_bytes(event.request_context.http.method.as_bytes())?;
    let query = event.raw_query_string.as_ref().map_or("", |Text(query)| query);
    *request.uri_mut() = uri(&event.raw_path, query)?;
    *request.headers_mut() = event.headers;
    let address = event.request_context.http.source_ip.and_then(|Text(text)| text.parse().ok());
    request.extensions_mut().insert(ClientNetwork::of(address));
    request.extensions_mut().insert(ClientAddress::of(address));
    let cookies = event.cookies.unwrap_or_default();
    if !cookies.is_empty() {
        let cookies: Vec<_> = cookies.iter().map(|Text(cookie)| cookie.as_ref()).collect();
        request.headers_mut().insert(COOKIE, HeaderValue::from_bytes(cookies.join("; ").as_bytes())?);
    }
    Ok(request)
}

fn uri(path: &str, query: &str) -> Result<Uri, http::uri::InvalidUri> {
    let mut text: String = utf8_percent_encode(path, PATH).collect();
    if !query.is_empty() {
        text.push('?');
        text.extend(utf8_percent_encode(query, QUERY));
    }
    Ok(PathAndQuery::from_maybe_shared(text)?.into())
}

/// The names are in lower case and the values of repeated headers joined by the gateway.
fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderMap, D::Error> {
    struct Headers;

    impl<'de> Visitor<'de> for Headers {
        type Value = HeaderMap;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("headers")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<HeaderMap, M::Error> {
            let mut headers = HeaderMap::with_capacity(24);
            while let Some((Text(name), Text(value))) = map.next_entry()? {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(M::Error::custom)?;
                headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).map_err(M::Error::custom)?);
            }
            Ok(headers)
        }
    }

    deserializer.deserialize_map(Headers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// After the sample of the developer guide.
    fn event(changes: &Value) -> String {
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/my/path",
            "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
            "cookies": ["cookie1=a", "cookie2=b"],
            "headers": {"header1": "value1", "header2": "value1,value2", "content-type": "text/plain"},
            "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "api-id",
                "authentication": null,
                "domainName": "id.execute-api.us-east-1.amazonaws.com",
                "http": {
                    "method": "POST",
                    "path": "/my/path",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "agent",
                },
                "requestId": "id",
                "stage": "$default",
                "timeEpoch": 1_583_348_638_390_i64,
            },
            "body": "Hello\n\"Lambda\" é",
            "pathParameters": {"parameter1": "value1"},
            "isBase64Encoded": false,
        });
        event.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        event.to_string()
    }

    async fn body(request: Request<Full<Bytes>>) -> Bytes {
        request.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn the_sample_is_read() {
        let request = read(&event(&json!({}))).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "/my/path?parameter1=value1&parameter1=value2&parameter2=value");
        let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap();
        assert_eq!((header("header1"), header("header2")), ("value1", "value1,value2"));
        assert_eq!(header("cookie"), "cookie1=a; cookie2=b");
        assert_eq!(body(request).await, "Hello\n\"Lambda\" é");
    }

    #[tokio::test]
    async fn a_body_may_be_absent_null_or_in_base64() {
        assert_eq!(body(read(&event(&json!({"body": null}))).unwrap()).await, "");
        let encoded = json!({"body": "iVBORw==", "isBase64Encoded": true});
        assert_eq!(body(read(&event(&encoded)).unwrap()).await, b"\x89PNG".as_slice());
        assert!(read(&event(&json!({"body": "?", "isBase64Encoded": true}))).is_err());
        let least = r#"{"rawPath": "/", "requestContext": {"http": {"method": "GET"}}}"#;
        assert_eq!(body(read(least).unwrap()).await, "");
    }

    #[test]
    fn the_path_is_the_one_that_was_routed() {
        for (raw, path) in [
            ("/l/a b", "/l/a%20b"),
            ("/l/ü", "/l/%C3%BC"),
            ("/l/100%", "/l/100%25"),
            ("/l/a?b#c", "/l/a%3Fb%23c"),
            ("/a/../b/./c//", "/a/../b/./c//"),
            ("/l/a+", "/l/a+"),
        ] {
            let request = read(&event(&json!({"rawPath": raw, "rawQueryString": ""}))).unwrap();
            assert_eq!(request.uri().path(), path);
            assert_eq!(request.uri().query(), None);
        }
    }

    #[test]
    fn a_query_stays_encoded_as_it_came() {
        let request = read(&event(&json!({"rawQueryString": "a=%20&b=+&c=\"<>é"}))).unwrap();
        assert_eq!(request.uri().query(), Some("a=%20&b=+&c=%22%3C%3E%C3%A9"));
    }

    #[test]
    fn what_is_not_there_may_be_null() {
        let request = read(&event(&json!({"rawQueryString": null, "cookies": null, "body": null}))).unwrap();
        assert_eq!((request.uri().query(), request.headers().get(COOKIE)), (None, None));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for changes in [
            json!({"rawPath": null}),
            json!({"requestContext": {}}),
            json!({"headers": {"a b": "c"}}),
            json!({"headers": {"a": "b\nc"}}),
        ] {
            assert!(read(&event(&changes)).is_err(), "{changes}");
        }
        assert!(read("[]").is_err());
    }

    proptest! {
        #[test]
        fn any_path_and_query_are_read_and_decode_to_themselves(path in "/\\PC{0,40}", query in "\\PC{0,40}") {
            let request = read(&event(&json!({"rawPath": path, "rawQueryString": query}))).unwrap();
            let decoded = percent_encoding::percent_decode_str(request.uri().path()).decode_utf8().unwrap();
            prop_assert_eq!(decoded, path);
        }
    }
}
