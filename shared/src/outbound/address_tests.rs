#![allow(clippy::unwrap_used)]
use super::*;

fn class(address: &str) -> Option<AddressClass> {
    AddressClass::of(address.parse().unwrap())
}

#[test]
fn every_row_holds_from_its_first_address_to_its_last() {
    for (first, last, expected) in [
        ("0.0.0.0", "0.255.255.255", Unspecified),
        ("10.0.0.0", "10.255.255.255", Private),
        ("100.64.0.0", "100.127.255.255", CarrierNat),
        ("127.0.0.0", "127.255.255.255", Loopback),
        ("169.254.0.0", "169.254.255.255", LinkLocal),
        ("172.16.0.0", "172.31.255.255", Private),
        ("192.0.0.0", "192.0.0.255", Protocol),
        ("192.0.2.0", "192.0.2.255", Documentation),
        ("192.88.99.0", "192.88.99.255", Translated),
        ("192.168.0.0", "192.168.255.255", Private),
        ("198.18.0.0", "198.19.255.255", Benchmarking),
        ("198.51.100.0", "198.51.100.255", Documentation),
        ("203.0.113.0", "203.0.113.255", Documentation),
        ("224.0.0.0", "239.255.255.255", Multicast),
        ("240.0.0.0", "255.255.255.254", Reserved),
        ("255.255.255.255", "255.255.255.255", Multicast),
        ("::", "::", Unspecified),
        ("::1", "::1", Loopback),
        ("::2", "::ffff:ffff", Translated),
        ("::ffff:0:0", "::ffff:ffff:ffff", Translated),
        ("::ffff:0:0:0", "::ffff:0:ffff:ffff", Translated),
        ("64:ff9b::", "64:ff9b::ffff:ffff", Translated),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Translated),
        ("100::", "100::ffff:ffff:ffff:ffff", Protocol),
        ("100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", Protocol),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Translated),
        ("2001:1::", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", Protocol),
        ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", Benchmarking),
        ("2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", Protocol),
        ("2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", Protocol),
        ("2001:30::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Protocol),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Translated),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Protocol),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
        // What nobody has.
        ("1::", "63:ffff::", Reserved),
        ("4000::", "5eff:ffff::", Reserved),
        ("5f01::", "fbff:ffff::", Reserved),
        ("fe00::", "fe7f:ffff::", Reserved),
    ] {
        assert_eq!(class(first), Some(expected), "{first}");
        assert_eq!(class(last), Some(expected), "{last}");
    }
}

#[test]
fn the_addresses_beside_the_rows_are_public() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "2600::1",
        "3ffe:ffff::",
        "3fff:1000::",
    ] {
        assert_eq!(class(address), None, "{address}");
    }
}

#[test]
fn the_services_of_the_clouds_are_refused() {
    for (address, expected) in [
        ("169.254.169.254", LinkLocal), // metadata of most clouds
        ("169.254.170.2", LinkLocal),   // credentials of AWS containers
        ("fd00:ec2::254", Private),     // metadata of AWS over IPv6
        ("100.100.100.200", CarrierNat),
        ("192.0.0.192", Protocol),
        ("::ffff:169.254.169.254", Translated),
        ("64:ff9b::a9fe:a9fe", Translated),
        ("2002:a9fe:a9fe::", Translated),
    ] {
        assert_eq!(class(address), Some(expected), "{address}");
    }
}
