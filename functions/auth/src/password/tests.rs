//! What may be chosen, and what a hash tells.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shared::random::Random;

use super::*;

const PHRASE: &str = "correct horse battery staple";

fn refused(text: &str, context: &[&str]) -> &'static str {
    Password::chosen(text, context).unwrap_err().code
}

/// A stored hash as it is read.
fn stored(phc: &str) -> PasswordHash {
    serde_json::from_value(phc.into()).unwrap()
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

#[test]
fn only_the_password_matches_its_hash() {
    let random = Random::seeded(1);
    let hash = PasswordHash::of(&Password::chosen(PHRASE, &[]).unwrap(), &random).unwrap();
    assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
    assert!(hash.verify(&Password::offered(PHRASE)));
    for wrong in ["Correct horse battery staple", "correct horse battery staple ", "", "x"] {
        assert!(!hash.verify(&Password::offered(wrong)), "{wrong}");
    }
    assert_ne!(hash, PasswordHash::of(&Password::offered(PHRASE), &random).unwrap());
    assert_eq!(stored(hash.expose()), hash);
}

#[test]
fn every_way_to_type_a_password_is_the_same_password() {
    let hash = PasswordHash::of(&Password::chosen("Blåbærgrød \u{2460}", &[]).unwrap(), &Random::seeded(2)).unwrap();
    assert!(hash.verify(&Password::offered("Bla\u{30a}bærgrød 1")));
    let read: Password = serde_json::from_str("\"Bla\\u030abærgrød 1\"").unwrap();
    assert!(hash.verify(&read));
}

#[test]
fn a_password_that_nobody_can_choose_never_matches() {
    let random = Random::seeded(3);
    for text in ["", "short", &"long".repeat(100_000)] {
        let hash = PasswordHash::of(&Password::offered(text), &random).unwrap();
        assert!(!hash.verify(&Password::offered(text)));
    }
    let longest: String = ('a'..='z').cycle().step_by(5).take(128).collect();
    let hash = PasswordHash::of(&Password::chosen(&longest, &[]).unwrap(), &random).unwrap();
    assert!(hash.verify(&Password::offered(&longest)) && !hash.verify(&Password::offered(&format!("{longest}x"))));
}

#[test]
fn the_decoy_has_the_present_parameters_and_no_password() {
    let decoy = PasswordHash::decoy();
    assert!(!decoy.needs_rehash());
    assert!(!decoy.verify(&Password::offered(PHRASE)));
    let real = PasswordHash::of(&Password::offered(PHRASE), &Random::seeded(4)).unwrap();
    let parameters = |hash: &PasswordHash| hash.expose().split('$').take(4).collect::<Vec<_>>().join("$");
    assert_eq!(parameters(&decoy), parameters(&real));
    assert_eq!(decoy.expose().len(), real.expose().len());
}

#[test]
fn hashes_of_the_reference_implementation_are_verified() {
    // Made by argon2-cffi of the phrase with the salt `somesaltsomesalt`.
    for phc in [
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ISO7kkvFzh19GM8qB7patN3C3Y9HHsjlVTfEZ9T600Y",
        "$argon2id$v=19$m=4096,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$GvFLJdVJmUxiS+aX2y+etsr+icxSsE0od89PMAhuOAw",
        "$argon2i$v=19$m=1024,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$BWDkOgfpDHdxsvIrrmKD2hY4t+903tLfwFCC93CGLqc",
    ] {
        let hash = stored(phc);
        assert!(hash.verify(&Password::offered(PHRASE)), "{phc}");
        assert!(!hash.verify(&Password::offered("correct horse battery stable")), "{phc}");
    }
}

#[test]
fn a_weaker_hash_is_to_be_made_anew() {
    let (salt, zeros) = ("c29tZXNhbHRzb21lc2FsdA", "A".repeat(43));
    for (start, weak) in [
        ("$argon2id$v=19$m=19456,t=2,p=1", false),
        ("$argon2id$v=19$m=65536,t=3,p=4", false),
        ("$argon2id$v=19$m=19455,t=2,p=1", true),
        ("$argon2id$v=19$m=65536,t=1,p=1", true),
        ("$argon2id$v=16$m=19456,t=2,p=1", true),
        ("$argon2id$m=19456,t=2,p=1", true),
        ("$argon2i$v=19$m=19456,t=2,p=1", true),
        ("$argon2d$v=19$m=19456,t=2,p=1", true),
        ("$2b$12$", true),
    ] {
        assert_eq!(stored(&format!("{start}${salt}${zeros}")).needs_rehash(), weak, "{start}");
    }
    assert!(stored("").needs_rehash());
}

#[test]
fn a_hash_that_asks_for_too_much_is_not_computed() {
    let phrase = Password::offered(PHRASE);
    let (salt, hash) = ("c29tZXNhbHRzb21lc2FsdA", "A".repeat(43));
    // Each of them would take hours or the machine's memory.
    for parameters in ["m=4194304,t=2,p=1", "m=262145,t=1,p=1", "m=19456,t=4294967295,p=1", "m=19456,t=11,p=1"] {
        let hash = stored(&format!("$argon2id$v=19${parameters}${salt}${hash}"));
        assert!(!hash.verify(&phrase) && hash.needs_rehash(), "{parameters}");
    }
}

#[test]
fn nothing_prints() {
    let password = Password::offered("hunter2-hunter2");
    assert!(!format!("{password:?} {:?}", stored("hunter2-hunter2")).contains("hunter2"));
}

proptest! {
    #[test]
    fn no_stored_text_stops_a_check(
        text in "\\$?argon2(id|i|x)?\\$?(v=[0-9]{0,3})?\\$?(m=[0-9]{0,3},t=[0-9],p=[0-9])?\\PC{0,40}"
    ) {
        let hash = stored(&text);
        let _ = hash.verify(&Password::offered(PHRASE));
        let _ = hash.needs_rehash();
    }

    #[test]
    fn what_is_chosen_has_a_length_that_is_allowed(text in "\\PC{0,140}") {
        let normalised = text.nfkc().count();
        let refusal = Password::chosen(&text, &[]).err().map(|refusal| refusal.code);
        prop_assert_eq!(refusal == Some("too_short"), normalised < 8);
        prop_assert_eq!(refusal == Some("too_long"), normalised > 128);
    }
}
