//! What is asked and what is answered. Neither prints a URL's path, a header's value or a body: any may be a secret.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use url::Url;

use super::error::OutboundError;

/// A request with its bounds. What lies above a bound's own limit is lowered to it.
#[derive(Clone)]
pub struct Request {
    /// Any but `CONNECT` and `TRACE`.
    pub method: Method,
    /// An absolute URL of at most [`super::LONGEST_URL`] bytes.
    pub url: String,
    /// Headers. Those that frame the message or concern the connection, and `Host`, are the client's own to write.
    /// Without a `User-Agent` the project's is sent.
    pub headers: HeaderMap,
    /// The body, sent with its `Content-Length`.
    pub body: Bytes,
    /// For everything: lookup, connection, redirects, the whole body. At most [`super::LONGEST_TIMEOUT`].
    pub timeout: Duration,
    /// The largest body of the response in bytes, as it is on the wire: nothing is decompressed, so that a small body
    /// cannot become a large one. At most [`super::LARGEST_RESPONSE`].
    pub response_limit: usize,
    /// How many redirects are followed, at most [`super::MOST_REDIRECTS`]. With none, a redirect is the response.
    pub redirects: u8,
    /// Refuse `http`, in redirects too. The local stage still allows it to loopback.
    pub https_only: bool,
}

impl Request {
    /// A request without headers and body: 10 seconds, 256 KiB, no redirects, `https` only.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(10),
            response_limit: 256 * 1024,
            redirects: 0,
            https_only: true,
        }
    }

    /// Refuses a method and headers that a caller must not choose: with them a request could be read as two, or reach
    /// another host than its URL names.
    pub(super) fn check(&self) -> Result<(), OutboundError> {
        if [Method::CONNECT, Method::TRACE].contains(&self.method) {
            return Err(OutboundError::InvalidMethod);
        }
        match self.headers.keys().find(|name| is_reserved(name)) {
            Some(name) => Err(OutboundError::InvalidHeader(name.clone())),
            None => Ok(()),
        }
    }
}

fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: [HeaderName; 8] = [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::EXPECT,
    ];
    RESERVED.contains(name) || name == "keep-alive" || name.as_str().starts_with("proxy-")
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("headers", &names(&self.headers))
            .field("body_bytes", &self.body.len())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A response, read whole.
#[derive(Clone)]
pub struct Response {
    /// Any status: one that tells of a failure is no error of this client.
    pub status: StatusCode,
    /// The headers, together with the status line at most [`super::LARGEST_HEADERS`] bytes and 100 lines.
    pub headers: HeaderMap,
    /// The body as it came, in its `Content-Encoding`.
    pub body: Bytes,
    /// The URL that answered, after redirects, without a fragment.
    pub final_url: Url,
    /// From the beginning to the end of the body.
    pub took: Duration,
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &names(&self.headers))
            .field("body_bytes", &self.body.len())
            .field("took", &self.took)
            .finish_non_exhaustive()
    }
}

/// The iterator over the keys would print the values too.
fn names(headers: &HeaderMap) -> Vec<&HeaderName> {
    headers.keys().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_frames_a_message_is_not_the_callers() {
        let mut request = Request::new(Method::POST, "https://example.com/");
        request.headers.insert("authorization", HeaderValue::from_static("Bearer hunter2"));
        assert_eq!(request.check(), Ok(()));
        for name in
            ["host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-authorization", "te"]
        {
            let mut request = request.clone();
            request.headers.insert(name, HeaderValue::from_static("1"));
            assert_eq!(request.check().unwrap_err().code(), "bad_header", "{name}");
        }
        for method in [Method::CONNECT, Method::TRACE] {
            assert_eq!(Request::new(method, "https://example.com/").check(), Err(OutboundError::InvalidMethod));
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut request = Request::new(Method::POST, "https://example.com/hunter2?hunter2");
        request.headers.insert("x-key", HeaderValue::from_static("hunter2"));
        request.body = Bytes::from_static(b"hunter2");
        let printed = format!("{request:?}");
        assert!(printed.contains("x-key") && !printed.contains("hunter2"), "{printed}");
    }
}
