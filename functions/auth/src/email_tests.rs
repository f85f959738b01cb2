//! The rules of addresses, and the cases of Dominic Sayers' isemail (RFC 5321, RFC 5322), which are read where they lie
//! beside the project and are no part of it.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn code(text: &str) -> &'static str {
    text.parse::<EmailAddress>().unwrap_err().code
}

/// Why the rules refuse a category of isemail; `None` for those that they accept.
fn reason_to_refuse(category: &str) -> Option<&'static str> {
    match category {
        // The second one is valid too, and had no record in the domain name system.
        "ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN" => None,
        "ISEMAIL_ERR" => Some("no address"),
        "ISEMAIL_RFC5322" => Some("an address in a message alone: too long, or with a domain that is none"),
        "ISEMAIL_RFC5321" => Some("policy: a quoted local part, an address literal, no dot, or a top level of digits"),
        "ISEMAIL_CFWS" => Some("policy: comments and white space"),
        "ISEMAIL_DEPREC" => Some("policy: an obsolete form"),
        other => panic!("a category that this test does not know: {other}"),
    }
}

#[test]
fn what_is_refused_in_a_line_is_refused_in_an_address() {
    use shared::text::{is_invisible, is_unprintable};
    let bad = |character: &char| is_unprintable(*character) || is_invisible(*character);
    assert_eq!(('\0'..=char::MAX).filter(bad).find(|character| !is_unseen(*character)), None);
}

#[test]
#[allow(clippy::print_stderr)] // a test that is skipped says so
fn the_cases_of_isemail_hold() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/isemail/tests.xml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: the cases of isemail are not beside the project ({})", path.display());
        return;
    };
    let document = roxmltree::Document::parse(&text).unwrap();
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("test")).collect();
    assert!(cases.len() >= 164, "{}", cases.len());
    let mut accepted = 0;
    for case in cases {
        let field = |name| case.children().find(|node| node.has_tag_name(name)).and_then(|node| node.text());
        // Control characters are written as the symbols for them, which begin at U+2400.
        let text: String = field("address")
            .unwrap_or_default()
            .chars()
            .map(|character| match u32::from(character) {
                symbol @ 0x2400..=0x241F => char::from_u32(symbol - 0x2400).unwrap(),
                _ => character,
            })
            .collect();
        let reason = match reason_to_refuse(field("category").unwrap()) {
            None if text == "test@io" => Some("policy: a domain without a dot"),
            reason => reason,
        };
        let diagnosis = field("diagnosis").unwrap();
        assert_eq!(text.parse::<EmailAddress>().is_err(), reason.is_some(), "{text:?}: {diagnosis}, {reason:?}");
        accepted += usize::from(reason.is_none());
    }
    assert_eq!(accepted, 21);
}

#[test]
fn an_address_is_kept_as_written_and_found_in_any_case() {
    let written = address("Ada.Lovelace+Math@EXAMPLE.com");
    assert_eq!(written.as_str(), "Ada.Lovelace+Math@EXAMPLE.com");
    assert_eq!(written.to_string(), written.as_str());
    assert_eq!(written.key(), "ada.lovelace+math@example.com");
    assert_eq!(written.domain(), "example.com");
    assert_eq!(written.hint(), "A…@EXAMPLE.com");
    assert_eq!(written, address("ada.lovelace+math@example.COM"));
    for other in ["adalovelace+math@example.com", "ada.lovelace@example.com", "ada.lovelace+math@example.org"] {
        assert_ne!(written, address(other));
    }
}

#[test]
fn international_addresses_have_one_key() {
    let composed = address("J\u{f6}rg@B\u{fc}cher.example");
    assert_eq!(composed.key(), "j\u{f6}rg@xn--bcher-kva.example");
    assert_eq!(composed.domain(), "xn--bcher-kva.example");
    assert_eq!(composed.hint(), "J…@Bücher.example");
    assert_eq!(composed, address("jo\u{308}rg@bu\u{308}cher.example"));
    assert_eq!(composed, address("J\u{d6}RG@xn--bcher-kva.example"));
    assert_eq!(address("a@b\u{3002}example").key(), "a@b.example");
    for text in ["नमस्ते@उदाहरण.भारत", "用户@例子.中国", "почта@пример.рф", "δοκιμή@παράδειγμα.ελ", "😀@example.com"]
    {
        assert!(text.parse::<EmailAddress>().is_ok(), "{text}");
    }
}

#[test]
fn the_hash_is_that_of_the_key() {
    // printf %s ada@example.com | openssl dgst -sha256 -binary | basenc --base64url
    assert_eq!(address("Ada@Example.COM").hash(), "tfyF5VdV-eDQMKEKtEKbaylEhV-aDWAHf-gyvsvEHXI");
    assert_eq!(address("Ada@Example.COM").hash(), address("ada@example.com").hash());
}

#[test]
fn an_address_does_not_print_by_accident() {
    assert_eq!(format!("{:?}", Some(address("ada@example.com"))), "Some(EmailAddress(…))");
}

