//! The domains that a tenant's links may not lead to.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Host;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use shared::outbound::has_dns_lengths;
use shared::refusal::Refusal;

use crate::target::Target;

/// The most domains in one blocklist.
pub const MOST_DOMAINS: usize = 1000;

/// A domain name in lower case and punycode, which stands for itself and all names below it, or an IP address, which
/// stands for itself. A name of one label is allowed: `zip` blocks a whole top-level domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// An IPv4 address within IPv6 (`::ffff:…`) leads to the same host, and is the same here.
    fn of_address(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        })
    }
}

impl FromStr for Domain {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refusal = || Refusal::new("not_a_domain", "must be a domain name such as example.com, or an IP address");
        // What can never fit is not worth converting.
        if text.len() > 1024 || text.contains('*') {
            return Err(refusal());
        }
        match Host::parse(text.strip_suffix('.').unwrap_or(text)).map_err(|_| refusal())? {
            Host::Domain(name) if has_dns_lengths(&name) && !name.ends_with('.') => Ok(Self(name)),
            Host::Domain(_) => Err(refusal()),
            Host::Ipv4(address) => Ok(Self::of_address(address.into())),
            Host::Ipv6(address) => Ok(Self::of_address(address.into())),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Domain {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl utoipa::PartialSchema for Domain {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A domain name, which stands for all names below it too, or an IP address."))
            .max_length(Some(253))
            .examples(["example.com"])
            .into()
    }
}

impl utoipa::ToSchema for Domain {}

/// At most [`MOST_DOMAINS`] blocked domains.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Domain>", into = "Vec<Domain>")]
pub struct Blocklist(BTreeSet<Domain>);

impl Blocklist {
    /// Whether `target` leads to a blocked domain or below one. Costs one look-up for each label of the host.
    pub fn blocks(&self, target: &Target) -> bool {
        let host = target.host().trim_end_matches('.');
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return self.0.contains(&Domain::of_address(address));
        }
        let mut name = Some(host);
        while let Some(suffix) = name {
            if self.0.contains(&Domain(suffix.to_owned())) {
                return true;
            }
            name = suffix.split_once('.').map(|(_, parent)| parent);
        }
        false
    }

    /// The domains in alphabetical order.
    pub fn domains(&self) -> impl ExactSizeIterator<Item = &Domain> {
        self.0.iter()
    }
}

impl TryFrom<Vec<Domain>> for Blocklist {
    type Error = Refusal;

    fn try_from(domains: Vec<Domain>) -> Result<Self, Refusal> {
        let domains: BTreeSet<_> = domains.into_iter().collect();
        if domains.len() > MOST_DOMAINS {
            return Err(Refusal::new("too_many", format!("may have at most {MOST_DOMAINS} domains")));
        }
        Ok(Self(domains))
    }
}

impl From<Blocklist> for Vec<Domain> {
    fn from(blocklist: Blocklist) -> Self {
        blocklist.0.into_iter().collect()
    }
}

impl utoipa::PartialSchema for Blocklist {
    fn schema() -> RefOr<Schema> {
        utoipa::openapi::ArrayBuilder::new()
            .items(<Domain as utoipa::PartialSchema>::schema())
            .max_items(Some(MOST_DOMAINS))
            .unique_items(true)
            .into()
    }
}

impl utoipa::ToSchema for Blocklist {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn blocklist(domains: &[&str]) -> Blocklist {
        domains.iter().map(|text| text.parse().unwrap()).collect::<Vec<Domain>>().try_into().unwrap()
    }

    #[test]
    fn a_domain_blocks_itself_and_what_is_below() {
        let blocklist = blocklist(&["Evil.Example", "bücher.test", "zip", "10.0.0.1", "[2001:DB8::1]"]);
        for (target, blocked) in [
            ("https://evil.example/x", true),
            ("https://a.b.EVIL.example:8443/x", true),
            ("https://evil.example./", true),
            ("https://notevil.example/", false),
            ("https://evil.example.org/", false),
            ("https://example/", false),
            ("https://shop.bücher.test/", true),
            ("https://xn--bcher-kva.test/", true),
            ("https://payroll.zip/", true),
            ("http://10.0.0.1/", true),
            ("http://0xA.1/", true),
            ("http://10.0.0.11/", false),
            ("http://[2001:db8:0::1]/", true),
            ("http://[::ffff:10.0.0.1]/", true),
            ("http://[::ffff:10.0.0.2]/", false),
            ("http://[2001:db8::2]/", false),
        ] {
            assert_eq!(blocklist.blocks(&target.parse().unwrap()), blocked, "{target}");
        }
        assert!(!Blocklist::default().blocks(&"https://evil.example".parse().unwrap()));
    }

    #[test]
    fn domains_are_kept_in_normal_form_and_bad_ones_refused() {
        assert_eq!("BÜCHER.Example.".parse::<Domain>().unwrap().0, "xn--bcher-kva.example");
        for bad in [
            "",
            ".",
            "..",
            "*.example.com",
            "exa mple.com",
            "https://example.com",
            "example.com/x",
            "a..b",
            "example.com:80",
            "user@example.com",
        ] {
            assert_eq!(bad.parse::<Domain>().unwrap_err().code, "not_a_domain", "{bad:?}");
        }
    }

    #[test]
    fn a_thousand_domains_and_no_more() {
        let many = |count: usize| (0..count).map(|n| format!("d{n}.example").parse().unwrap()).collect::<Vec<Domain>>();
        assert_eq!(Blocklist::try_from(many(1000)).unwrap().domains().len(), 1000);
        assert_eq!(Blocklist::try_from(many(1001)).unwrap_err().code, "too_many");
        let twice: Vec<Domain> = many(1000).into_iter().chain(many(1000)).collect();
        assert!(Blocklist::try_from(twice).is_ok());
    }
}
