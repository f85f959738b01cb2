//! The URL under which clients reach the deployment: what its answers name other addresses by.

use http::HeaderMap;
use http::header::HOST;
use http::uri::Authority;
use url::Url;

use super::{Problem, ProblemType};

/// `PUBLIC_URL`, which a service reads. Without one it is the host that each request names.
#[derive(Clone, Debug, Default)]
pub struct PublicUrl(Option<Url>);

impl PublicUrl {
    /// The one that is configured, if one is.
    pub const fn new(configured: Option<Url>) -> Self {
        Self(configured)
    }

    /// The URL as the client of a request with these headers sees it. Its path is of no meaning: join an absolute one.
    /// Refused as 400 where none is configured and `Host` is no host.
    pub fn of(&self, headers: &HeaderMap) -> Result<Url, Problem> {
        let url = self.0.clone().or_else(|| asked(headers));
        url.ok_or_else(|| Problem::new(ProblemType::BadRequest, "the Host header is not a host"))
    }
}

/// The URL by the headers of a request. They may be the client's own words: what is no host and port is none.
fn asked(headers: &HeaderMap) -> Option<Url> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = if header("x-forwarded-proto") == Some("http") { "http" } else { "https" };
    let host: Authority = header(HOST.as_str())?.parse().ok()?;
    // An authority may have a user name.
    (!host.as_str().contains('@')).then(|| Url::parse(&format!("{scheme}://{host}/")).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(scheme: &str, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-proto", scheme.parse().unwrap());
        headers.insert(HOST, host.parse().unwrap());
        headers
    }

    #[test]
    fn without_a_configured_one_it_is_the_host_of_the_request_and_nothing_else() {
        let of = |scheme: &str, host: &str| PublicUrl::default().of(&headers(scheme, host)).map(String::from);
        assert_eq!(of("https", "short.example").unwrap(), "https://short.example/");
        assert_eq!(of("http", "127.0.0.1:9000").unwrap(), "http://127.0.0.1:9000/");
        assert_eq!(of("javascript", "short.example").unwrap(), "https://short.example/");
        for bad in ["", "[", "a b", "user@evil.example", "evil.example/x", "evil.example?x", "evil.example#x"] {
            assert_eq!(of("https", bad).unwrap_err().kind(), ProblemType::BadRequest, "{bad}");
        }
        assert!(PublicUrl::default().of(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_configured_one_is_it_whatever_a_request_names() {
        let configured = PublicUrl::new(Some(Url::parse("https://api.example.com").unwrap()));
        for headers in [HeaderMap::new(), headers("http", "evil.example")] {
            assert_eq!(configured.of(&headers).unwrap().as_str(), "https://api.example.com/");
        }
    }
}
