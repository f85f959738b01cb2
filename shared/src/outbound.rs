//! The one HTTP client for URLs that others choose: safe against server-side request forgery.
//!
//! Identity providers, callbacks and webhooks are asked through it. A tenant's URL must not reach what only this
//! deployment can reach, so each connection goes to an address of the public internet (see [`AddressClass`]) that was
//! judged after the lookup, and to no other; each redirect is held to the same rules; proxies of the environment,
//! cookies, referrers and decompression do not exist here. Time, headers, body and redirects are bounded.
//!
//! It speaks HTTP/1.1 over TLS 1.2 and 1.3 with ring and Mozilla's roots. Connections are kept for [`IDLE_TIMEOUT`] and
//! shared by all who ask the same origin; those that are older are dropped before use. The server may have closed one
//! meanwhile, above all while a Lambda was frozen. A request of which nothing was written then goes out on another
//! connection, whatever its method. When something was written and no response came, a safe method (RFC 9110, section
//! 9.2.1) is tried once more; any other is [`OutboundError::ConnectionLost`], as the server may have acted, and only
//! the caller knows whether asking again can do harm.
//!
//! ```no_run
//! # async fn example() -> Result<(), shared::outbound::OutboundError> {
//! use shared::outbound::{Outbound, Request, Settings};
//!
//! let outbound = Outbound::new(Settings::default());
//! let response = outbound.send(Request::new(http::Method::GET, "https://issuer.example/jwks.json")).await?;
//! # Ok(())
//! # }
//! ```

mod address;
mod connector;
mod error;
mod message;
mod redirect;
mod target;

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::rustls::RootCertStore;

pub use address::AddressClass;
pub use connector::Resolver;
pub use error::{OutboundError, Part, Phase, UrlFault};
pub use message::{Request, Response};
pub use target::has_dns_lengths;

use connector::Connector;
use redirect::Hop;
use target::Target;

use crate::BoxFuture;
use crate::config::{ConfigError, Environment};

/// The longest URL in bytes, as it is given.
pub const LONGEST_URL: usize = 8 * 1024;

/// The longest time that a request may ask for.
pub const LONGEST_TIMEOUT: Duration = Duration::from_mins(5);

/// The largest body of a response in bytes that a request may ask for.
pub const LARGEST_RESPONSE: usize = 16 * 1024 * 1024;

/// The largest status line and headers of a response in bytes.
pub const LARGEST_HEADERS: usize = 64 * 1024;

/// The most redirects that a request may ask for.
pub const MOST_REDIRECTS: u8 = 10;

/// How long a connection is kept without use. Shorter than servers keep theirs, so that few are found closed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How many connections without use are kept for one origin.
const MOST_IDLE: usize = 4;

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("tenfold/", env!("CARGO_PKG_VERSION")));

/// What a deployment allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Allow this machine itself as a host, over plain HTTP too: for the local stage only.
    pub allow_loopback: bool,
}

impl Settings {
    /// Reads `OUTBOUND_ALLOW_LOOPBACK` (`true` or `false`, default `false`).
    pub fn read(environment: &Environment) -> Result<Self, ConfigError> {
        let mut reader = environment.reader();
        let allow_loopback = reader.optional("OUTBOUND_ALLOW_LOOPBACK").unwrap_or_default();
        reader.finish()?;
        Ok(Self { allow_loopback })
    }
}

/// The client. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Outbound {
    client: Client<Connector, Full<Bytes>>,
    settings: Settings,
}

impl Outbound {
    /// A client that looks names up as the machine does. Nothing is connected yet.
    pub fn new(settings: Settings) -> Self {
        Self::with_resolver(settings, connector::system_resolver())
    }

    /// A client that looks names up by `resolver`. Its answers are judged like any other's.
    pub fn with_resolver(settings: Settings, resolver: Resolver) -> Self {
        Self::build(settings, resolver, connector::web_roots())
    }

    #[allow(clippy::expect_used)] // at start, and only without any cipher suite
    #[allow(clippy::disallowed_methods)] // the one HTTP client
    fn build(settings: Settings, resolver: Resolver, roots: RootCertStore) -> Self {
        let connector = Connector::new(settings, resolver, roots).expect("ring has cipher suites for TLS 1.2 and 1.3");
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_buf_size(LARGEST_HEADERS)
            .build(connector);
        Self { client, settings }
    }

    /// Refuses what can be refused without the network, as [`Outbound::send`] will: for the moment when a tenant sets
    /// a URL. What its name will lead to is judged at each connection.
    pub fn check(&self, request: &Request) -> Result<(), OutboundError> {
        self.target(request).map(|_| ())
    }

    fn target(&self, request: &Request) -> Result<Target, OutboundError> {
        request.check()?;
        target::check(&request.url, request.https_only, self.settings)
    }

    /// Sends a request and reads the response.
    pub fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, OutboundError>> {
        Box::pin(async move {
            let started = Instant::now();
            let deadline = started + request.timeout.min(LONGEST_TIMEOUT);
            let limit = request.response_limit.min(LARGEST_RESPONSE);
            let mut redirects = request.redirects.min(MOST_REDIRECTS);

            let target = self.target(&request)?;
            let Request { method, mut headers, body, https_only, .. } = request;
            headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
            let mut hop = Hop { method, target, headers, body };
            let follows = redirects > 0;
            let answer = loop {
                let answer = self.exchange(&hop, deadline).await?;
                if !follows {
                    break answer;
                }
                match hop.next(answer.status(), answer.headers(), https_only, self.settings)? {
                    None => break answer,
                    Some(next) => hop = next,
                }
                redirects = redirects.checked_sub(1).ok_or(OutboundError::TooManyRedirects)?;
            };
            let (head, body) = answer.into_parts();
            let body = read(body, limit, deadline).await?;
            Ok(Response {
                status: head.status,
                headers: head.headers,
                body,
                final_url: hop.target.url,
                took: started.elapsed(),
            })
        })
    }

    /// Sends one hop and waits for the headers of its response; once more when a connection is lost and that is safe.
    async fn exchange(&self, hop: &Hop, deadline: Instant) -> Result<http::Response<Incoming>, OutboundError> {
        match self.attempt(hop, deadline).await {
            Err(OutboundError::ConnectionLost) if hop.method.is_safe() => self.attempt(hop, deadline).await,
            answer => answer,
        }
    }

    async fn attempt(&self, hop: &Hop, deadline: Instant) -> Result<http::Response<Incoming>, OutboundError> {
        let mut request = http::Request::new(Full::new(hop.body.clone()));
        *request.method_mut() = hop.method.clone();
        *request.uri_mut() = hop.target.uri.clone();
        *request.headers_mut() = hop.headers.clone();
        let connection = capture_connection(&mut request);
        match timeout_at(deadline, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| OutboundError::of_client(&error)),
            Err(_) if connection.connection_metadata().is_some() => Err(OutboundError::Timeout(Phase::Headers)),
            Err(_) => Err(OutboundError::Timeout(Phase::Connect)),
        }
    }
}

/// Reads a body up to the limit. Dropping the rest closes the connection.
async fn read(body: Incoming, limit: usize, deadline: Instant) -> Result<Bytes, OutboundError> {
    match timeout_at(deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err(OutboundError::of_exchange(&*error)),
        Err(_) => Err(OutboundError::Timeout(Phase::Body)),
    }
}

#[cfg(test)]
#[path = "outbound/tls_tests.rs"]
mod tls_tests;
