//! What is written is read back by another implementation of MIME.
#![allow(clippy::unwrap_used)]

use mail_parser::{Message, MessageParser, MimeHeaders as _};
use proptest::prelude::*;

use super::*;

/// A mail with all that is usual.
pub(in crate::mail) fn mail() -> Mail {
    Mail {
        message_id: "mail_01j9z8k7m6n5p4q3r2s1t0v9w8".parse().unwrap(),
        date: "2026-03-05T14:07:07.25Z".parse().unwrap(),
        to: vec![ada(Some("Ada Lovelace"))],
        reply_to: None,
        subject: "Confirm your address".to_owned(),
        html: Some(
            "<!DOCTYPE html>\n<p>Click <a href=\"https://app.example.com/?a=1&amp;b=2\">here</a></p>\n".to_owned(),
        ),
        text: "Open this:\nhttps://app.example.com/?a=1&b=2\n.\nFrom here on.\n".to_owned(),
    }
}

fn ada(name: Option<&str>) -> Recipient {
    Recipient { address: "ada@example.org".to_owned(), name: name.map(str::to_owned) }
}

fn formatted(mail: &Mail) -> Vec<u8> {
    message(mail, &"Tenfold <no-reply@tenfold.example>".parse().unwrap()).unwrap().formatted()
}

fn parsed(bytes: &[u8]) -> Message<'_> {
    MessageParser::default().parse(bytes).unwrap()
}

fn header_names(message: &Message<'_>) -> Vec<String> {
    message.headers().iter().map(|header| header.name().to_owned()).collect()
}

fn unix(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[test]
fn another_parser_reads_what_was_meant() {
    let mail = mail();
    let bytes = formatted(&mail);
    let read = parsed(&bytes);
    assert_eq!(read.subject(), Some("Confirm your address"));
    assert_eq!(read.message_id(), Some("mail_01j9z8k7m6n5p4q3r2s1t0v9w8@tenfold.example"));
    assert_eq!(read.date().unwrap().to_rfc3339(), "2026-03-05T14:07:07Z");
    let from = read.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("Tenfold"), Some("no-reply@tenfold.example")));
    let to = read.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("Ada Lovelace"), Some("ada@example.org")));
    assert_eq!(read.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
    assert!(read.is_content_type("multipart", "alternative"));
    assert_eq!(unix(&read.body_text(0).unwrap()).trim_end(), mail.text.trim_end());
    assert_eq!(unix(&read.body_html(0).unwrap()).trim_end(), mail.html.unwrap().trim_end());
    assert!(bytes.is_ascii());
    assert!(
        bytes.split(|byte| *byte == b'\n').all(|line| line.len() <= 998 && line.last().is_none_or(|end| *end == b'\r'))
    );
}

#[test]
fn what_is_not_ascii_is_encoded() {
    let mail = Mail {
        to: vec![ada(Some("Zoë Ångström-Łukasiewicz 数学"))],
        subject: "Bestätige deine Adresse bei Größe & Söhne — und zwar bald, denn der Link läuft ab 🕐".to_owned(),
        text: "Grüße\n".to_owned(),
        html: Some("<p>Grüße &amp; mehr</p>\n".to_owned()),
        ..mail()
    };
    let bytes = formatted(&mail);
    assert!(bytes.is_ascii());
    let read = parsed(&bytes);
    assert_eq!(read.subject(), Some(mail.subject.as_str()));
    assert_eq!(read.to().unwrap().first().unwrap().name(), mail.to[0].name.as_deref());
    assert_eq!(unix(&read.body_text(0).unwrap()).trim_end(), "Grüße");
    assert_eq!(unix(&read.body_html(0).unwrap()).trim_end(), "<p>Grüße &amp; mehr</p>");
    let text = String::from_utf8(bytes.clone()).unwrap();
    // RFC 2047, section 2.
    assert!(text.split_whitespace().filter(|word| word.starts_with("=?")).all(|word| word.len() <= 75), "{text}");
}

