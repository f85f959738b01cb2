//! Where a browser is sent with the result: to one of the addresses that the installation lists, and nowhere else.

use std::sync::Arc;

use http::HeaderValue;
use shared::http::Problem;
use url::{Host, Url};

/// The addresses, as they are listed. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RedirectUris(Arc<[String]>);

/// An address of the list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("APP_REDIRECT_URIS: {uri} {fault}")]
pub struct InvalidRedirectUri {
    uri: String,
    fault: &'static str,
}

impl RedirectUris {
    /// Reads a list that is separated by commas. Each entry is an `https` URL without a fragment; where the stage allows
    /// `loopback`, also one of this machine over plain HTTP.
    pub fn parse(list: &str, loopback: bool) -> Result<Self, InvalidRedirectUri> {
        let uris: Vec<_> = list.split(',').map(str::trim).filter(|uri| !uri.is_empty()).map(str::to_owned).collect();
        for uri in &uris {
            let refused = |fault| Err(InvalidRedirectUri { uri: uri.clone(), fault });
            let Ok(url) = Url::parse(uri) else { return refused("is not an absolute URL") };
            if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
                return refused("must not have a fragment or a user name");
            }
            match url.scheme() {
                "https" => {}
                "http" if loopback && is_loopback(&url) => {}
                _ => return refused("must begin with https://"),
            }
        }
        Ok(Self(uris.into()))
    }

    /// Whether `uri` is listed: the same text, character by character (RFC 9700, section 4.1.3).
    pub fn allow(&self, uri: &str) -> bool {
        self.0.iter().any(|listed| listed == uri)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The `Location` that brings a value to a listed address, in its query.
pub fn location(uri: &str, name: &str, value: &str) -> Result<HeaderValue, Problem> {
    let mut url = Url::parse(uri).map_err(Problem::internal)?;
    url.query_pairs_mut().append_pair(name, value);
    HeaderValue::try_from(String::from(url)).map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_the_listed_text_or_refused() {
        let listed = RedirectUris::parse(" https://app.example/done, https://app.example/two?x=1 ", false).unwrap();
        assert!(listed.allow("https://app.example/done") && listed.allow("https://app.example/two?x=1"));
        for near in [
            "",
            "https://app.example/done/",
            "https://app.example/done?",
            "https://app.example/DONE",
            "https://APP.example/done",
            "https://app.example:443/done",
            "https://app.example/two",
            "https://app.example.evil.example/done",
        ] {
            assert!(!listed.allow(near), "{near}");
        }
        assert!(!RedirectUris::parse("", false).unwrap().allow(""));
    }

    #[test]
    fn a_list_has_https_and_on_this_machine_http() {
        for bad in [
            "app.example",
            "javascript:alert(1)",
            "http://app.example/",
            "https://app.example/#x",
            "https://a@b.example/",
        ] {
            assert!(RedirectUris::parse(bad, true).is_err(), "{bad}");
        }
        for local in ["http://127.0.0.1:3000/done", "http://localhost:3000/", "http://[::1]/"] {
            assert!(RedirectUris::parse(local, true).is_ok() && RedirectUris::parse(local, false).is_err(), "{local}");
        }
        assert!(RedirectUris::parse("http://localhost.evil.example/", true).is_err());
    }

    #[test]
    fn a_value_goes_into_the_query() {
        assert_eq!(location("https://app.example/done", "code", "a&b").unwrap(), "https://app.example/done?code=a%26b");
        assert_eq!(location("https://app.example/?x=1", "error", "e").unwrap(), "https://app.example/?x=1&error=e");
    }
}
