//! The way to a host: lookup, judgement of each address, TCP to the very address that was judged, TLS.
//!
//! There is one lookup for each connection and its answer is what is connected to, so that a name that changes its mind
//! (DNS rebinding) changes nothing. A literal address takes the same way.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tower::Service;

use super::error::{OutboundError, Phase, UrlFault};
use super::{Settings, target};
use crate::BoxFuture;

/// Looks up a host's addresses.
pub type Resolver = Arc<dyn Fn(&str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// For lookup, TCP and TLS together, within the request's own time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How many of a host's addresses are tried, in the resolver's order.
const MOST_ADDRESSES: usize = 4;

/// The machine's resolver.
pub(super) fn system_resolver() -> Resolver {
    Arc::new(|host| {
        let host = host.to_owned();
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((host, 0)).await?;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    })
}

/// Mozilla's roots, as they stand in the binary: the machine's are not asked, and need not be parsed at each start.
pub(super) fn web_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

#[derive(Clone)]
pub(super) struct Connector {
    settings: Settings,
    resolver: Resolver,
    tls: TlsConnector,
}

impl Connector {
    pub(super) fn new(settings: Settings, resolver: Resolver, roots: RootCertStore) -> Result<Self, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { settings, resolver, tls: TlsConnector::from(Arc::new(config)) })
    }

    async fn connect(&self, uri: &Uri) -> Result<MaybeHttpsStream<TokioIo<TcpStream>>, OutboundError> {
        let not_a_url = OutboundError::InvalidUrl(UrlFault::NotAUrl);
        let host = uri.host().ok_or_else(|| not_a_url.clone())?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });

        let stream = TokioIo::new(open(&self.addresses(host).await?, port).await?);
        if !is_https {
            return Ok(MaybeHttpsStream::Http(stream));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| not_a_url)?;
        let handshake = self.tls.connect(name, TokioIo::new(stream)).await;
        let stream = handshake.map_err(|error| OutboundError::Tls(error.to_string()))?;
        Ok(MaybeHttpsStream::Https(TokioIo::new(stream)))
    }

    /// The addresses of a host that may be connected to: at least one.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, OutboundError> {
        let found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => (self.resolver)(host).await.map_err(|error| OutboundError::Resolve(error.to_string()))?,
        };
        let mut allowed = Vec::new();
        let mut refusal = OutboundError::Resolve("the name has no address".to_owned());
        for address in found {
            match target::judge(address, self.settings) {
                Ok(()) => allowed.push(address),
                Err(forbidden) => refusal = forbidden,
            }
        }
        allowed.truncate(MOST_ADDRESSES);
        if allowed.is_empty() { Err(refusal) } else { Ok(allowed) }
    }
}

/// Connects to the first address that takes it. The addresses share the time, so that a dead one does not use it up.
async fn open(addresses: &[IpAddr], port: u16) -> Result<TcpStream, OutboundError> {
    let share = CONNECT_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut failure = OutboundError::Timeout(Phase::Connect);
    for address in addresses {
        match timeout(share, TcpStream::connect((*address, port))).await {
            Ok(Ok(stream)) => {
                // Requests are written at once and whole; without it a small one may wait. Failing here costs only time.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = OutboundError::Connect(error.kind()),
            Err(_) => failure = OutboundError::Timeout(Phase::Connect),
        }
    }
    Err(failure)
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = OutboundError;
    type Future = BoxFuture<'static, Result<Self::Response, OutboundError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), OutboundError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            // The client may finish a connection for the pool after its request is done: it needs a bound of its own.
            let connected = timeout(CONNECT_TIMEOUT, connector.connect(&uri)).await;
            connected.unwrap_or(Err(OutboundError::Timeout(Phase::Connect)))
        })
    }
}
