//! Every message is rendered from its example and looked at as a mail program would.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use roxmltree::{Document, ParsingOptions};

use super::*;

/// What a hostile user is called, calls a device and calls a factor.
const HOSTILE: &str = "<script>alert(1)</script>{{ 7*7 }}{% raw %}\r\nBcc: eve@evil.example\n\nVisit https://evil.example \u{202e}\"'&amp;";

fn product() -> Product {
    Product { name: "Tenfold".to_owned(), app_url: "https://app.example.com/".parse().unwrap() }
}

fn rendered(message: &Message, to_name: &str) -> Rendered {
    message.render(&product(), Some(to_name)).unwrap()
}

/// The HTML as a tree. The templates are written so that they are XML, too, which any parser checks.
fn parsed(html: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(html, options).unwrap_or_else(|error| panic!("{error}\n{html}"))
}

/// The text that a reader sees.
fn seen(html: &str) -> String {
    let document = parsed(html);
    let body = document.descendants().find(|node| node.has_tag_name("body")).unwrap();
    body.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text()).collect::<Vec<_>>().join("")
}

fn tags(html: &str) -> Vec<String> {
    let document = parsed(html);
    document.descendants().filter(roxmltree::Node::is_element).map(|node| node.tag_name().name().to_owned()).collect()
}

fn link(message: &Message) -> Option<&str> {
    match message {
        Message::VerifyEmail { link, .. } | Message::SignInLink { link, .. } | Message::ResetPassword { link, .. } => {
            Some(link.as_str())
        }
        _ => None,
    }
}

#[test]
fn every_message_has_an_example_and_its_own_subject() {
    let examples = Message::examples();
    let names: BTreeSet<&str> = examples.iter().map(|(name, _)| *name).collect();
    let parts = ["layout", "link", "code", "occurrence", "not_you"];
    let files = SOURCES.iter().filter_map(|(file, _)| file.strip_suffix(".html")).filter(|name| !parts.contains(name));
    assert_eq!(names, files.collect());
    assert_eq!(names.len(), examples.len());
    let subjects: BTreeSet<String> = examples.iter().map(|(_, message)| rendered(message, "Ada").subject).collect();
    assert_eq!(subjects.len(), examples.len());
    assert!(subjects.iter().all(|subject| subject.contains("Tenfold") && subject.len() <= 60), "{subjects:?}");
}

#[test]
fn the_text_has_the_link_once_on_a_line_of_its_own_and_short_lines() {
    for (name, message) in Message::examples() {
        let text = rendered(&message, "Ada").text;
        if let Some(link) = link(&message) {
            assert_eq!(text.lines().filter(|line| *line == link).count(), 1, "{name}: {text}");
            assert_eq!(text.matches("token=").count(), 1, "{name}: {text}");
        }
        assert!(text.lines().all(|line| line.len() <= 78 || line.starts_with("https://")), "{name}: {text}");
        assert!(!text.contains("\n\n\n") && !text.starts_with('\n') && text.ends_with(".\n"), "{name}: {text}");
        assert!(text.lines().all(|line| line == line.trim()), "{name}: {text}");
        for left in ["{{", "{%", "&#", "&amp;", "<"] {
            assert!(!text.contains(left), "{name}: {left} in {text}");
        }
    }
}

#[test]
fn the_html_is_well_formed_loads_nothing_and_leads_where_the_text_leads() {
    for (name, message) in Message::examples() {
        let html = rendered(&message, "Ada").html;
        let document = parsed(&html);
        let allowed =
            ["html", "head", "meta", "title", "body", "div", "h1", "p", "bdi", "a", "strong", "ul", "li", "hr"];
        assert!(tags(&html).iter().all(|tag| allowed.contains(&tag.as_str())), "{name}: {html}");
        assert_eq!(tags(&html).iter().filter(|tag| *tag == "h1").count(), 1);
        assert_eq!(document.root_element().attribute("lang"), Some("en"));
        let leads: Vec<&str> = document.descendants().filter_map(|node| node.attribute("href")).collect();
        for target in &leads {
            assert_eq!(*target, link(&message).unwrap_or("https://app.example.com/"), "{name}");
        }
        assert!(leads.len() <= 1, "{name}: {leads:?}");
        for node in document.descendants() {
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on") && !attribute.value().contains("url("), "{name}");
            }
        }
        assert!(!html.contains("{{") && !html.contains("{%") && html.len() < 6000, "{name}: {html}");
    }
}