#[test]
fn no_header_comes_out_of_a_name_or_a_subject() {
    let plain = formatted(&mail());
    let expected = header_names(&parsed(&plain));
    for hostile in [
        "Ada\r\nBcc: eve@evil.example",
        "Ada\nBcc: eve@evil.example\n\n<p>body",
        "Ada\r\n\r\nbody",
        "Ada\u{202e}gro.live@evil\u{2066}",
        "Ada\" <eve@evil.example>, \"",
        "=?utf-8?b?QWRhDQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=",
        "Ada\0\u{b}\u{7f}\u{85}\u{2028}Bcc: eve@evil.example",
    ] {
        let mail = Mail { to: vec![ada(Some(hostile))], subject: hostile.to_owned(), ..mail() };
        let bytes = formatted(&mail);
        let read = parsed(&bytes);
        assert_eq!(header_names(&read), expected, "{hostile:?}");
        assert!(read.bcc().is_none() && read.to().unwrap().as_list().unwrap().len() == 1, "{hostile:?}");
        assert_eq!(read.to().unwrap().first().unwrap().address(), Some("ada@example.org"), "{hostile:?}");
        for shown in [read.subject().unwrap(), read.to().unwrap().first().unwrap().name().unwrap()] {
            assert_eq!(shown, header_text(hostile));
            assert!(!shown.contains(['\r', '\n', '\0', '\u{202e}', '\u{2066}']), "{shown:?}");
        }
    }
}

#[test]
fn several_recipients_get_one_mail_whose_answers_go_elsewhere() {
    let other = Recipient { address: "bob@example.org".to_owned(), name: None };
    let mail = Mail { to: vec![ada(None), other], reply_to: Some("desk@example.org".to_owned()), html: None, ..mail() };
    let built = message(&mail, &"Tenfold <no-reply@tenfold.example>".parse().unwrap()).unwrap();
    let envelope: Vec<_> = built.envelope().to().iter().map(ToString::to_string).collect();
    assert_eq!(envelope, ["ada@example.org", "bob@example.org"]);
    let bytes = built.formatted();
    let read = parsed(&bytes);
    let shown: Vec<_> = read.to().unwrap().as_list().unwrap().iter().map(|one| one.address().unwrap()).collect();
    assert_eq!(shown, envelope);
    assert_eq!(read.reply_to().unwrap().first().unwrap().address(), Some("desk@example.org"));
    assert!(read.is_content_type("text", "plain"));
    assert_eq!(unix(&read.body_text(0).unwrap()).trim_end(), mail.text.trim_end());
}

#[test]
fn an_address_that_is_none_is_refused_without_being_repeated() {
    let to = |address: &str| Mail { to: vec![Recipient { address: address.to_owned(), name: None }], ..mail() };
    for bad in
        ["", "ada", "@example.org", "ada@", "ada@example.org\r\nBcc: e@evil.example", "a b@example.org", "a@b>,<c@d"]
    {
        let error = message(&to(bad), &"a@b.example".parse().unwrap()).unwrap_err();
        assert!(matches!(error, MimeError::Recipient(_)), "{bad:?}");
        assert!(!is_address(bad));
        let answered = Mail { reply_to: Some(bad.to_owned()), ..mail() };
        assert!(message(&answered, &"a@b.example".parse().unwrap()).is_err(), "{bad:?}");
        assert!(bad.is_empty() || !format!("{error} {error:?}").contains(bad), "{bad:?}");
    }
}

#[test]
fn a_message_id_is_safe_in_a_header_and_in_a_path() {
    let id = |text: &str| text.parse::<MessageId>();
    assert!(id("mail_01J-x").is_ok() && id(&"a".repeat(128)).is_ok());
    for bad in ["", "../x", "a/b", "a b", "a\n", "a.b", "ä", &"a".repeat(129)] {
        assert_eq!(id(bad), Err(InvalidMessageId), "{bad:?}");
    }
    let tenant = crate::id::TenantId::new(mail().date, &crate::random::Random::seeded(1));
    assert_eq!(id(&tenant.to_string()), Ok(MessageId::from(tenant)));
}

#[test]
fn a_mail_shows_neither_address_nor_content() {
    let shown = format!("{:?}", mail());
    assert!(shown.contains("mail_01j9") && !shown.contains("ada") && !shown.contains("https"), "{shown}");
}

proptest! {
    #[test]
    fn any_name_subject_and_content_is_read_as_it_was_meant(
        name in ".{0,90}",
        subject in "(.|[\r\n\t \"<>,;:@=?\\\\]){0,120}",
        text in "(.|\n){1,300}",
    ) {
        let mail = Mail { to: vec![ada(Some(&name))], subject: subject.clone(), text: text.clone(), ..mail() };
        let bytes = formatted(&mail);
        let read = parsed(&bytes);
        prop_assert_eq!(header_names(&read), header_names(&parsed(&formatted(&super::tests::mail()))));
        prop_assert_eq!(read.subject().unwrap_or_default(), header_text(&subject));
        let to = read.to().unwrap().first().unwrap();
        prop_assert_eq!(to.name().unwrap_or_default(), header_text(&name));
        prop_assert_eq!(to.address(), Some("ada@example.org"));
        prop_assert!(bytes.is_ascii());
    }
}
