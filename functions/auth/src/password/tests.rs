//! What may be chosen, and what matches.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shared::random::Random;

use super::*;

const PHRASE: &str = "correct horse battery staple";

fn refused(text: &str, context: &[&str]) -> &'static str {
    Password::chosen(text, context).unwrap_err().code
}

#[test]
fn lengths_are_counted_in_characters_after_normalisation() {
    assert_eq!(refused("walnut7", &[]), "too_short");
    assert!(Password::chosen("walnut7x", &[]).is_ok());
    let long: String = ('a'..='z').cycle().step_by(5).take(129).collect();
    assert!(Password::chosen(&long[..128], &[]).is_ok());
    assert_eq!(refused(&long, &[]), "too_long");
    // A letter and its accent are one character, a ligature is two.
    assert!(Password::chosen("e\u{301}u\u{308}walnut", &[]).is_ok());
    assert_eq!(refused("e\u{301}u\u{308}walnu", &[]), "too_short");
    assert!(Password::chosen("\u{fb00}walnut", &[]).is_ok());
    assert_eq!(refused(&"e\u{301}".repeat(100_000), &[]), "too_long");
}

#[test]
fn any_characters_may_be_chosen_and_none_must() {
    for text in [PHRASE, "alllowercaseletters", "🦀 🐢 🦉 🐝 🐙", "пять серых сов", "   walnut   ", "\u{0}nul\u{0}byte"]
    {
        assert!(Password::chosen(text, &["ada@example.com", "Ada"]).is_ok(), "{text}");
    }
}

#[test]
fn common_passwords_and_own_data_are_refused() {
    assert_eq!(refused("PassWord123", &[]), "common");
    assert_eq!(refused("ｐａｓｓｗｏｒｄ", &[]), "common");
    assert_eq!(refused("Lovelace!1815", &["ada@example.com", "Ada Lovelace"]), "own_data");
    assert_eq!(refused("ADA@example.com", &["ada@example.com"]), "own_data");
    let refusal = Password::chosen("sunshine", &[]).unwrap_err().to_string();
    assert_eq!(refusal, "common: is one of the passwords that attackers try first");
}

#[tokio::test]
async fn every_way_to_type_a_password_is_the_same_password() {
    let hash = Password::chosen("Blåbærgrød \u{2460}", &[]).unwrap().hashed(&Random::seeded(2)).await.unwrap();
    assert!(Password::offered("Bla\u{30a}bærgrød 1").matches(hash.clone()).await.unwrap());
    let read: Password = serde_json::from_str("\"Bla\\u030abærgrød 1\"").unwrap();
    assert!(read.matches(hash.clone()).await.unwrap());
    assert!(!Password::offered("Bla\u{30a}bærgrød 2").matches(hash).await.unwrap());
}

#[tokio::test]
async fn a_password_that_nobody_can_choose_never_matches() {
    let random = Random::seeded(3);
    for text in ["", "short", &"long".repeat(100_000)] {
        let hash = Password::offered(text).hashed(&random).await.unwrap();
        assert!(!Password::offered(text).matches(hash).await.unwrap());
    }
    let longest: String = ('a'..='z').cycle().step_by(5).take(128).collect();
    let hash = Password::chosen(&longest, &[]).unwrap().hashed(&random).await.unwrap();
    assert!(Password::offered(&longest).matches(hash.clone()).await.unwrap());
    assert!(!Password::offered(&format!("{longest}x")).matches(hash).await.unwrap());
}

#[test]
fn a_password_does_not_print() {
    assert!(!format!("{:?}", Password::offered("hunter2-hunter2")).contains("hunter2"));
}

proptest! {
    #[test]
    fn what_is_chosen_has_a_length_that_is_allowed(text in "\\PC{0,140}") {
        let normalised = text.nfkc().count();
        let refusal = Password::chosen(&text, &[]).err().map(|refusal| refusal.code);
        prop_assert_eq!(refusal == Some("too_short"), normalised < 8);
        prop_assert_eq!(refusal == Some("too_long"), normalised > 128);
    }
}
