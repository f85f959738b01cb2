//! How links are made and edited.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;
use crate::link::tests::link;

fn base() -> Url {
    Url::parse("https://short.example/l/").unwrap()
}

fn now() -> Timestamp {
    "2026-05-04T12:00:00.123456Z".parse().unwrap()
}

fn new(body: Value) -> NewLink {
    serde_json::from_value(body).unwrap()
}

fn check(body: Value) -> Result<Draft, Vec<Fault>> {
    let blocklist: Blocklist = serde_json::from_value(json!(["evil.example"])).unwrap();
    new(body).check(&Rules { now: now(), base: &base(), blocklist: &blocklist })
}

fn edit(link: &Link, patch: &Value) -> Result<Edit, Vec<Fault>> {
    let mut body = serde_json::to_value(link.editable()).unwrap();
    for (name, value) in patch.as_object().unwrap() {
        body.as_object_mut().unwrap().insert(name.clone(), value.clone());
    }
    let blocklist: Blocklist = serde_json::from_value(json!(["evil.example"])).unwrap();
    let edited = serde_json::from_value(body).unwrap();
    link.edit(edited, &Rules { now: now(), base: &base(), blocklist: &blocklist })
}

fn codes<T: std::fmt::Debug>(result: Result<T, Vec<Fault>>) -> Vec<(&'static str, &'static str)> {
    result.unwrap_err().into_iter().map(|fault| (fault.pointer, fault.refusal.code)).collect()
}

fn origin() -> Origin {
    let random = Random::seeded(4);
    Origin {
        id: LinkId::new(now(), &random),
        tenant_id: TenantId::new(now(), &random),
        created_by: "user_1".to_owned(),
        now: now(),
    }
}

#[test]
fn a_target_is_enough() {
    let random = Random::seeded(1);
    let draft = check(json!({"target": "https://example.com"})).unwrap();
    assert!(!draft.has_alias() && draft.password().is_none());
    let (first, second) = (draft.slug(&random), draft.slug(&random));
    assert_eq!(first.as_str().len(), 7);
    assert_ne!(first, second);
    let link = draft.into_link(origin(), first, None);
    assert_eq!((link.revision, link.clicks_used, link.archived), (1, 0, false));
    assert_eq!(link.redirect_status, RedirectStatus::Found);
    assert_eq!(link.created_at.to_string(), "2026-05-04T12:00:00.123Z");
}

#[test]
fn every_field_arrives() {
    let random = Random::seeded(2);
    let draft = check(json!({
        "target": "https://example.com", "alias": "Sale", "redirect_status": 308, "title": "T", "note": "N",
        "tags": ["a"], "starts_at": "2026-05-05T00:00:00Z", "expires_at": "2026-05-06T00:00:00+02:00",
        "max_clicks": 3, "password": "correct horse",
    }))
    .unwrap();
    assert!(draft.has_alias());
    let hash = draft.password().unwrap().hash(&random).unwrap();
    let slug = draft.slug(&random);
    let link = draft.into_link(origin(), slug, Some(hash));
    assert_eq!(link.slug.as_str(), "Sale");
    assert_eq!(link.redirect_status.code(), 308);
    assert_eq!(link.max_clicks.unwrap().get(), 3);
    assert!(link.tags.iter().any(|tag| tag.as_str() == "a"));
    assert_eq!(link.expires_at.unwrap().to_string(), "2026-05-05T22:00:00Z");
    assert!(link.password_hash.unwrap().matches(b"correct horse"));
}

#[test]
fn an_unguessable_slug_is_long() {
    let draft = check(json!({"target": "https://example.com", "unguessable": true})).unwrap();
    assert_eq!(draft.slug(&Random::seeded(1)).as_str().len(), 26);
}

#[test]
fn all_bad_fields_are_reported_at_once() {
    let refused = check(json!({
        "target": "https://shop.evil.example", "alias": "sale", "unguessable": true, "expires_at": "2026-05-04T12:00:00.123456Z",
    }));
    assert_eq!(codes(refused), [("/target", "blocked"), ("/unguessable", "conflict"), ("/expires_at", "in_the_past")]);
    let refused = check(json!({
        "target": "https://short.example/l/other",
        "starts_at": "2026-06-01T00:00:00Z", "expires_at": "2026-06-01T00:00:00Z",
    }));
    assert_eq!(codes(refused), [("/target", "loop"), ("/expires_at", "before_start")]);
}

