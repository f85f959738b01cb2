//! An HTTP function: API Gateway's event in, the router's answer out, through [`crate::http::conventions`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use bytes::Bytes;
use http::Uri;
use http::header::{HOST, HeaderName};
use http_body_util::{BodyExt as _, Full};
use lambda_http::Adapter;
use lambda_http::request::LambdaRequest;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::value::RawValue;
use tower::ServiceExt as _;
use url::Url;

use super::{Invoke, Runtime};
use crate::http::conventions::{Conventions, Invocation};
use crate::{BoxError, BoxFuture};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

pub(super) struct Http {
    conventions: Arc<Conventions>,
    cold: AtomicBool,
}

impl Http {
    pub(super) fn new(runtime: &Runtime, router: axum::Router) -> Self {
        Self { conventions: Arc::new(Conventions::new(runtime, router)), cold: AtomicBool::new(true) }
    }
}

impl Invoke for Http {
    fn invoke(&self, event: Box<RawValue>, context: Context) -> BoxFuture<'_, Result<Box<RawValue>, BoxError>> {
        Box::pin(async move {
            let mut payload: LambdaRequest = serde_json::from_str(event.get())?;
            mend(&mut payload);
            let invocation = Invocation {
                cold_start: self.cold.swap(false, Ordering::Relaxed),
                remaining: super::remaining(&context),
            };
            let conventions = Arc::clone(&self.conventions);
            let service = tower::service_fn(move |request: lambda_http::Request| {
                let (conventions, invocation) = (Arc::clone(&conventions), invocation.clone());
                async move { buffered(conventions.call(request, invocation).await).await }
            });
            let answer = Adapter::from(service).oneshot(LambdaEvent::new(payload, context)).await?;
            Ok(serde_json::value::to_raw_value(&answer)?)
        })
    }
}

/// Takes out of an event what `lambda_http` panics at where it makes a request of it, and what clients can send: a host
/// or scheme that makes no URL, and a query with characters that have none of their own in it.
fn mend(payload: &mut LambdaRequest) {
    let LambdaRequest::ApiGatewayV2(event) = payload else { return };
    let makes_url = |scheme: &[u8], host: &[u8]| {
        let text = format!("{}://{}/", String::from_utf8_lossy(scheme), String::from_utf8_lossy(host));
        Url::parse(&text).is_ok_and(|url| url.as_str().parse::<Uri>().is_ok())
    };
    if event.headers.get(FORWARDED_PROTO).is_some_and(|scheme| !makes_url(scheme.as_bytes(), b"localhost")) {
        event.headers.remove(FORWARDED_PROTO);
    }
    if event.headers.get(HOST).is_some_and(|host| !makes_url(b"https", host.as_bytes())) {
        event.headers.remove(HOST);
    }
    if let Some(query) = &mut event.raw_query_string
        && format!("/?{query}").parse::<Uri>().is_err()
        && let Ok(mut url) = Url::parse("https://localhost/")
    {
        url.set_query(Some(query));
        *query = url.query().unwrap_or_default().to_owned();
    }
}

/// An answer with its whole body at hand, as a Lambda sends it.
async fn buffered(response: Response) -> Result<http::Response<Full<Bytes>>, axum::Error> {
    let (parts, body) = response.into_parts();
    Ok(http::Response::from_parts(parts, Full::new(body.collect().await?.to_bytes())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(host: &str, scheme: &str, query: &str) -> lambda_http::Request {
        let event = serde_json::json!({
            "version": "2.0", "rawPath": "/v1/links", "rawQueryString": query, "isBase64Encoded": false,
            "headers": {"host": host, "x-forwarded-proto": scheme},
            "requestContext": {
                "domainName": "short.example", "stage": "$default", "timeEpoch": 0,
                "http": {"method": "GET", "path": "/v1/links"},
            },
        });
        let mut payload: LambdaRequest = serde_json::from_value(event).unwrap();
        mend(&mut payload);
        payload.into()
    }

    #[test]
    fn what_clients_can_send_makes_a_request() {
        assert_eq!(request("short.example:8443", "http", "a=b").uri(), "http://short.example:8443/v1/links?a=b");
        for host in ["[", "a b", "", "x:99999", "%00"] {
            let request = request(host, "https", "");
            assert_eq!(request.uri().path(), "/v1/links", "{host}");
            assert_eq!(request.headers().get(HOST), None, "{host}");
        }
        assert_eq!(request("short.example", "ht tp", "").uri(), "https://short.example/v1/links");
        assert_eq!(request("short.example", "https", "a=<b> c").uri().query(), Some("a=%3Cb%3E%20c"));
    }
}
