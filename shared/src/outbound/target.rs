//! Which URLs may be asked at all: what can be told before a name is looked up.

use std::net::IpAddr;

use http::Uri;
use url::{Host, Url};

use super::address::AddressClass;
use super::error::{OutboundError, UrlFault};
use super::{LONGEST_URL, Settings};

/// Ports of services that do not speak HTTP, to which a request could be a command: the "bad ports" of the Fetch
/// Standard (<https://fetch.spec.whatwg.org/#port-blocking>), and stores, brokers and consoles that trust their network.
const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    // SMB, SQL Server, Oracle, Docker, etcd, MySQL, RDP, Postgres, AMQP, VNC, Redis.
    445, 1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5672, 5900, 6379,
    // Cassandra, Kafka, Elasticsearch, kubelet, memcached, MongoDB.
    9042, 9092, 9200, 9300, 10250, 11211, 27017,
];

/// A URL that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) url: Url,
    /// The same, for the HTTP client.
    pub(super) uri: Uri,
}

/// Whether the domain name system can hold `name`: RFC 1035, section 2.3.4.
pub fn has_dns_lengths(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    (1..=253).contains(&name.len()) && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// Parses a URL and holds it to the rules. The parser (WHATWG URL Standard) turns every notation of an IPv4 address
/// into one, and every international name into ASCII, so that what is judged is what is connected to.
pub(super) fn check(text: &str, https_only: bool, settings: Settings) -> Result<Target, OutboundError> {
    let not_a_url = OutboundError::InvalidUrl(UrlFault::NotAUrl);
    if text.len() > LONGEST_URL {
        return Err(OutboundError::InvalidUrl(UrlFault::TooLong));
    }
    let mut url = Url::parse(text).map_err(|_| not_a_url.clone())?;
    // It is never sent, and a person who reads the URL of an answer should not take it for a part of it.
    url.set_fragment(None);
    let is_plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(OutboundError::InvalidUrl(UrlFault::BadScheme)),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(OutboundError::InvalidUrl(UrlFault::Credentials));
    }
    if url.port_or_known_default().is_none_or(|port| BAD_PORTS.contains(&port)) {
        return Err(OutboundError::InvalidUrl(UrlFault::BadPort));
    }
    if is_plain && https_only && !(settings.allow_loopback && is_loopback(&url)) {
        return Err(OutboundError::InvalidUrl(UrlFault::NotHttps));
    }
    match url.host() {
        Some(Host::Ipv4(address)) => judge(address.into(), settings)?,
        Some(Host::Ipv6(address)) => judge(address.into(), settings)?,
        Some(Host::Domain(name)) if !has_dns_lengths(name) => return Err(OutboundError::InvalidUrl(UrlFault::BadHost)),
        Some(Host::Domain(_)) => {}
        None => return Err(not_a_url),
    }
    let uri = url.as_str().parse().map_err(|_| not_a_url)?;
    Ok(Target { url, uri })
}

/// Refuses an address that is not public.
pub(super) fn judge(address: IpAddr, settings: Settings) -> Result<(), OutboundError> {
    match AddressClass::of(address) {
        None => Ok(()),
        Some(AddressClass::Loopback) if settings.allow_loopback => Ok(()),
        Some(class) => Err(OutboundError::Forbidden(class)),
    }
}

