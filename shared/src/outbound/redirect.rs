//! Where a redirect leads, and what goes along: the rules of the Fetch Standard
//! (<https://fetch.spec.whatwg.org/#http-redirect-fetch>), and stricter ones for what leaves the origin.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use super::Settings;
use super::error::{OutboundError, UrlFault};
use super::target::{self, Target};

/// What may be said to an origin that the caller did not name. Any other header may be a secret, whatever its name.
const HARMLESS: [HeaderName; 3] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// What describes a body, and goes with it.
const OF_BODY: [HeaderName; 4] =
    [header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_LOCATION, header::CONTENT_TYPE];

/// One exchange in a chain of redirects.
#[derive(Clone)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Hop {
    /// The hop that a response asks for, or none when the response is the last: it is no redirect, does not say where
    /// to, or would have the body sent on to another origin.
    pub(super) fn next(
        &self,
        status: StatusCode,
        answered: &HeaderMap,
        https_only: bool,
        settings: Settings,
    ) -> Result<Option<Self>, OutboundError> {
        let becomes_get = match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::SEE_OTHER => ![Method::GET, Method::HEAD].contains(&self.method),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return Ok(None),
        };
        let Some(location) = answered.get(header::LOCATION) else { return Ok(None) };
        let not_a_url = OutboundError::InvalidUrl(UrlFault::NotAUrl);
        let location = location.to_str().map_err(|_| not_a_url.clone())?;
        let url = self.target.url.join(location).map_err(|_| not_a_url)?;
        let target = target::check(url.as_str(), https_only, settings)?;

        let mut next = Self { target, ..self.clone() };
        if becomes_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            for name in OF_BODY {
                next.headers.remove(name);
            }
        }
        if next.target.url.origin() != self.target.url.origin() {
            if !next.body.is_empty() {
                return Ok(None);
            }
            next.headers = HARMLESS
                .into_iter()
                .filter_map(|name| next.headers.get(&name).cloned().map(|value| (name, value)))
                .collect();
        }
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::super::address::AddressClass;
    use super::*;

    const SETTINGS: Settings = Settings { allow_loopback: false };

    fn hop(method: Method) -> Hop {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "x-api-key", "content-type", "accept", "user-agent"] {
            headers.insert(name, HeaderValue::from_static("value"));
        }
        let target = target::check("https://a.example/one", false, SETTINGS).unwrap();
        Hop { method, target, headers, body: Bytes::from_static(b"body") }
    }

    fn next(from: &Hop, status: u16, location: &'static str) -> Result<Option<Hop>, OutboundError> {
        let answered = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(location))]);
        from.next(StatusCode::from_u16(status).unwrap(), &answered, false, SETTINGS)
    }

    #[test]
    fn the_method_and_the_body_follow_the_fetch_standard() {
        for (method, status, expected) in [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::POST, 303, Method::GET),
            (Method::PUT, 303, Method::GET),
            (Method::PUT, 301, Method::PUT),
            (Method::DELETE, 302, Method::DELETE),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
            (Method::HEAD, 303, Method::HEAD),
            (Method::GET, 302, Method::GET),
        ] {
            let to = next(&hop(method.clone()), status, "/two?x#y").unwrap().unwrap();
            assert_eq!(to.method, expected, "{method} {status}");
            assert_eq!(to.target.url.as_str(), "https://a.example/two?x");
            let keeps_body = expected == method;
            assert_eq!(to.body.is_empty(), !keeps_body, "{method} {status}");
            assert_eq!(to.headers.contains_key("content-type"), keeps_body, "{method} {status}");
            assert!(to.headers.contains_key("authorization"), "{method} {status}");
        }
    }

    #[test]
    fn no_secret_leaves_the_origin() {
        for location in [
            "https://b.example/",
            "//b.example/",
            "http://a.example/",
            "https://a.example:444/",
            "https://x.a.example/",
        ] {
            let to = next(&hop(Method::POST), 302, location).unwrap().unwrap();
            let names: Vec<_> = to.headers.keys().map(HeaderName::as_str).collect();
            assert_eq!(names, ["accept", "user-agent"], "{location}");
            assert!(to.body.is_empty());
            // The body would have to go along: the redirect is the response.
            assert!(next(&hop(Method::POST), 307, location).unwrap().is_none(), "{location}");
        }
        let same = next(&hop(Method::GET), 302, "https://a.example:443/two").unwrap().unwrap();
        assert!(same.headers.contains_key("authorization"));
    }

    #[test]
    fn a_redirect_is_held_to_the_rules_of_a_url() {
        for (location, code) in [
            ("http://127.0.0.1/", "forbidden_address"),
            ("http://2130706433/", "forbidden_address"),
            ("//169.254.169.254/latest/meta-data/", "forbidden_address"),
            ("file:///etc/passwd", "bad_scheme"),
            ("https://user:password@b.example/", "credentials"),
            ("https://b.example:6379/", "bad_port"),
            ("https://[", "not_a_url"),
        ] {
            assert_eq!(next(&hop(Method::GET), 302, location).err().unwrap().code(), code, "{location}");
        }
        let answered = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static("http://b.example/"))]);
        let refused = hop(Method::GET).next(StatusCode::FOUND, &answered, true, SETTINGS);
        assert_eq!(refused.err().unwrap(), OutboundError::InvalidUrl(UrlFault::NotHttps));
        let refused = next(&hop(Method::GET), 302, "https://10.0.0.1/").err().unwrap();
        assert_eq!(refused, OutboundError::Forbidden(AddressClass::Private));
        assert!(!refused.to_string().contains("10.0"));
    }

    #[test]
    fn what_leads_nowhere_is_the_response() {
        for status in [200, 201, 300, 304, 305, 306, 400] {
            assert!(next(&hop(Method::GET), status, "/two").unwrap().is_none(), "{status}");
        }
        let nowhere = hop(Method::GET).next(StatusCode::FOUND, &HeaderMap::new(), false, SETTINGS);
        assert!(nowhere.unwrap().is_none());
    }
}
