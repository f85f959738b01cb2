//! A request as API Gateway hands it to a function: payload format 2.0
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE};
use http::request::Parts;
use http::{HeaderMap, Version};
use serde::Serialize;
use shared::time::Timestamp;

use super::routes::{Matched, decoded};
use crate::template::ACCOUNT;

/// The name that the API has in its own events.
const API: &str = "local";

/// What is known of a request beside the request itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival<'a> {
    /// The connection's other end.
    pub(super) peer: IpAddr,
    /// The port it came to.
    pub(super) port: u16,
    /// When.
    pub(super) at: Timestamp,
    /// The request's id, also in the answer's `apigw-requestid`.
    pub(super) request_id: &'a str,
    /// The checked `Host`.
    pub(super) host: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    source_ip: String,
    user_agent: String,
}

/// The event for one request.
pub(super) fn of<T>(
    parts: &Parts,
    body: &Bytes,
    matched: &Matched<'_, T>,
    arrival: Arrival<'_>,
) -> serde_json::Result<Box<serde_json::value::RawValue>> {
    // An HTTP API hands the path over decoded, and ends it at a `?` that appears by that.
    let path = decoded(parts.uri.path());
    let path = path.split('?').next().unwrap_or_default();
    let domain = arrival.host.rsplit_once(':').map_or(arrival.host, |(name, _)| name);
    let headers = headers(&parts.headers, body, arrival);
    let (body, is_base64_encoded) = payload(&parts.headers, body);
    let event = Event {
        version: "2.0",
        route_key: matched.route_key,
        raw_path: path,
        raw_query_string: parts.uri.query().unwrap_or_default(),
        cookies: cookies(&parts.headers),
        query_string_parameters: query(parts.uri.query().unwrap_or_default()),
        request_context: RequestContext {
            account_id: ACCOUNT,
            api_id: API,
            domain_name: domain,
            domain_prefix: domain.split('.').next().unwrap_or_default(),
            http: Http {
                method: parts.method.as_str(),
                path,
                protocol: if parts.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" },
                source_ip: arrival.peer.to_string(),
                user_agent: headers.get("user-agent").cloned().unwrap_or_default(),
            },
            request_id: arrival.request_id,
            route_key: matched.route_key,
            stage: "$default",
            time: arrival.at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            time_epoch: arrival.at.as_millisecond(),
        },
        headers,
        path_parameters: &matched.path_parameters,
        body,
        is_base64_encoded,
    };
    serde_json::value::to_raw_value(&event)
}

