//! The origins whose pages may call the API: `CORS_ORIGINS`.

use std::str::FromStr;

use http::HeaderValue;
use url::{Position, Url};

/// Origins, as browsers send them in `Origin` (RFC 6454, section 6.2): they are compared byte by byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins(Vec<HeaderValue>);

/// An entry that no browser would send. The number is its place, from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} is no origin, such as https://app.example.com")]
pub(super) struct NoOrigin(usize);

impl Origins {
    pub(super) fn contains(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Origins {
    type Err = NoOrigin;

    /// Reads origins separated by commas.
    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let entries = text.split(',').map(str::trim).enumerate().filter(|(_, entry)| !entry.is_empty());
        let read = |(index, entry)| origin(entry).ok_or(NoOrigin(index + 1));
        entries.map(read).collect::<Result<_, _>>().map(Self)
    }
}

/// An origin in the form in which browsers send it: a scheme and a host in small letters, a port other than the
/// scheme's own, and nothing else. Applications have schemes of their own (`capacitor://localhost`). There are no wildcards.
fn origin(text: &str) -> Option<HeaderValue> {
    let url = Url::parse(text).ok()?;
    let names_nobody = url.username().is_empty() && url.password().is_none();
    let is_origin = url.has_host() && names_nobody && !text.contains('*') && url[..Position::BeforePath] == *text;
    is_origin.then(|| HeaderValue::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_list_is_read_with_its_spaces_and_compared_byte_by_byte() {
        let text = "https://app.example, http://localhost:3000,capacitor://localhost,http://[::1]:8080,";
        let origins: Origins = text.parse().unwrap();
        let holds = |text| origins.contains(&HeaderValue::from_static(text));
        for listed in ["https://app.example", "http://localhost:3000", "capacitor://localhost", "http://[::1]:8080"] {
            assert!(holds(listed), "{listed}");
        }
        assert!(!holds("https://app.example:443") && !holds("") && !origins.is_empty());
        assert!("".parse::<Origins>().unwrap().is_empty());
    }

    #[test]
    fn an_entry_that_no_browser_would_send_is_a_fault_that_names_its_place() {
        for entry in [
            "*",
            "null",
            "app.example",
            "//app.example",
            "https://",
            "https:app.example",
            "https://app.example/",
            "https://app.example/page",
            "https://app.example?page",
            "https://app.example#page",
            "https://app.example:443",
            "https://App.example",
            "HTTPS://app.example",
            "https://ann@app.example",
            "https://:secret@app.example",
            "https://*.app.example",
            "https://app.example https://other.example",
            "file:///app",
            "https://app.exämple",
        ] {
            let fault = format!("https://first.example, {entry}").parse::<Origins>().unwrap_err();
            assert_eq!(fault, NoOrigin(2), "{entry}");
        }
    }
}
