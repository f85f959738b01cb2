//! Who follows a link, as far as anyone needs to know: a person or a program, the class of device, the referring host
//! and the country. Nothing else of the request is kept: no address, no `User-Agent`, no path of the referring page.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user_agent;
use shared::refusal::Refusal;

/// What follows the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person, or a program that somebody runs on purpose (curl): what does not say that it is something else.
    Human,
    /// A crawler, a monitor, a scanner: it says so in its `User-Agent`.
    Bot,
    /// Something that looks ahead for a person: a chat program that draws a preview, a browser that prefetches, a
    /// `HEAD` request.
    Preview,
}

/// A class of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// A computer with a keyboard.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet or a reader.
    Tablet,
    /// A television or what is plugged into one.
    Tv,
    /// None of these, or unknown.
    Other,
}

/// The host of the page that led here, in lower case and at most 253 characters, or `direct`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Referrer(String);

impl Referrer {
    /// What stands for no referring page.
    pub const DIRECT: &'static str = "direct";

    /// Reads a `Referer` header (RFC 9110, section 10.1.3). Programs for Android send `android-app://<package>`.
    fn read(header: Option<&str>) -> Self {
        let host = header
            .filter(|text| text.len() <= 4096)
            .and_then(|text| url::Url::parse(text).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https" | "android-app"))
            .and_then(|url| url.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase()))
            .filter(|host| (1..=253).contains(&host.len()) && host != Self::DIRECT && host.bytes().all(is_of_a_host));
        Self(host.unwrap_or_else(|| Self::DIRECT.to_owned()))
    }

    /// The host, or `direct`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names have letters, digits, `-` and `.`, in practice `_` too; IPv6 addresses have `[`, `:` and `]`. So no header makes a
/// host that stands for something else in the statistics.
const fn is_of_a_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'[' | b':' | b']')
}

/// A country's two letters (ISO 3166-1 alpha-2) in upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl TryFrom<String> for Country {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        match text.as_bytes() {
            [first, second] if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() => {
                Ok(Self([first.to_ascii_uppercase(), second.to_ascii_uppercase()]))
            }
            _ => Err(Refusal::new("not_a_country", "must be two letters")),
        }
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.0.into_iter().map(char::from).collect()
    }
}

impl utoipa::PartialSchema for Country {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[A-Z]{2}$"))
            .examples(["DE"])
            .into()
    }
}

impl ToSchema for Country {}

/// Who follows a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// What it is.
    pub kind: Kind,
    /// On which class of device.
    pub device: Device,
    /// From where.
    pub referrer: Referrer,
    /// In which country, when the deployment has a `CloudFront` distribution that tells.
    pub country: Option<Country>,
}

impl Visitor {
    /// Reads a request: whether its method is `HEAD`, and its headers through `header`, which is asked for names in
    /// lower case and answers a value that is text.
    pub fn read<'a>(is_head: bool, header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        // What a header can hold, a User-Agent needs 512 bytes of: the rest is not searched.
        let agent = header("user-agent").unwrap_or_default();
        let agent = agent.get(..agent.floor_char_boundary(512)).unwrap_or(agent);
        let (said, device) = user_agent::read(agent);
        // Sec-Purpose (Fetch Standard) is a structured field whose token may have parameters: `prefetch;prerender`.
        let looks_ahead =
            ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().filter_map(&header).any(|purpose| {
                let purpose = purpose.to_ascii_lowercase();
                purpose.contains("prefetch") || purpose.contains("preview")
            });
        let kind = if is_head || looks_ahead { Kind::Preview } else { said };
        Self {
            kind,
            device,
            referrer: Referrer::read(header("referer")),
            country: header("cloudfront-viewer-country").and_then(|text| text.to_owned().try_into().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

    fn visitor(headers: &[(&str, &'static str)]) -> Visitor {
        Visitor::read(false, |name| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value))
    }

    #[test]
    fn what_looks_ahead_is_a_preview() {
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch;anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
        ] {
            assert_eq!(visitor(&[("user-agent", FIREFOX), (name, value)]).kind, Kind::Preview, "{name}: {value}");
        }
        assert_eq!(visitor(&[("user-agent", FIREFOX)]).kind, Kind::Human);
        assert_eq!(Visitor::read(true, |name| (name == "user-agent").then_some(FIREFOX)).kind, Kind::Preview);
    }

    #[test]
    fn of_the_referring_page_only_the_host_is_kept() {
        for (header, host) in [
            ("https://News.Example/private?token=secret#x", "news.example"),
            ("https://user:pw@news.example:8443/", "news.example"),
            ("https://bücher.example/", "xn--bcher-kva.example"),
            ("android-app://org.telegram.messenger/", "org.telegram.messenger"),
            ("http://[2001:db8::1]/", "[2001:db8::1]"),
            ("https://news.example./", "news.example"),
            ("https://(other)/", "direct"),
            ("https://direct/", "direct"),
            ("", "direct"),
            ("about:blank", "direct"),
            ("/relative", "direct"),
            ("javascript:alert(1)", "direct"),
            ("not a url", "direct"),
        ] {
            assert_eq!(visitor(&[("referer", header)]).referrer.as_str(), host, "{header}");
        }
        assert_eq!(visitor(&[]).referrer.as_str(), Referrer::DIRECT);
    }

    #[test]
    fn a_country_has_two_letters() {
        let country = |header| visitor(&[("cloudfront-viewer-country", header)]).country.map(String::from);
        assert_eq!(country("de").as_deref(), Some("DE"));
        for bad in ["", "D", "DEU", "T1", "ü", "日本"] {
            assert_eq!(country(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_are_read_and_the_result_is_bounded(text in "\\PC{0,600}", referer in "(https?://)?\\PC{0,400}") {
            let visitor = Visitor::read(false, |name| match name {
                "referer" => Some(referer.as_str()),
                _ => Some(text.as_str()),
            });
            prop_assert!((1..=253).contains(&visitor.referrer.as_str().len()));
            prop_assert!(visitor.referrer.as_str().is_ascii());
        }
    }
}
