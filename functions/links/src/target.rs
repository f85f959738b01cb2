//! Targets: where a link leads. One that exists is an absolute `http` or `https` URL in normal form (WHATWG URL
//! Standard), in ASCII, so that it goes into a `Location` header as it is.
//!
//! Addresses of private networks and single-label hosts are allowed: it is the visitor's browser that goes there, never
//! this service, and companies shorten links to their intranets.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, Hyphens, Uts46};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _, skeleton};
use url::{Host, Url};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};

use shared::outbound::has_dns_lengths;
use shared::refusal::Refusal;

/// The longest target in bytes, in normal form.
pub const LONGEST: usize = 2048;

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target(Url);

impl Target {
    /// The URL in normal form: ASCII without control characters, at most [`LONGEST`] bytes.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The host in lower case: punycode for an international name, an IP address as it is, IPv6 in brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host in Unicode, whatever it looks like: to be searched, and not to be shown.
    pub fn international_host(&self) -> Cow<'_, str> {
        Uts46::new().to_unicode(self.host().as_bytes(), AsciiDenyList::URL, Hyphens::Allow).0
    }

    /// The host as people read it: `bücher.example`. Labels that mix scripts, or that could be taken for an ASCII name
    /// (Unicode Technical Standard 39), stay in punycode, so that nobody is shown a look-alike of another host.
    pub fn display_host(&self) -> String {
        if !matches!(self.0.host(), Some(Host::Domain(_))) {
            return self.host().to_owned();
        }
        let shown = |label: &[char], _: &[char], _: bool| is_shown_in_unicode(label);
        Uts46::new().to_user_interface(self.host().as_bytes(), AsciiDenyList::URL, Hyphens::Allow, shown).0.into_owned()
    }

    /// The URL with the host as people read it.
    pub fn display(&self) -> String {
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        let rest = self.0.as_str().get(self.0[..url::Position::BeforePath].len()..).unwrap_or_default();
        format!("{}://{}{port}{rest}", self.0.scheme(), self.display_host())
    }

    /// Whether it leads to something under `base`, whatever the scheme: for `base` the address under which slugs live
    /// (`https://short.example/l/`), whether it would make a loop.
    pub fn is_under(&self, base: &Url) -> bool {
        let host = |url: &Url| url.host_str().map(|name| name.trim_end_matches('.').to_owned());
        // Behind the default ports of both schemes stands the same server.
        let port = |url: &Url| url.port_or_known_default().filter(|port| ![80, 443].contains(port));
        // The gateway decodes a path before it is routed.
        let path = percent_decode_str(self.0.path()).decode_utf8_lossy();
        host(&self.0) == host(base) && port(&self.0) == port(base) && path.starts_with(base.path())
    }
}

impl FromStr for Target {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        check_text(text)?;
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => no_host(),
            error => Refusal::new("not_a_url", format!("is not a URL that can be followed: {error}")),
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::new("credentials", "must not have a user name or password"));
        }
        if let Some(Host::Domain(name)) = url.host()
            && !has_dns_lengths(name)
        {
            return Err(Refusal::new(
                "bad_host",
                "has a host that no name server knows: with an empty part, a part of more than 63 characters, or more than 253",
            ));
        }
        if url.as_str().len() > LONGEST {
            return Err(too_long());
        }
        Ok(Self(url))
    }
}

/// Refuses what a URL parser would mend in silence: the link must lead where its maker reads that it leads.
fn check_text(text: &str) -> Result<(), Refusal> {
    // Normal form is hardly ever shorter, so that this refuses only what is not worth parsing.
    if text.len() > 4 * LONGEST {
        return Err(too_long());
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::new("control_character", "must not have control characters, tabs or line breaks"));
    }
    if text.trim() != text {
        return Err(Refusal::new("whitespace", "must not begin or end with white space"));
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err(Refusal::new("not_absolute", "must begin with http:// or https://"));
    };
    if !["http", "https"].iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed)) {
        return Err(Refusal::new("bad_scheme", "must begin with http:// or https://"));
    }
    match rest.strip_prefix("//") {
        None => Err(Refusal::new("not_absolute", "must begin with http:// or https://")),
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\', '?', '#']) => Err(no_host()),
        Some(_) => Ok(()),
    }
}

fn no_host() -> Refusal {
    Refusal::new("no_host", "must have a host")
}

fn too_long() -> Refusal {
    Refusal::new("too_long", format!("may have at most {LONGEST} bytes in normal form"))
}

fn is_shown_in_unicode(label: &[char]) -> bool {
    let label: String = label.iter().collect();
    label.as_str().check_restriction_level(RestrictionLevel::HighlyRestrictive)
        && !skeleton(&label).all(|character| character.is_ascii())
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl TryFrom<String> for Target {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.0.into()
    }
}

impl utoipa::PartialSchema for Target {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .description(Some("An absolute http or https URL without credentials. It is kept in normal form, of at most 2048 bytes in ASCII."))
            .max_length(Some(LONGEST))
            .pattern(Some("^[Hh][Tt][Tt][Pp][Ss]?://"))
            .examples(["https://example.com/spring?from=mail"])
            .into()
    }
}

impl utoipa::ToSchema for Target {}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
