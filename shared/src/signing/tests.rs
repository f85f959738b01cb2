#![allow(clippy::unwrap_used)]
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::random::Random;
use crate::time::SignedDuration;

/// The message of the tests of the libraries by the authors of the specification, and of their server's.
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SECONDS: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECRET_SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const PRIVATE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const PRIVATE_ALONE: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const PRIVATE_SIGNED: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

fn sent_at() -> Timestamp {
    Timestamp::from_second(SECONDS).unwrap()
}

fn signer(keys: &[&str]) -> Signer {
    Signer::new(keys.iter().map(|key| key.parse::<Key>().unwrap())).unwrap()
}

fn verifier(keys: &[&str]) -> Verifier {
    Verifier::new(keys.iter().map(|key| key.parse::<VerifyingKey>().unwrap())).unwrap()
}

/// The headers of the message with other values.
fn headers(changes: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = signer(&[SECRET]).sign(ID, sent_at(), BODY).unwrap();
    for (name, value) in changes {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn verified(headers: &HeaderMap) -> Result<Verified<'_>, VerifyError> {
    verifier(&[SECRET]).verify(headers, BODY, sent_at())
}

#[test]
fn signatures_are_those_of_others() {
    for (key, signature) in [(SECRET, SECRET_SIGNED), (PRIVATE, PRIVATE_SIGNED), (PRIVATE_ALONE, PRIVATE_SIGNED)] {
        let headers = signer(&[key]).sign(ID, sent_at(), BODY).unwrap();
        assert_eq!((&headers[ID_HEADER], &headers[TIMESTAMP_HEADER]), (&ID.parse().unwrap(), &SECONDS.into()));
        assert_eq!(headers[SIGNATURE_HEADER], signature);
    }
    // The Rust library's.
    let (id, at) = ("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", Timestamp::from_second(1_649_367_553).unwrap());
    let body = br#"{"email":"test@example.com","username":"test_user"}"#;
    let headers = signer(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]).sign(id, at, body).unwrap();
    assert_eq!(headers[SIGNATURE_HEADER], "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
}

#[test]
fn each_key_signs_and_any_of_them_verifies() {
    let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let headers = signer(&[PRIVATE, SECRET]).sign(ID, sent_at(), BODY).unwrap();
    assert_eq!(headers[SIGNATURE_HEADER], format!("{PRIVATE_SIGNED} {SECRET_SIGNED}"));
    for keys in [&[SECRET][..], &[PUBLIC], &[other, SECRET], &[other, PUBLIC]] {
        let verified = verifier(keys).verify(&headers, BODY, sent_at()).unwrap();
        assert_eq!(verified, Verified { id: ID, sent_at: sent_at() });
    }
    assert_eq!(verifier(&[other]).verify(&headers, BODY, sent_at()), Err(VerifyError::NoMatch));
}

#[test]
fn signatures_of_other_schemes_and_garbled_ones_are_passed_over() {
    let wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    let value = format!("{wrong} v2,{wrong} v1 , v1, v1,! v3  {SECRET_SIGNED} {wrong}");
    verified(&headers(&[(SIGNATURE_HEADER, &value)])).unwrap();
    let (_, tag) = SECRET_SIGNED.split_once(',').unwrap();
    for value in ["", "v1,", tag, &SECRET_SIGNED[..40], &format!("v1a,{tag}"), &format!("V1,{tag}"), PRIVATE_SIGNED] {
        assert_eq!(verified(&headers(&[(SIGNATURE_HEADER, value)])), Err(VerifyError::NoMatch), "{value}");
    }
    // Neither scheme takes the other's signature, nor a shared secret the place of a public key.
    let swapped = headers(&[(SIGNATURE_HEADER, &PRIVATE_SIGNED.replace("v1a", "v1"))]);
    assert_eq!(verifier(&[PUBLIC]).verify(&swapped, BODY, sent_at()), Err(VerifyError::NoMatch));
}

#[test]
fn as_many_signatures_as_the_limit_are_looked_at() {
    let list = |count: usize| vec![SECRET_SIGNED; count].join(" ");
    verified(&headers(&[(SIGNATURE_HEADER, &list(MOST_SIGNATURES))])).unwrap();
    let too_many = headers(&[(SIGNATURE_HEADER, &list(MOST_SIGNATURES + 1))]);
    assert_eq!(verified(&too_many), Err(VerifyError::TooManySignatures));
}

#[test]
fn a_header_that_is_missing_or_there_twice_is_refused() {
    for name in [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER] {
        let (mut missing, mut twice) = (headers(&[]), headers(&[]));
        missing.remove(name);
        assert_eq!(verified(&missing), Err(VerifyError::MissingHeader(name)));
        twice.append(name, twice[name].clone());
        assert_eq!(verified(&twice), Err(VerifyError::InvalidHeader(name)));
        twice.insert(name, HeaderValue::from_bytes(b"\xe4").unwrap());
        assert_eq!(verified(&twice), Err(VerifyError::InvalidHeader(name)));
    }
}

#[test]
fn a_garbled_time_is_refused() {
    for time in ["", "hello", "-1", "+1614265330", "1614265330.0", "1614265330.5", "1e9", "99999999999999999999", "٣"]
    {
        let mut headers = headers(&[]);
        headers.insert(TIMESTAMP_HEADER, HeaderValue::from_bytes(time.as_bytes()).unwrap());
        assert_eq!(verified(&headers), Err(VerifyError::InvalidHeader(TIMESTAMP_HEADER)), "{time}");
    }
    let later = (SECONDS + 1).to_string();
    assert_eq!(verified(&headers(&[(TIMESTAMP_HEADER, &later)])), Err(VerifyError::NoMatch));
}

#[test]
fn a_request_is_taken_within_the_tolerance_alone() {
    let headers = headers(&[]);
    let (default, short) = (verifier(&[SECRET]), verifier(&[SECRET]).with_tolerance(SignedDuration::from_secs(1)));
    for (verifier, tolerance) in [(default, TOLERANCE), (short, SignedDuration::from_secs(1))] {
        let at = |after: SignedDuration| verifier.verify(&headers, BODY, sent_at() + after).map(|_| ());
        let beyond = tolerance + SignedDuration::from_millis(1);
        assert_eq!((at(tolerance), at(-tolerance)), (Ok(()), Ok(())));
        assert_eq!((at(beyond), at(-beyond)), (Err(VerifyError::TooOld), Err(VerifyError::TooNew)));
    }
}

#[test]
fn an_id_is_visible_ascii_without_a_full_stop() {
    let (longest, too_long) = ("x".repeat(LONGEST_ID), "x".repeat(LONGEST_ID + 1));
    let signer = signer(&[SECRET]);
    for id in ["msg_1", "job:1/2~", &longest] {
        verified(&signer.sign(id, sent_at(), BODY).unwrap()).unwrap();
    }
    for id in ["", "a.b", "a b", "a\n", "ä", &too_long] {
        assert!(matches!(signer.sign(id, sent_at(), BODY), Err(SignError::InvalidId)), "{id:?}");
    }
    // The same content, cut otherwise.
    let (id, body) = (format!("{ID}.{SECONDS}"), b"6.rest");
    let mut cut = signer.sign(ID, sent_at(), format!("{SECONDS}.6.rest").as_bytes()).unwrap();
    cut.insert(ID_HEADER, HeaderValue::from_str(&id).unwrap());
    assert_eq!(verifier(&[SECRET]).verify(&cut, body, sent_at()), Err(VerifyError::InvalidHeader(ID_HEADER)));
}

#[test]
fn there_are_as_many_keys_as_the_limits_allow() {
    let key = SigningKey::generate(&Random::seeded(1));
    for (count, fits) in [(0, false), (1, true), (MOST_KEYS, true), (MOST_KEYS + 1, false)] {
        assert_eq!(Signer::new(vec![key.clone(); count]).is_ok(), fits);
        assert_eq!(Verifier::new(vec![key.public(); count]).is_ok(), fits);
    }
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        seed: u64, id in "[!-~&&[^.]]{1,40}", seconds in 0..=4_000_000_000_i64, body in vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let (random, sent_at) = (Random::seeded(seed), Timestamp::from_second(seconds).unwrap());
        let (secret, key) = (SigningSecret::generate(&random), SigningKey::generate(&random));
        let headers = Signer::new([Key::from(secret.clone()), key.clone().into()]).unwrap();
        let headers = headers.sign(&id, sent_at, &body).unwrap();
        for known in [VerifyingKey::from(secret), key.public().into()] {
            let verifier = Verifier::new([known]).unwrap();
            let verified = verifier.verify(&headers, &body, sent_at);
            prop_assert_eq!(verified, Ok(Verified { id: id.as_str(), sent_at }));

            let mut altered = [&body[..], b"."].concat();
            altered[at.index(body.len() + 1)] ^= 1 << bit;
            for altered in [&altered[..body.len()], &altered] {
                let same = altered == body;
                prop_assert_eq!(verifier.verify(&headers, altered, sent_at).is_ok(), same);
            }
            let mut other_id = headers.clone();
            other_id.insert(ID_HEADER, HeaderValue::from_str(&format!("{id}x")).unwrap());
            prop_assert_eq!(verifier.verify(&other_id, &body, sent_at), Err(VerifyError::NoMatch));
        }
    }

    #[test]
    fn garbage_is_refused(id in vec(any::<u8>(), 0..40), time in ".{0,20}", signature in ".{0,200}") {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ID_HEADER, &id[..]), (TIMESTAMP_HEADER, time.as_bytes()), (SIGNATURE_HEADER, signature.as_bytes())] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.insert(name, value);
            }
        }
        prop_assert!(verified(&headers).is_err());
    }
}