#[test]
fn a_typo_is_refused() {
    let refused = serde_json::from_value::<NewLink>(json!({"target": "https://example.com", "expire_at": null}));
    assert!(refused.unwrap_err().to_string().starts_with("unknown field `expire_at`"));
}

#[test]
fn an_edit_changes_what_it_names_and_nothing_else() {
    let link = Link { clicks_used: 7, title: Some("Old".to_owned().try_into().unwrap()), ..link() };
    let edited = edit(&link, &json!({"note": "New", "title": null, "archived": true})).unwrap().into_link(None);
    let expected = Link {
        note: Some("New".to_owned().try_into().unwrap()),
        title: None,
        archived: true,
        updated_at: to_millisecond(now()),
        revision: 2,
        ..link
    };
    assert_eq!(edited, expected);
}

#[test]
fn what_stays_is_not_checked_again() {
    let old =
        Link { target: "https://evil.example".parse().unwrap(), expires_at: Some(Timestamp::UNIX_EPOCH), ..link() };
    assert!(edit(&old, &json!({"title": "T"})).is_ok());
    assert!(edit(&old, &json!({"expires_at": null})).is_ok());
    assert_eq!(codes(edit(&old, &json!({"target": "https://evil.example/x"}))), [("/target", "blocked")]);
    assert_eq!(codes(edit(&old, &json!({"expires_at": "2026-05-04T11:00:00Z"}))), [("/expires_at", "in_the_past")]);
    assert_eq!(codes(edit(&old, &json!({"starts_at": "2026-05-05T00:00:00Z"}))), [("/expires_at", "before_start")]);
}

#[test]
fn a_password_is_kept_replaced_or_removed() {
    let random = Random::seeded(3);
    let hash = |text: &str| PasswordHash::of(text.as_bytes(), &random).unwrap();
    let locked = Link { password_hash: Some(hash("first one")), ..link() };

    let kept = edit(&locked, &json!({"title": "T"})).unwrap();
    assert!(kept.password().is_none());
    assert_eq!(kept.into_link(None).password_hash, locked.password_hash);

    let replaced = edit(&locked, &json!({"password": "second one"})).unwrap();
    let new_hash = replaced.password().unwrap().hash(&random).unwrap();
    assert!(replaced.into_link(Some(new_hash)).password_hash.unwrap().matches(b"second one"));

    let removed = edit(&locked, &json!({"password": null})).unwrap();
    assert!(removed.password().is_none());
    assert_eq!(removed.into_link(None).password_hash, None);

    assert_eq!(codes(edit(&link(), &json!({"password": true}))), [("/password", "invalid_type")]);
    for (bad, code) in [(json!(false), "invalid_type: "), (json!(1), "invalid_type: "), (json!("abc"), "too_short: ")] {
        let refused = serde_json::from_value::<EditedPassword>(bad).unwrap_err().to_string();
        assert!(refused.starts_with(code), "{refused}");
    }
}

#[test]
fn a_new_password_is_not_written_out() {
    let editable = Editable {
        password: Some(EditedPassword::Set("correct horse".to_owned().try_into().unwrap())),
        ..link().editable()
    };
    assert!(!serde_json::to_string(&editable).unwrap().contains("correct"));
    assert!(!format!("{editable:?}").contains("correct"));
}

#[test]
fn a_title_or_tag_that_turns_the_direction_of_text_is_refused_unless_it_was_there() {
    let turned = json!({"target": "https://example.com", "title": "exe.\u{202e}gnp", "tags": ["a\u{61c}"]});
    assert_eq!(codes(check(turned)), [("/title", "control_character"), ("/tags", "control_character")]);
    let before = Link { title: Some("exe.\u{202e}gnp".to_owned().try_into().unwrap()), ..link() };
    assert!(edit(&before, &json!({"archived": true})).is_ok());
    assert_eq!(codes(edit(&before, &json!({"title": "\u{200f}x"}))), [("/title", "control_character")]);
}