#[test]
fn html_and_text_say_the_same() {
    // What is read in one form alone: the heading, the words around a link.
    for (name, message) in Message::examples() {
        let Rendered { html, text, .. } = rendered(&message, "Ada");
        let spoken = |text: &str| -> BTreeSet<String> {
            let words = text.split(|character: char| !character.is_alphanumeric()).filter(|word| word.len() > 3);
            words.map(str::to_lowercase).collect()
        };
        let (html, text) = (spoken(&seen(&html)), spoken(&text));
        let only_in_text: Vec<_> = text.difference(&html).filter(|word| *word != "here").collect();
        assert!(only_in_text.is_empty(), "{name}: {only_in_text:?}");
    }
}

#[test]
fn what_users_chose_changes_neither_structure_nor_lines() {
    for (name, message) in Message::examples() {
        let mut hostile = message.clone();
        if let Message::PasswordChanged { occurrence }
        | Message::EmailChanged { occurrence }
        | Message::NewSignIn { occurrence }
        | Message::PasswordUsed { occurrence }
        | Message::RefreshTokenReused { occurrence }
        | Message::SecondFactorChanged { occurrence, .. }
        | Message::IdentityChanged { occurrence, .. }
        | Message::ConsentGiven { occurrence, .. }
        | Message::AccountDeleted { occurrence } = &mut hostile
        {
            occurrence.device = HOSTILE.to_owned();
        }
        if let Message::SecondFactorChanged { label, .. } = &mut hostile {
            *label = Some(HOSTILE.to_owned());
        }
        if let Message::ConsentGiven { application, tenant, .. } = &mut hostile {
            (*application, *tenant) = (HOSTILE.to_owned(), HOSTILE.to_owned());
        }
        let benign = rendered(&message, "Ada");
        let hostile = rendered(&hostile, HOSTILE);
        assert_eq!(tags(&hostile.html), tags(&benign.html), "{name}");
        assert_eq!(hostile.text.lines().count(), benign.text.lines().count(), "{name}: {}", hostile.text);
        assert_eq!(hostile.subject, benign.subject);
        assert!(!hostile.html.contains("<script"), "{name}: {}", hostile.html);
        for form in [&hostile.text, &hostile.html] {
            for trick in ["49", "\u{202e}", "Bcc:", "evil.example", "https://evil", "https:&#x2f;&#x2f;evil"] {
                assert!(!form.replace("483920", "").contains(trick), "{name}: {trick} in {form}");
            }
        }
    }
}

#[test]
fn a_name_is_greeted_but_not_at_an_address_that_is_not_verified() {
    for (name, message) in Message::examples() {
        let Rendered { html, text, .. } = rendered(&message, "Ada <Lovelace>");
        let greeted = name != "verify_email";
        assert_eq!(text.starts_with("Hello Ada <Lovelace>,\n\n"), greeted, "{name}: {text}");
        assert_eq!(html.contains("Hello <bdi>Ada &lt;Lovelace&gt;</bdi>,"), greeted, "{name}: {html}");
        let Rendered { html, text, .. } = message.render(&product(), None).unwrap();
        assert!(!html.contains("Hello") && !text.contains("Hello"), "{name}");
    }
}

#[test]
fn times_and_durations_are_written_for_people() {
    let examples = Message::examples();
    let text = |name: &str| rendered(&examples.iter().find(|(other, _)| *other == name).unwrap().1, "Ada").text;
    assert!(text("verify_email").contains("work for 24 hours, once"));
    assert!(text("reset_password").contains("works for 1 hour, once"));
    assert!(text("sign_in_link").contains("work for 10 minutes, once"));
    assert!(text("sign_in_link").contains("enter this code: 483920\n"));
    let notice = "When:    5 March 2026 at 14:07 UTC\nDevice:  Firefox 128 on Linux\nNetwork: 203.0.113.0/24\n";
    assert!(text("new_sign_in").contains(notice), "{}", text("new_sign_in"));
    assert!(text("second_factor_changed").contains("\nAdded: passkey called Phone in my pocket\n"));
    assert!(text("identity_changed").contains("\nAdded: sign-in with google\n"));
    let scopes = "may do:\n- Know who you are: your user id.\n- See links and their statistics.\n- ";
    assert!(text("consent_given").contains(scopes), "{}", text("consent_given"));
}

#[test]
fn a_message_survives_a_queue_and_shows_no_secret() {
    for (name, message) in Message::examples() {
        let json = serde_json::to_string(&message).unwrap();
        assert!(json.starts_with(&format!("{{\"name\":\"{name}\"")), "{json}");
        assert_eq!(serde_json::from_str::<Message>(&json).unwrap(), message);
        let shown = format!("{message:?} {:?}", rendered(&message, "Ada"));
        assert!(shown.starts_with(&format!("Message({name})")), "{shown}");
        assert!(!shown.contains("https") && !shown.contains("483920"), "{shown}");
    }
}
