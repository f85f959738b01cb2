//! Why there is no response. What is said here may be shown to a tenant: no message tells an address that a name led
//! to, nor the URL, whose path or query may be a secret.

use std::error::Error;
use std::{fmt, io};

use http_body_util::LengthLimitError;
use hyper_util::client::legacy;

use super::address::AddressClass;
use crate::telemetry;

/// Why a request was not sent, or got no response that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The URL, or one that a redirect led to, breaks a rule.
    #[error("the URL {0}")]
    InvalidUrl(UrlFault),
    /// The method cannot be sent: `CONNECT` and `TRACE`.
    #[error("the method cannot be used")]
    InvalidMethod,
    /// A header is the client's own to write: those that frame the message or concern the connection, and `Host`.
    #[error("the header {0} cannot be set")]
    InvalidHeader(http::HeaderName),
    /// The host has no address that may be connected to.
    #[error("the host's address is not public ({0})")]
    Forbidden(AddressClass),
    /// The host's name has no address, or could not be looked up.
    #[error("the host could not be resolved: {0}")]
    Resolve(String),
    /// No address of the host took a connection.
    #[error("the host could not be connected to: {0}")]
    Connect(io::ErrorKind),
    /// The TLS handshake failed; most often a certificate that is not valid.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// The time was up.
    #[error("the time was up {0}")]
    Timeout(Phase),
    /// The response is larger than its limit.
    #[error("the response's {0} are larger than the limit")]
    TooLarge(Part),
    /// There were more redirects than the request allows.
    #[error("there were too many redirects")]
    TooManyRedirects,
    /// The host closed the connection before its response was complete. It may have acted on the request.
    #[error("the connection was lost")]
    ConnectionLost,
    /// What came is not HTTP/1.1.
    #[error("the response is not valid: {0}")]
    Protocol(String),
}

impl OutboundError {
    /// A stable code for programs: lower case with underscores.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl(fault) => fault.code(),
            Self::InvalidMethod => "bad_method",
            Self::InvalidHeader(_) => "bad_header",
            Self::Forbidden(_) => "forbidden_address",
            Self::Resolve(_) => "resolve_failed",
            Self::Connect(_) => "connect_failed",
            Self::Tls(_) => "tls_failed",
            Self::Timeout(Phase::Connect) => "connect_timeout",
            Self::Timeout(Phase::Headers) => "headers_timeout",
            Self::Timeout(Phase::Body) => "body_timeout",
            Self::TooLarge(Part::Headers) => "headers_too_large",
            Self::TooLarge(Part::Body) => "body_too_large",
            Self::TooManyRedirects => "too_many_redirects",
            Self::ConnectionLost => "connection_lost",
            Self::Protocol(_) => "protocol_error",
        }
    }

    /// What an error of the HTTP client stands for: what the connector said, or what happened to the exchange.
    pub(super) fn of_client(error: &legacy::Error) -> Self {
        match error.source() {
            Some(source) => source.downcast_ref().cloned().unwrap_or_else(|| Self::of_exchange(source)),
            None => Self::Protocol(error.to_string()),
        }
    }

    /// What an error of an exchange, or of the body that it answered with, stands for.
    pub(super) fn of_exchange(error: &(dyn Error + 'static)) -> Self {
        if error.is::<LengthLimitError>() {
            return Self::TooLarge(Part::Body);
        }
        match error.downcast_ref::<hyper::Error>() {
            Some(error) if error.is_parse_too_large() => Self::TooLarge(Part::Headers),
            Some(error) if is_loss(error) => Self::ConnectionLost,
            _ => Self::Protocol(telemetry::chain(error)),
        }
    }
}

fn is_loss(error: &hyper::Error) -> bool {
    const LOSSES: [io::ErrorKind; 4] = [
        io::ErrorKind::BrokenPipe,
        io::ErrorKind::ConnectionAborted,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::UnexpectedEof,
    ];
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || cause.is_some_and(|cause| LOSSES.contains(&cause.kind()))
}

/// The rule that a URL breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlFault {
    /// Not an absolute URL with a host.
    NotAUrl,
    /// Longer than [`super::LONGEST_URL`].
    TooLong,
    /// Neither `https` nor `http`.
    BadScheme,
    /// `http`, where the request asks for `https`.
    NotHttps,
    /// It has a user name or password.
    Credentials,
    /// A host that no name server knows (RFC 1035, section 2.3.4).
    BadHost,
    /// A port of a service that does not speak HTTP.
    BadPort,
}

impl UrlFault {
    const fn code(self) -> &'static str {
        match self {
            Self::NotAUrl => "not_a_url",
            Self::TooLong => "too_long",
            Self::BadScheme => "bad_scheme",
            Self::NotHttps => "not_https",
            Self::Credentials => "credentials",
            Self::BadHost => "bad_host",
            Self::BadPort => "bad_port",
        }
    }
}

impl fmt::Display for UrlFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAUrl => "is not an absolute URL with a host",
            Self::TooLong => "is too long",
            Self::BadScheme => "must begin with https:// or http://",
            Self::NotHttps => "must begin with https://",
            Self::Credentials => "must not have a user name or password",
            Self::BadHost => "has a host with an empty part, a part of more than 63 characters, or more than 253",
            Self::BadPort => "has a port that is not for HTTP",
        })
    }
}

/// What the request was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A connection: the lookup of the name, TCP and TLS.
    Connect,
    /// The response's headers, after the connection was there.
    Headers,
    /// The rest of the response's body.
    Body,
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "before there was a connection",
            Self::Headers => "before the response's headers were there",
            Self::Body => "before the response's body was there",
        })
    }
}

/// A part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The status line and headers.
    Headers,
    /// The body.
    Body,
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Headers => "headers",
            Self::Body => "contents",
        })
    }
}
