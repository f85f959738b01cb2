//! Where a client has the browser sent with its codes: addresses that are registered, and compared as texts (RFC 9700,
//! section 4.1.3).
//!
//! | registered | matches |
//! |---|---|
//! | `https://app.example/callback` | the same text |
//! | `http://127.0.0.1/callback`, `http://[::1]/callback` | the same text with any port: a program on the user's machine takes one that is free (RFC 8252, section 7.3) |
//! | `com.example.app:/callback` | the same text: a scheme with a dot, as its owner has the domain (RFC 8252, section 7.1) |
//!
//! `localhost` is no address of a loopback interface for sure (RFC 8252, section 8.3), and other schemes run code or are
//! anybody's.

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use shared::refusal::Refusal;
use url::form_urlencoded::Serializer;
use url::{Host, Url};
use utoipa::ToSchema;

/// The most addresses of a client.
const MOST: usize = 10;
/// The longest address, in bytes.
const LONGEST: usize = 1024;
/// What addresses of this machine begin with.
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// An address that a client registers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedirectUri(String);

impl RedirectUri {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request that names `asked` means this one.
    pub fn matches(&self, asked: &str) -> bool {
        let same_but_for_the_port = || Some(without_port(&self.0)? == without_port(asked)?);
        self.0 == asked || same_but_for_the_port().unwrap_or(false)
    }
}

/// An address of this machine without its port: the host, and what follows.
fn without_port(uri: &str) -> Option<(&'static str, &str)> {
    let (host, rest) = LOOPBACK.iter().find_map(|host| Some((*host, uri.strip_prefix(host)?)))?;
    let path = match rest.strip_prefix(':') {
        Some(port) => {
            let path = port.trim_start_matches(|character: char| character.is_ascii_digit());
            let digits = port.strip_suffix(path)?;
            digits.parse::<u16>().ok().filter(|port| *port > 0)?;
            path
        }
        None => rest,
    };
    (path.is_empty() || path.starts_with(['/', '?'])).then_some((host, path))
}

/// What a person is shown of an address that a request named: the host, or the scheme of a program of the user's.
pub fn shown_host(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) if url.scheme() == "https" => url.host().map_or_else(String::new, |host| host.to_string()),
        Ok(url) if url.scheme() == "http" => "a program on this computer".to_owned(),
        Ok(url) => url.scheme().to_owned(),
        Err(_) => String::new(),
    }
}

/// Whether only who has the domain receives what is sent there, so that the address says who the client is (RFC 8252,
/// section 8.6).
pub fn proves_the_client(uri: &str) -> bool {
    uri.starts_with("https://")
}

/// The address with the members of an answer in its query (RFC 6749, section 4.1.2). What it has stays as it is.
pub fn answer(uri: &str, members: &[(&str, &str)]) -> String {
    let separator = match uri.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let members = Serializer::new(String::new()).extend_pairs(members).finish();
    format!("{uri}{separator}{members}")
}

/// The same for a `Location`.
pub fn location(answer: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    HeaderValue::from_str(answer)
}

impl TryFrom<String> for RedirectUri {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let refused = |detail: &'static str| Err(Refusal::new("invalid_redirect_uri", detail));
        if !(1..=LONGEST).contains(&text.len()) {
            return refused("must have 1 to 1024 bytes");
        }
        // A parser of URLs drops or rewrites some of these, and the text is what is sent and compared.
        if !text.bytes().all(|byte| byte.is_ascii_graphic())
            || text.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}'])
        {
            return refused("must be a URI of ASCII characters, others percent-encoded");
        }
        let Ok(url) = Url::parse(&text) else { return refused("must be an absolute URI") };
        if text.contains('#') {
            return refused("must not have a fragment");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("must not have a user name");
        }
        let good = match url.scheme() {
            "https" => {
                text.starts_with("https://")
                    && matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)))
            }
            "http" => without_port(&text).is_some(),
            scheme => scheme.contains('.') && !text.contains("//"),
        };
        if good {
            Ok(Self(text))
        } else {
            refused("must begin with https://, http://127.0.0.1, http://[::1], or a scheme with a dot and one slash")
        }
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.0
    }
}

/// 1 to 10 addresses, each once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Vec<RedirectUri>", into = "Vec<RedirectUri>")]
#[schema(value_type = Vec<RedirectUri>, example = json!(["https://app.example.com/callback"]))]
pub struct RedirectUris(Vec<RedirectUri>);

impl TryFrom<Vec<RedirectUri>> for RedirectUris {
    type Error = Refusal;

