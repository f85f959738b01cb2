//! A small HTTP client for a stack on this machine: what `tenfold tick` and the tour talk to it with.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A stack that does not answer within this time is taken for gone.
const PATIENCE: Duration = Duration::from_secs(35);

/// How this program calls itself.
const AGENT: &str = concat!("tenfold/", env!("CARGO_PKG_VERSION"));

/// A stack's answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends one request to `http://host:port` + `path`, with `token` as its bearer token and `body` as JSON.
pub(crate) async fn send(
    method: Method,
    base: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> anyhow::Result<Reply> {
    exchange(Request::builder().method(method), base, path, token, body).await
}

/// Asks for `path`, unless it is still at the version that is known; 304 then.
pub(crate) async fn send_if_changed(base: &str, path: &str, token: &str, known: Option<&str>) -> anyhow::Result<Reply> {
    let request = match known {
        Some(version) => Request::builder().header(IF_NONE_MATCH, version),
        None => Request::builder(),
    };
    // The first look is at once: without a version, waiting would be for the end.
    let path = if known.is_some() { path } else { path.split('?').next().unwrap_or(path) };
    exchange(request, base, path, Some(token), None).await
}

async fn exchange(
    request: http::request::Builder,
    base: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> anyhow::Result<Reply> {
    let Some(address) = base.strip_prefix("http://") else { bail!("{base} is not an http:// address") };
    let mut request = request.uri(path).header(HOST, address).header(USER_AGENT, AGENT);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())))?;
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driven = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        driven.abort();
        anyhow::Ok(Reply { status: parts.status, headers: parts.headers, body })
    };
    tokio::time::timeout(PATIENCE, exchange).await.context("no answer in time")?
}
