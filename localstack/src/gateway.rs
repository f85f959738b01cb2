//! What API Gateway's HTTP API is when deployed: it takes requests on loopback, finds the function by the template's
//! routes, hands it a real event, and sends its answer, with the limits and refusals of AWS
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).

mod answer;
mod control;
mod event;
mod routes;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use shared::time::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use answer::Answer;
pub(crate) use control::{Control, PREFIX as CONTROL_PREFIX};
pub(crate) use routes::Routes;

use crate::instances::{Instance, InvokeError};
use crate::{request_id, terminal};

/// An HTTP API waits this long for a function.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);
/// An HTTP API takes bodies up to this size; what is over Lambda's own limit is refused later.
const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// The request line and the headers together, in bytes.
const HEAD_LIMIT: usize = 10_240;
/// A client gets this long to send its headers.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests that are under way when the stack stops get this long.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// The HTTP API.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) routes: Routes<Arc<Instance>>,
    pub(crate) control: Control,
    pub(crate) port: u16,
}

impl Gateway {
    /// Serves `listener` until `stop` turns true, then lets the requests that are under way end.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let connections = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => self.connection(stream, peer, &connections),
                // Out of file descriptors, for example: it passes.
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(LAST_REQUESTS, connections.shutdown()).await;
    }

    fn connection(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, connections: &GracefulShutdown) {
        let _ = stream.set_nodelay(true);
        let gateway = self.clone();
        let service = service_fn(move |request| {
            let gateway = gateway.clone();
            async move { Ok::<_, Infallible>(gateway.answer(request, peer.ip()).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let started = Instant::now();
        let request_id = request_id::fresh();
        let (parts, body) = request.into_parts();
        let mut answer = self.route(&parts, body, peer, &request_id).await;
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            answer.headers_mut().insert("apigw-requestid", value);
        }
        let milliseconds = started.elapsed().as_secs_f64() * 1_000.0;
        let status = answer.status().as_u16();
        terminal::note(&format!("{status} {:<6} {} {milliseconds:.1} ms", parts.method.as_str(), parts.uri.path()));
        answer
    }

    async fn route(&self, parts: &Parts, body: Incoming, peer: IpAddr, request_id: &str) -> Answer {
        let Some(host) = host(parts) else { return answer::failure(StatusCode::BAD_REQUEST, "Bad Request") };
        if head_size(parts) > HEAD_LIMIT {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return answer::failure(status, "Request Header Fields Too Large");
        }
        if parts.uri.path().starts_with(control::PREFIX) {
            return self.control.call(parts).await;
        }
        let Some(matched) = self.routes.find(&parts.method, parts.uri.path()) else {
            return answer::failure(StatusCode::NOT_FOUND, "Not Found");
        };
        let body = match collect(parts, body).await {
            Ok(body) => body,
            Err(refusal) => return *refusal,
        };
        let at = Clock::system().now();
        let arrival = event::Arrival { peer, port: self.port, at, request_id, host };
        match event::of(parts, &body, &matched, arrival) {
            Ok(event) => invoke(matched.target, event).await,
            Err(error) => {
                tracing::error!(%error, "an event could not be written");
                answer::failure(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
            }
        }
    }
}

async fn invoke(instance: &Instance, event: Box<serde_json::value::RawValue>) -> Answer {
    match tokio::time::timeout(INTEGRATION_TIMEOUT, instance.invoke(event)).await {
        Ok(Ok(raw)) => answer::of(&raw),
        Ok(Err(InvokeError::EventTooLarge(_))) => {
            answer::failure(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        }
        Ok(Err(error)) => {
            instance.report(&error);
            answer::failure(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
        Err(_) => answer::failure(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    }
}

/// The one `Host`, when it is a host with an optional port.
fn host(parts: &Parts) -> Option<&str> {
    let mut sent = parts.headers.get_all(HOST).iter();
    let (Some(host), None) = (sent.next(), sent.next()) else { return None };
    let host = host.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    let plain = authority.host().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    let port = host.rsplit_once(']').map_or(host, |(_, rest)| rest).split_once(':').map(|(_, port)| port);
    let port_is_a_number = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (plain && !authority.host().is_empty() && !host.contains('@') && port_is_a_number).then_some(host)
}

fn head_size(parts: &Parts) -> usize {
    let line = parts.method.as_str().len() + parts.uri.to_string().len();
    parts.headers.iter().fold(line, |size, (name, value)| size + name.as_str().len() + value.len())
}

/// The whole body, or the refusal of one that is too large or that did not arrive.
async fn collect(parts: &Parts, body: Incoming) -> Result<Bytes, Box<Answer>> {
    let too_large = || Box::new(answer::failure(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"));
    let declared = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > BODY_LIMIT) {
        return Err(too_large());
    }
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Box::new(answer::failure(StatusCode::BAD_REQUEST, "Bad Request"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    mod serving;

    use super::*;

    fn checked(hosts: &[&str]) -> Option<String> {
        let mut request = Request::get("/");
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        host(&parts).map(str::to_owned)
    }

    #[test]
    fn a_request_names_one_valid_host() {
        for good in ["localhost", "127.0.0.1:9000", "[::1]:9000", "a-b.example.com"] {
            assert_eq!(checked(&[good]).as_deref(), Some(good));
        }
        for bad in ["", "a b", "a/b", "user@host", "host:port", "host:99999", "a,b", "<x>", "host:"] {
            assert_eq!(checked(&[bad]), None, "{bad:?}");
        }
        assert_eq!(checked(&[]), None);
        assert_eq!(checked(&["a", "a"]), None);
    }
}