#[test]
fn what_no_provider_gives_out_is_refused_with_a_code() {
    for (text, expected) in [
        ("", "not_an_address"),
        ("ada", "not_an_address"),
        ("@example.com", "not_an_address"),
        ("ada@", "not_an_address"),
        ("ada.example.com", "not_an_address"),
        (" ada@example.com", "bad_character"),
        ("ada@example.com ", "bad_character"),
        ("ada lovelace@example.com", "bad_character"),
        ("ada@exam\tple.com", "bad_character"),
        ("ada@example.com\r\nBcc: b@example.com", "bad_character"),
        ("ada\0@example.com", "bad_character"),
        ("a@b@example.com", "bad_local_part"),
        ("Ada <ada@example.com>", "bad_character"),
        ("<ada@example.com>", "bad_local_part"),
        ("ada,bob@example.com", "bad_local_part"),
        // The Greek question mark is a semicolon in form C.
        ("ada\u{37e}bob@example.com", "bad_local_part"),
        ("\"ada\"@example.com", "bad_local_part"),
        ("ada(work)@example.com", "bad_local_part"),
        (".ada@example.com", "bad_local_part"),
        ("ada.@example.com", "bad_local_part"),
        ("a..da@example.com", "bad_local_part"),
        ("ada@[192.0.2.1]", "bad_domain"),
        ("ada@192.0.2.1", "bad_domain"),
        ("ada@localhost", "bad_domain"),
        ("ada@example.com.", "bad_domain"),
        ("ada@.example.com", "bad_domain"),
        ("ada@example..com", "bad_domain"),
        ("ada@-example.com", "bad_domain"),
        ("ada@example-.com", "bad_domain"),
        ("ada@exa_mple.com", "bad_domain"),
        ("ada@example.com:25", "bad_domain"),
        ("ada@example.com/x", "bad_domain"),
        ("ada@xn--a.example", "bad_domain"),
    ] {
        assert_eq!(code(text), expected, "{text:?}");
    }
}

#[test]
fn what_is_not_seen_is_refused_on_both_sides() {
    let unseen = [
        '\u{7f}',
        '\u{85}',
        '\u{a0}',
        '\u{ad}',
        '\u{34f}',
        '\u{61c}',
        '\u{115f}',
        '\u{200b}',
        '\u{200d}',
        '\u{200e}',
        '\u{2028}',
        '\u{202e}',
        '\u{2060}',
        '\u{2069}',
        '\u{2800}',
        '\u{3000}',
        '\u{3164}',
        '\u{e000}',
        '\u{fe0f}',
        '\u{feff}',
        '\u{fff9}',
        '\u{ffff}',
        '\u{e0041}',
        '\u{10ffff}',
    ];
    for character in unseen {
        assert_eq!(code(&format!("a{character}da@example.com")), "bad_character", "{character:?}");
        assert_eq!(code(&format!("ada@exam{character}ple.com")), "bad_character", "{character:?}");
    }
}

#[test]
fn lengths_are_bounded_in_octets() {
    let label = "x".repeat(63);
    let local = "a".repeat(64);
    assert!(format!("{local}@example.com").parse::<EmailAddress>().is_ok());
    assert_eq!(code(&format!("{local}a@example.com")), "local_part_too_long");
    assert_eq!(code(&format!("{}@example.com", "ü".repeat(33))), "local_part_too_long");
    assert_eq!(code(&format!("ada@{label}x.com")), "bad_domain");
    let longest = format!("{local}@{label}.{label}.{}", "y".repeat(61));
    assert_eq!(longest.len(), LONGEST);
    assert!(longest.parse::<EmailAddress>().is_ok());
    assert_eq!(code(&format!("{longest}y")), "too_long");
    // Each label has two octets, and seven in ASCII.
    let international = |labels| format!("{local}@{}example", "ö.".repeat(labels));
    assert!(international(22).parse::<EmailAddress>().is_ok_and(|address| address.key().len() == 64 + 1 + 22 * 8 + 7));
    assert_eq!(code(&international(23)), "too_long");
    assert_eq!(code(&international(31)), "bad_domain");
}

#[test]
fn json_has_the_text_and_a_refusal_its_code() {
    let read: EmailAddress = serde_json::from_str("\"Ada@Example.com\"").unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), "\"Ada@Example.com\"");
    let refused = serde_json::from_str::<EmailAddress>("\"ada\"").unwrap_err().to_string();
    assert!(refused.starts_with("not_an_address: must be an e-mail address"), "{refused}");
}

proptest! {
    #[test]
    fn what_is_accepted_is_accepted_again_by_its_key(text in "[\\PC]{1,12}@[\\PC]{1,8}\\.[a-zß-ü]{2,6}") {
        if let Ok(address) = text.parse::<EmailAddress>() {
            let again = address.key().parse::<EmailAddress>();
            prop_assert!(again.is_ok_and(|again| again.key() == address.key()), "{}", address.key());
            prop_assert!(address.domain().is_ascii() && address.domain().contains('.'));
        }
    }

    #[test]
    fn no_text_stops_the_parser(text in "\\PC{0,300}") {
        let _ = text.parse::<EmailAddress>();
    }
}
