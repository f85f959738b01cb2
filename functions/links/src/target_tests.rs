//! What a target is made of, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn target(text: &str) -> Target {
    text.parse().unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
}

#[test]
fn a_target_is_kept_in_normal_form() {
    let long_path = format!("https://e.example/{}", "a".repeat(LONGEST - 18));
    assert_eq!(long_path.len(), 2048);
    for (text, normal) in [
        ("https://example.com", "https://example.com/"),
        ("HtTpS://EXAMPLE.com/A?b=C#D", "https://example.com/A?b=C#D"),
        ("https://example.com:443/", "https://example.com/"),
        ("http://example.com:8080/x", "http://example.com:8080/x"),
        ("https://bücher.example/ü?q=ä", "https://xn--bcher-kva.example/%C3%BC?q=%C3%A4"),
        ("https://BÜCHER。example/", "https://xn--bcher-kva.example/"),
        ("http://[2001:DB8::1]:81/x", "http://[2001:db8::1]:81/x"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("https://example.com/a b", "https://example.com/a%20b"),
        ("https://example.com/%0d%0aSet-Cookie:x", "https://example.com/%0d%0aSet-Cookie:x"),
        ("https://example.com/../x", "https://example.com/x"),
        ("https://example.com\\@other.example/", "https://example.com/@other.example/"),
        ("https://intranet/wiki", "https://intranet/wiki"),
        (
            "https://example.com/?next=https://user:pw@other.example",
            "https://example.com/?next=https://user:pw@other.example",
        ),
        (&long_path, &long_path),
    ] {
        assert_eq!(target(text).as_str(), normal, "{text}");
    }
}

#[test]
fn a_target_that_breaks_a_rule_is_refused_with_a_code() {
    let too_long = format!("https://e.example/{}", "a".repeat(LONGEST - 17));
    assert_eq!(too_long.len(), 2049);
    let too_long_encoded = format!("https://e.example/{}", "ü".repeat(400));
    let huge = format!("https://e.example/{}", "a".repeat(1_000_000));
    let long_label = format!("https://{}.example/", "a".repeat(64));
    for (text, code) in [
        ("", "not_absolute"),
        ("example.com", "not_absolute"),
        ("/relative", "not_absolute"),
        ("//example.com/", "not_absolute"),
        ("https:example.com", "not_absolute"),
        ("https:/example.com", "not_absolute"),
        ("javascript:alert(1)", "bad_scheme"),
        ("JaVaScRiPt://example.com/%0aalert(1)", "bad_scheme"),
        ("java\tscript:alert(1)", "control_character"),
        ("data:text/html,x", "bad_scheme"),
        ("ftp://example.com/", "bad_scheme"),
        ("file:///etc/passwd", "bad_scheme"),
        ("http://", "no_host"),
        ("http:///x", "no_host"),
        ("https://?q", "no_host"),
        ("https://:80/", "no_host"),
        ("https://\\example.com", "no_host"),
        ("https://user:pw@host.example", "credentials"),
        ("https://user@host.example", "credentials"),
        ("https://:pw@host.example", "credentials"),
        ("https://example.com@other.example/", "credentials"),
        (" https://example.com", "whitespace"),
        ("https://example.com ", "whitespace"),
        ("https://example.com/\u{a0}", "whitespace"),
        ("https://exam\tple.com/", "control_character"),
        ("https://example.com/\r\nSet-Cookie: x", "control_character"),
        ("https://example.com/\0", "control_character"),
        ("https://example.com/\u{85}x", "control_character"),
        ("https://exa mple.com/", "not_a_url"),
        ("https://example.com:99999/", "not_a_url"),
        ("https://[::1/", "not_a_url"),
        ("https://1.2.3.4.5.6/", "not_a_url"),
        ("https://a..example/", "bad_host"),
        (&long_label, "bad_host"),
        (&too_long, "too_long"),
        (&too_long_encoded, "too_long"),
        (&huge, "too_long"),
    ] {
        let refusal = text.parse::<Target>().map_or_else(|refusal| refusal, |target| panic!("{text:?} is {target}"));
        assert_eq!(refusal.code, code, "{:?}: {refusal}", text.get(..60));
    }
}

#[test]
fn people_see_an_international_host_unless_it_deceives() {
    for (text, host) in [
        ("https://bücher.example/", "bücher.example"),
        ("https://xn--bcher-kva.example/", "bücher.example"),
        ("https://例え.テスト/", "例え.テスト"),
        ("https://пример.example/", "пример.example"),
        // A Cyrillic а among Latin letters, and a name that is Cyrillic throughout and reads like "apple".
        ("https://p\u{430}ypal.example/", "xn--pypal-4ve.example"),
        ("https://аррӏе.example/", "xn--80ak6aa92e.example"),
        ("https://example.com/", "example.com"),
        ("http://[::1]:9000/", "[::1]"),
    ] {
        assert_eq!(target(text).display_host(), host, "{text}");
    }
    assert_eq!(target("http://bücher.example:81/ü?q#f").display(), "http://bücher.example:81/%C3%BC?q#f");
    assert_eq!(target("https://example.com").display(), "https://example.com/");
}

#[test]
fn a_link_to_a_short_link_of_ours_is_found() {
    let base = Url::parse("https://short.example/l/").unwrap();
    for loops in [
        "https://short.example/l/abc",
        "http://SHORT.example/l/abc+",
        "https://short.example./x/../l/abc",
        "https://short.example/%6c/abc",
    ] {
        assert!(target(loops).is_under(&base), "{loops}");
    }
    for fine in [
        "https://short.example/docs",
        "https://other.example/l/abc",
        "https://short.example:8443/l/abc",
        "https://notshort.example/l/x",
    ] {
        assert!(!target(fine).is_under(&base), "{fine}");
    }
    let local = Url::parse("http://127.0.0.1:9000/l/").unwrap();
    assert!(target("http://127.0.0.1:9000/l/abc").is_under(&local));
    assert!(!target("http://127.0.0.1:9000/health").is_under(&local));
    assert!(!target("http://127.0.0.1:9001/l/abc").is_under(&local));
}

#[test]
fn json_refusals_carry_the_code() {
    let refused = serde_json::from_str::<Target>("\"ftp://example.com\"").unwrap_err().to_string();
    assert!(refused.starts_with("bad_scheme: must begin with"), "{refused}");
}

proptest! {
    #[test]
    fn a_target_is_safe_in_a_header_and_stable(text in "(?i:https?)://(\\PC|[\\x00-\\x20@:/\\\\?#%]){0,40}") {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert!(target.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{}", target);
            prop_assert!(target.as_str().starts_with("http://") || target.as_str().starts_with("https://"));
            prop_assert!(!target.host().is_empty());
            prop_assert_eq!(target.as_str().parse::<Target>(), Ok(target.clone()));
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC*") {
        if let Ok(target) = text.parse::<Target>() {
            target.display();
        }
    }
}
