//! Which addresses may be connected to: those of the public internet. The tables follow IANA's registries of
//! special-purpose addresses (RFC 6890; <https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>) and of IPv6 address space.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use self::AddressClass::{
    Benchmarking, CarrierNat, Documentation, LinkLocal, Loopback, Multicast, Private, Protocol, Reserved, Translated,
    Unspecified,
};

/// What an address that is refused is for. It never tells the address itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Unspecified, or "this network".
    Unspecified,
    /// The machine itself.
    Loopback,
    /// A private network: RFC 1918, unique local, site-local.
    Private,
    /// Between a carrier and its customers (RFC 6598).
    CarrierNat,
    /// One link, with the clouds' metadata services.
    LinkLocal,
    /// For documents only.
    Documentation,
    /// For measurements only.
    Benchmarking,
    /// Many receivers.
    Multicast,
    /// Carries or is translated to another address: IPv4-mapped, NAT64, 6to4, Teredo.
    Translated,
    /// Assigned to a protocol of its own.
    Protocol,
    /// Not assigned to anybody.
    Reserved,
}

impl AddressClass {
    /// The class of an address, or none when it belongs to the public internet.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => V4.iter().find(|(network, _)| network.contains(&address)).map(|(_, class)| *class),
            IpAddr::V6(address) => match V6.iter().find(|(network, _)| network.contains(&address)) {
                Some((_, class)) => Some(*class),
                None => (!GLOBAL_UNICAST.contains(&address)).then_some(Self::Reserved),
            },
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::CarrierNat => "carrier-grade NAT",
            Self::LinkLocal => "link-local",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Multicast => "multicast",
            Self::Translated => "translated",
            Self::Protocol => "protocol assignment",
            Self::Reserved => "reserved",
        })
    }
}

/// Left out are the anycast networks that the registry calls globally reachable.
const V4: [(Ipv4Net, AddressClass); 16] = [
    (v4([0, 0, 0, 0], 8), Unspecified),         // RFC 791
    (v4([10, 0, 0, 0], 8), Private),            // RFC 1918
    (v4([100, 64, 0, 0], 10), CarrierNat),      // RFC 6598
    (v4([127, 0, 0, 0], 8), Loopback),          // RFC 1122
    (v4([169, 254, 0, 0], 16), LinkLocal),      // RFC 3927
    (v4([172, 16, 0, 0], 12), Private),         // RFC 1918
    (v4([192, 0, 0, 0], 24), Protocol),         // RFC 6890
    (v4([192, 0, 2, 0], 24), Documentation),    // RFC 5737
    (v4([192, 88, 99, 0], 24), Translated),     // RFC 7526: 6to4 relays
    (v4([192, 168, 0, 0], 16), Private),        // RFC 1918
    (v4([198, 18, 0, 0], 15), Benchmarking),    // RFC 2544
    (v4([198, 51, 100, 0], 24), Documentation), // RFC 5737
    (v4([203, 0, 113, 0], 24), Documentation),  // RFC 5737
    (v4([224, 0, 0, 0], 4), Multicast),         // RFC 5771
    (v4([255, 255, 255, 255], 32), Multicast),  // RFC 919: broadcast
    (v4([240, 0, 0, 0], 4), Reserved),          // RFC 1112
];

/// The first that fits counts. Addresses that carry an IPv4 address are refused whatever it is: no public host needs
/// them.
const V6: [(Ipv6Net, AddressClass); 22] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Unspecified),           // RFC 4291
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Loopback),              // RFC 4291
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), Translated),             // RFC 4291: IPv4-compatible
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), Translated),        // RFC 4291: IPv4-mapped
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), Translated),        // RFC 2765: IPv4-translated
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), Translated),     // RFC 6052: NAT64
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Translated),     // RFC 8215: local NAT64
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), Protocol),           // RFC 6666: discard-only
    (v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64), Protocol),           // RFC 9780: dummy prefix
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), Translated),        // RFC 4380: Teredo
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), Benchmarking),      // RFC 5180
    (v6([0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28), Protocol),       // RFC 4843: ORCHID
    (v6([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28), Protocol),       // RFC 7343: ORCHIDv2
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Protocol),          // RFC 2928: other protocols
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Documentation), // RFC 3849
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Translated),        // RFC 3056: 6to4
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Documentation),     // RFC 9637
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), Protocol),          // RFC 9602: SRv6
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Private),            // RFC 4193: unique local
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), LinkLocal),         // RFC 4291
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Private),           // RFC 3879: site-local
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Multicast),          // RFC 4291
];

/// The only part of IPv6 that is given to networks (RFC 4291).
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::from_segments(segments), prefix)
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