/// Names in lower case, the values of a repeated one joined; what the gateway itself knows is added.
fn headers(sent: &HeaderMap, body: &Bytes, arrival: Arrival<'_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for name in sent.keys().filter(|name| *name != COOKIE) {
        let values: Vec<_> = sent.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        headers.insert(name.as_str().to_owned(), values.join(","));
    }
    let peer = arrival.peer.to_string();
    let forwarded = match headers.get("x-forwarded-for") {
        Some(earlier) => format!("{earlier}, {peer}"),
        None => peer,
    };
    let own = [
        ("host", arrival.host.to_owned()),
        ("content-length", body.len().to_string()),
        ("x-forwarded-for", forwarded),
        ("x-forwarded-port", arrival.port.to_string()),
        ("x-forwarded-proto", "http".to_owned()),
    ];
    headers.extend(own.map(|(name, value)| (name.to_owned(), value)));
    headers
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let sent = headers.get_all(COOKIE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    sent.flat_map(|line| line.split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>())
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

fn query(raw: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(raw.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

/// The body as text where its type says that it is one, else in Base64.
fn payload(headers: &HeaderMap, body: &Bytes) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    if !headers.contains_key(CONTENT_ENCODING)
        && is_text(headers)
        && let Ok(text) = std::str::from_utf8(body)
    {
        return (Some(text.to_owned()), false);
    }
    (Some(BASE64_STANDARD.encode(body)), true)
}

fn is_text(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return true };
    let content_type = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || matches!(essence, "application/json" | "application/xml" | "application/javascript")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
    use http::Request;
    use serde_json::{Value, json};

    use super::*;

    fn event(request: http::request::Builder, body: &'static [u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let parameters = BTreeMap::from([("id".to_owned(), "1".to_owned())]);
        let matched = Matched { target: &(), route_key: "POST /my/{id}", path_parameters: parameters };
        let arrival = Arrival {
            peer: IpAddr::from([1, 2, 3, 4]),
            port: 9000,
            at: "2020-03-12T19:03:58.390Z".parse().unwrap(),
            request_id: "id",
            host: "id.execute-api.us-east-1.amazonaws.com",
        };
        let raw = of(&parts, &Bytes::from_static(body), &matched, arrival).unwrap();
        // It must be what the functions' own library takes.
        let _: ApiGatewayV2httpRequest = serde_json::from_str(raw.get()).unwrap();
        serde_json::from_str(raw.get()).unwrap()
    }

    /// After the sample event of the developer guide.
    #[test]
    fn an_event_is_like_the_sample_of_aws() {
        let request = Request::post("/my/1?parameter1=value1&parameter1=value2&parameter2=a%20b")
            .header("Cookie", "cookie1=x; cookie2=y")
            .header("Header1", "value1")
            .header("Header2", "value1")
            .header("Header2", "value2")
            .header("User-Agent", "agent")
            .header("Content-Type", "application/json; charset=utf-8");
        let expected = json!({
            "version": "2.0",
            "routeKey": "POST /my/{id}",
            "rawPath": "/my/1",
            "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=a%20b",
            "cookies": ["cookie1=x", "cookie2=y"],
            "headers": {
                "header1": "value1",
                "header2": "value1,value2",
                "user-agent": "agent",
                "content-type": "application/json; charset=utf-8",
                "content-length": "11",
                "host": "id.execute-api.us-east-1.amazonaws.com",
                "x-forwarded-for": "1.2.3.4",
                "x-forwarded-port": "9000",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "a b"},
            "requestContext": {
                "accountId": ACCOUNT,
                "apiId": "local",
                "domainName": "id.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "id",
                "http": {
                    "method": "POST",
                    "path": "/my/1",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "1.2.3.4",
                    "userAgent": "agent",
                },
                "requestId": "id",
                "routeKey": "POST /my/{id}",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_584_039_838_390_i64,
            },
            "pathParameters": {"id": "1"},
            "body": "{\"a\": \"é\"}",
            "isBase64Encoded": false,
        });
        assert_eq!(event(request, "{\"a\": \"é\"}".as_bytes()), expected);
    }

    #[test]
    fn a_body_that_is_no_text_is_encoded() {
        for (kind, body, encoded) in [
            ("image/png", b"\x89PNG".as_slice(), true),
            ("application/x-www-form-urlencoded", b"a=b", true),
            ("application/merge-patch+json", b"{}", false),
            ("text/plain", b"\xff", true),
        ] {
            let event = event(Request::post("/").header("content-type", kind), body);
            assert_eq!(event["isBase64Encoded"], json!(encoded), "{kind}");
            if encoded {
                assert_eq!(event["body"], json!(BASE64_STANDARD.encode(body)));
            }
        }
        let empty = event(Request::post("/"), b"");
        assert!(empty.get("body").is_none() && empty.get("cookies").is_none());
    }

    #[test]
    fn the_path_is_decoded_and_the_query_is_not() {
        let event = event(Request::get("/l/a%20b%3Fc?x=%3F"), b"");
        assert_eq!(event["rawPath"], json!("/l/a b"));
        assert_eq!(event["rawQueryString"], json!("x=%3F"));
    }

    #[test]
    fn the_forwarded_addresses_are_kept() {
        let event = event(Request::get("/").header("x-forwarded-for", "9.9.9.9"), b"");
        assert_eq!(event["headers"]["x-forwarded-for"], json!("9.9.9.9, 1.2.3.4"));
    }
}