    fn try_from(mut uris: Vec<RedirectUri>) -> Result<Self, Refusal> {
        uris.sort_unstable();
        uris.dedup();
        if (1..=MOST).contains(&uris.len()) {
            Ok(Self(uris))
        } else {
            Err(Refusal::new("invalid_length", format!("must have 1 to {MOST} entries")))
        }
    }
}

impl From<RedirectUris> for Vec<RedirectUri> {
    fn from(uris: RedirectUris) -> Self {
        uris.0
    }
}

impl utoipa::PartialSchema for RedirectUri {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .max_length(Some(LONGEST))
            .examples(["https://app.example.com/callback"])
            .into()
    }
}
impl ToSchema for RedirectUri {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn uri(text: &str) -> Result<RedirectUri, Refusal> {
        text.to_owned().try_into()
    }

    #[test]
    fn an_address_is_https_of_this_machine_or_of_a_program() {
        for good in [
            "https://app.example",
            "https://app.example/callback?x=1",
            "https://app.example:8443/%C3%A9",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:3000",
            "http://[::1]:9/a?b",
            "com.example.app:/oauth2redirect",
        ] {
            assert!(uri(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/callback",
            "app.example/callback",
            "http://app.example/",
            "http://localhost/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.1/",
            "http://2130706433/",
            "http://[::2]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "https://a@app.example/",
            "https://app.example/#",
            "https://app.example/#x",
            "https:app.example",
            "https:\\\\app.example",
            "https://app.example/a b",
            "https://app.example/\n",
            "https://äpp.example/",
            "HTTPS://app.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/callback",
            "com.example.app://callback",
            "file:///etc/passwd",
            &format!("https://app.example/{}", "x".repeat(LONGEST)),
        ] {
            assert_eq!(uri(bad).map_err(|refusal| refusal.code), Err("invalid_redirect_uri"), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_compared_as_texts() {
        let registered = uri("https://app.example/callback").unwrap();
        assert!(registered.matches("https://app.example/callback"));
        for near in [
            "",
            "https://app.example/callback/",
            "https://app.example/callback?",
            "https://app.example/callback?x=1",
            "https://app.example/Callback",
            "https://APP.example/callback",
            "https://app.example:443/callback",
            "https://app.example/a/../callback",
            "https://app.example.evil.example/callback",
            "http://app.example/callback",
        ] {
            assert!(!registered.matches(near), "{near}");
        }
        let native = uri("com.example.app:/callback").unwrap();
        assert!(native.matches("com.example.app:/callback") && !native.matches("com.example.app:/callback/x"));
    }

    #[test]
    fn an_address_of_this_machine_has_any_port_and_nothing_else_that_differs() {
        for registered in ["http://127.0.0.1/callback", "http://127.0.0.1:8080/callback"] {
            let registered = uri(registered).unwrap();
            for same in ["http://127.0.0.1/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback"]
            {
                assert!(registered.matches(same), "{same}");
            }
            for other in [
                "http://127.0.0.1:8080/",
                "http://127.0.0.1:8080/callback/",
                "http://127.0.0.1:65536/callback",
                "http://127.0.0.1:0/callback",
                "http://127.0.0.1:+80/callback",
                "http://127.0.0.1:8080@evil.example/callback",
                "http://127.0.0.1.evil.example/callback",
                "http://[::1]:8080/callback",
                "http://localhost:8080/callback",
                "https://127.0.0.1:8080/callback",
            ] {
                assert!(!registered.matches(other), "{other}");
            }
        }
        // A port of a server elsewhere is its address.
        assert!(!uri("https://app.example/x").unwrap().matches("https://app.example:8443/x"));
    }

    #[test]
    fn an_answer_goes_into_the_query() {
        let members = [("code", "a&b"), ("state", "é #")];
        let query = "code=a%26b&state=%C3%A9+%23";
        for (uri, answered) in [
            ("https://app.example/cb", format!("https://app.example/cb?{query}")),
            ("https://app.example/cb?", format!("https://app.example/cb?{query}")),
            ("https://app.example/cb?x=1", format!("https://app.example/cb?x=1&{query}")),
            ("com.example.app:/cb", format!("com.example.app:/cb?{query}")),
        ] {
            assert_eq!(answer(uri, &members), answered);
        }
    }

    #[test]
    fn a_person_is_shown_where_it_leads() {
        assert_eq!(shown_host("https://app.example:8443/cb"), "app.example");
        assert_eq!(shown_host("http://127.0.0.1:9/cb"), "a program on this computer");
        assert_eq!(shown_host("com.example.app:/cb"), "com.example.app");
    }
}
