//! Mail by SMTP (RFC 5321).
//!
//! One connection is kept between mails, across the invocations of a Lambda. lettre's pool is not used: it needs a
//! background task, which a frozen Lambda does not run, and it waits for a connection that died silently.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use url::Url;

use super::{InvalidTransport, SendError};

/// How long the sending of one mail may take, with connecting.
const TIMEOUT: Duration = Duration::from_secs(15);

/// How long a kept connection has to show that it is alive.
const ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// A server, how it is reached, and the connection to it.
pub(super) struct Smtp {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    pub(super) timeout: Duration,
    pub(super) alive_timeout: Duration,
    credentials: Option<Credentials>,
    /// What the client calls itself.
    hello: ClientId,
    /// The connection that the last mail left by.
    idle: Mutex<Option<AsyncSmtpConnection>>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Smtp").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

/// What went wrong, in words that do not come from the server: its own may repeat the recipient's address.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the mail server answered {0}")]
    Answered(u16),
    #[error("the mail server's answer is not one of SMTP")]
    Unreadable,
    #[error("the mail server does not take the address or the mail: {0}")]
    NotSupported(Error),
    #[error("the connection to the mail server failed: {0}")]
    Connection(Error),
    #[error("the mail server did not answer in time")]
    TimedOut,
}

impl Smtp {
    /// Reads an `smtp` or `smtps` URL. `hello` is the domain that the client names itself by.
    pub(super) fn from_url(url: &Url, hello: &str) -> Result<Self, InvalidTransport> {
        let invalid = InvalidTransport::Url;
        let host = url.host_str().ok_or(invalid("has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if !matches!(url.path(), "" | "/") {
            return Err(invalid("has a path"));
        }
        let decode = |text| percent_decode_str(text).decode_utf8().map_err(|_| invalid("is not in UTF-8"));
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err(invalid("has a user without a password or the reverse")),
            (user, Some(password)) => {
                Some(Credentials::new(decode(user)?.into_owned(), decode(password)?.into_owned()))
            }
        };
        let tls = || {
            let parameters = TlsParameters::builder(host.clone()).certificate_store(CertificateStore::WebpkiRoots);
            parameters.build_rustls().map_err(|_| invalid("cannot be used with TLS"))
        };
        let (port, tls) = match url.scheme() {
            "smtps" => (465, Tls::Wrapper(tls()?)),
            _ if is_loopback(&host) => (587, Tls::None),
            _ => (587, Tls::Required(tls()?)),
        };
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            tls,
            timeout: TIMEOUT,
            alive_timeout: ALIVE_TIMEOUT,
            credentials,
            hello: ClientId::Domain(hello.to_owned()),
            idle: Mutex::new(None),
        })
    }

    pub(super) async fn send(&self, envelope: &Envelope, content: &[u8]) -> Result<(), SendError> {
        let sent = tokio::time::timeout(self.timeout, self.transact(envelope, content)).await;
        sent.unwrap_or_else(|_| Err(SendError::Transient(Failure::TimedOut.into())))
    }

    async fn transact(&self, envelope: &Envelope, content: &[u8]) -> Result<(), SendError> {
        // Until the mail is begun a refusal, also one of 5xx, is not about it: wrong credentials are put right, and
        // the mail is sent then.
        let connection = self.connection().await.map_err(|error| SendError::Transient(failure(error).into()));
        let mut connection = connection?;
        let sent = connection.send(envelope, content).await;
        if !connection.has_broken() {
            self.keep(connection);
        }
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() || error.is_client() => Err(SendError::Permanent(failure(error).into())),
            Err(error) => Err(SendError::Transient(failure(error).into())),
        }
    }

    /// The kept connection when it still works, else a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut connection) = idle
            && tokio::time::timeout(self.alive_timeout, connection.test_connected()).await == Ok(true)
        {
            return Ok(connection);
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let server = (self.host.as_str(), self.port);
        let implicit = if let Tls::Wrapper(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &self.hello, implicit, None).await?;
        if let Tls::Required(parameters) = &self.tls {
            connection.starttls(parameters.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

fn failure(error: Error) -> Failure {
    if let Some(code) = error.status() {
        Failure::Answered(code.into())
    } else if error.is_response() {
        Failure::Unreadable
    } else if error.is_client() {
        Failure::NotSupported(error)
    } else {
        Failure::Connection(error)
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