/// Whether a host is this machine by its notation alone: an address, or a name that RFC 6761 keeps for it.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const PUBLIC_STAGE: Settings = Settings { allow_loopback: false };
    const LOCAL_STAGE: Settings = Settings { allow_loopback: true };

    fn fault(text: &str) -> &'static str {
        check(text, false, PUBLIC_STAGE).map_or_else(|error| error.code(), |_| "none")
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for (text, code) in [
            ("", "not_a_url"),
            ("/path", "not_a_url"),
            ("example.com", "not_a_url"),
            ("https://", "not_a_url"),
            ("https://exa mple.com/", "not_a_url"),
            ("https://[fe80::1%25eth0]/", "not_a_url"),
            ("https://[fe80::1%eth0]/", "not_a_url"),
            ("https://[::1", "not_a_url"),
            ("https://1.2.3.4.5/", "not_a_url"),
            ("https://256.1.1.1/", "not_a_url"),
            ("https://example.com:65536/", "not_a_url"),
            ("https://xn--/", "not_a_url"),
            ("ftp://example.com/", "bad_scheme"),
            ("file:///etc/passwd", "bad_scheme"),
            ("gopher://example.com:6379/_INFO", "bad_scheme"),
            ("data:text/plain,hello", "bad_scheme"),
            ("https://user@example.com/", "credentials"),
            ("https://:password@example.com/", "credentials"),
            ("https://example.com@127.0.0.1/", "credentials"),
            ("https://example.com:0/", "bad_port"),
            ("https://example.com:22/", "bad_port"),
            ("https://example.com:25/", "bad_port"),
            ("https://example.com:53/", "bad_port"),
            ("https://example.com:3306/", "bad_port"),
            ("https://example.com:5432/", "bad_port"),
            ("https://example.com:6379/", "bad_port"),
            ("https://example.com:8443/a?b#c", "none"),
            ("http://example.com/", "none"),
            ("https://8.8.8.8/", "none"),
            ("https://[2600::1]/", "none"),
        ] {
            assert_eq!(fault(text), code, "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(LONGEST_URL));
        assert_eq!(fault(&long), "too_long");
    }

    #[test]
    fn every_notation_of_an_address_is_the_address() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7F.1",
            "0x7f.0x0.0x0.0x1",
            "017700000001",
            "0177.0.0.1",
            "0177.0.0.01",
            "%31%32%37.0.0.1",
            "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
            "\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}",
            "127\u{3002}0\u{3002}0\u{3002}1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
        ] {
            let checked = check(&format!("http://{host}/"), false, PUBLIC_STAGE);
            assert_eq!(checked, Err(OutboundError::Forbidden(AddressClass::Loopback)), "{host}");
        }
        for (host, class) in [
            ("0", AddressClass::Unspecified),
            ("0x0", AddressClass::Unspecified),
            ("2852039166", AddressClass::LinkLocal),
            ("0xa9.0xfe.0xa9.0xfe", AddressClass::LinkLocal),
            ("10.1", AddressClass::Private),
            ("[::ffff:127.0.0.1]", AddressClass::Translated),
            ("[::ffff:7f00:1]", AddressClass::Translated),
            ("[::127.0.0.1]", AddressClass::Translated),
            ("[64:ff9b::127.0.0.1]", AddressClass::Translated),
            ("[fd00:ec2::254]", AddressClass::Private),
        ] {
            let checked = check(&format!("http://{host}/"), false, PUBLIC_STAGE);
            assert_eq!(checked, Err(OutboundError::Forbidden(class)), "{host}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_judged_alike_in_every_base(address: u32) {
            let class = AddressClass::of(IpAddr::V4(address.into()));
            let [a, b, c, d] = address.to_be_bytes();
            let rest = u32::from_be_bytes([0, b, c, d]);
            for host in [
                format!("{a}.{b}.{c}.{d}"),
                format!("{address}"),
                format!("{address:#x}"),
                format!("0{address:o}"),
                format!("{a:#x}.0{b:o}.{c}.{d:#x}"),
                format!("{a}.{rest}"),
            ] {
                let checked = check(&format!("https://{host}/"), true, PUBLIC_STAGE);
                let judged = checked.map_or_else(Some, |_| None);
                prop_assert_eq!(judged, class.map(OutboundError::Forbidden), "{}", host);
            }
        }
    }

    #[test]
    fn plain_http_needs_leave_or_the_local_stage() {
        let not_https = Err(OutboundError::InvalidUrl(UrlFault::NotHttps));
        for text in ["http://localhost:9000/", "http://auth.localhost/", "http://127.0.0.1/", "http://[::1]/"] {
            assert_eq!(check(text, true, PUBLIC_STAGE), not_https, "{text}");
            assert!(check(text, true, LOCAL_STAGE).is_ok(), "{text}");
        }
        for text in ["http://example.com/", "http://8.8.8.8/", "http://localhost.example.com/"] {
            assert_eq!(check(text, true, LOCAL_STAGE), not_https, "{text}");
            assert!(check(text, false, PUBLIC_STAGE).is_ok(), "{text}");
        }
        // Loopback is allowed there, and nothing else.
        for text in ["http://10.0.0.1/", "http://0.0.0.0/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/"] {
            assert!(matches!(check(text, false, LOCAL_STAGE), Err(OutboundError::Forbidden(_))), "{text}");
        }
    }

    #[test]
    fn an_international_name_is_asked_in_ascii() {
        let target = check("https://B\u{fc}cher.example/a#b", true, PUBLIC_STAGE).unwrap();
        assert_eq!(target.url.as_str(), "https://xn--bcher-kva.example/a");
    }
}
