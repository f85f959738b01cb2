//! What a hash tells, and hashes made elsewhere.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const PHRASE: &[u8] = b"correct horse battery staple";

/// A stored hash as it is read.
fn stored(phc: &str) -> PasswordHash {
    serde_json::from_value(phc.into()).unwrap()
}

#[test]
fn only_the_password_matches_its_hash() {
    let random = Random::seeded(1);
    let hash = PasswordHash::of(PHRASE, &random).unwrap();
    assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
    assert!(hash.matches(PHRASE));
    for wrong in ["Correct horse battery staple", "correct horse battery staple ", "", "x"] {
        assert!(!hash.matches(wrong.as_bytes()), "{wrong}");
    }
    assert_ne!(hash, PasswordHash::of(PHRASE, &random).unwrap());
    assert_eq!(stored(hash.expose()), hash);
}

#[test]
fn a_hash_does_not_depend_on_what_the_memory_was_used_for_before() {
    let recipe = Recipe::draw(&Random::seeded(5)).unwrap();
    let first = recipe.hash(PHRASE).unwrap();
    recipe.hash(b"another one").unwrap();
    assert_eq!(recipe.hash(PHRASE).unwrap(), first);
    assert_eq!(Recipe::parse(&recipe.to_string()), Some(recipe));
}

#[test]
fn the_decoy_has_the_present_parameters_and_no_password() {
    let decoy = PasswordHash::decoy();
    assert!(!decoy.needs_rehash());
    assert!(!decoy.matches(PHRASE));
    let real = PasswordHash::of(PHRASE, &Random::seeded(4)).unwrap();
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
        assert!(hash.matches(PHRASE), "{phc}");
        assert!(!hash.matches(b"correct horse battery stable"), "{phc}");
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
    let (salt, hash) = ("c29tZXNhbHRzb21lc2FsdA", "A".repeat(43));
    // Each of them would take hours or the machine's memory.
    for parameters in ["m=4194304,t=2,p=1", "m=262145,t=1,p=1", "m=19456,t=4294967295,p=1", "m=19456,t=11,p=1"] {
        let hash = stored(&format!("$argon2id$v=19${parameters}${salt}${hash}"));
        assert!(!hash.matches(PHRASE) && hash.needs_rehash(), "{parameters}");
    }
}

#[test]
fn a_hash_does_not_print() {
    assert!(!format!("{:?}", stored("hunter2-hunter2")).contains("hunter2"));
}

proptest! {
    #[test]
    fn no_stored_text_stops_a_check(
        text in "\\$?argon2(id|i|x)?\\$?(v=[0-9]{0,3})?\\$?(m=[0-9]{0,3},t=[0-9],p=[0-9])?\\PC{0,40}"
    ) {
        let hash = stored(&text);
        let _ = hash.matches(PHRASE);
        let _ = hash.needs_rehash();
    }
}
