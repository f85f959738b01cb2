#![allow(clippy::unwrap_used, clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn begun(random: &Random) -> (Session, RefreshToken) {
    let new = NewSession {
        user_id: UserId::new(at(0), random),
        tenant_id: TenantId::new(at(0), random),
        device: Device::default(),
        methods: vec!["pwd".to_owned()],
    };
    Session::begin(new, &Settings::default(), at(0), random)
}

fn rotated(session: &Session, token: &RefreshToken, second: i64, random: &Random) -> (Session, RefreshToken) {
    assert!(matches!(session.judge(token, at(second)), Standing::Newest));
    session.rotated(token, &Settings::default(), at(second), random).unwrap()
}

/// A token of the same session with other secrets.
fn with_secrets(token: &RefreshToken, secrets: &str) -> RefreshToken {
    format!("{}{secrets}", token.expose().split_at(58).0).parse().unwrap()
}

#[test]
fn a_token_is_read_back_and_does_not_print() {
    let (session, token) = begun(&Random::seeded(1));
    let text = token.expose();
    let read: RefreshToken = text.parse().unwrap();
    assert_eq!((read.user_id(), read.session_id()), (session.user_id, session.id));
    assert!(session.knows(&read));
    assert!(!format!("{token:?} {session:?}").contains(text.get(58..).unwrap()));
}

#[test]
fn a_retry_within_the_window_gets_the_same_successor_and_later_ends_the_family() {
    let random = Random::seeded(2);
    let (session, first) = begun(&random);
    let (session, second) = rotated(&session, &first, 100, &random);
    for second_later in [100, 105, 110] {
        match session.judge(&first, at(second_later)) {
            Standing::JustUsed(again) => assert_eq!(again.expose(), second.expose()),
            other => panic!("{other:?}"),
        }
    }
    let late = session.judge(&first, at(111));
    assert!(matches!(late, Standing::Replayed), "{late:?}");
}

#[test]
fn an_older_token_is_a_replay_even_at_once() {
    let random = Random::seeded(3);
    let (session, first) = begun(&random);
    let (session, second) = rotated(&session, &first, 1, &random);
    let (session, _) = rotated(&session, &second, 2, &random);
    assert!(matches!(session.judge(&first, at(2)), Standing::Replayed));
}

#[test]
fn a_token_that_was_made_up_ends_nothing() {
    let random = Random::seeded(7);
    let (session, token) = begun(&random);
    // Of the same session, by its ids, which are no secret.
    for token in [RefreshToken::first(session.user_id, session.id, &random), with_secrets(&token, &"A".repeat(64))] {
        let refused = session.judge(&token, at(1));
        assert!(matches!(refused, Standing::Foreign), "{refused:?}");
    }
    // Whoever has a token of the family has seen one that was issued.
    let mut secrets = URL_SAFE_NO_PAD.decode(token.expose().split_off(58)).unwrap();
    secrets.splice(16.., [0; 32]);
    let old = with_secrets(&token, &URL_SAFE_NO_PAD.encode(secrets));
    assert!(matches!(session.judge(&old, at(1)), Standing::Replayed));
}

#[test]
fn a_session_ends_when_unused_and_in_any_case() {
    let random = Random::seeded(4);
    let settings = Settings { session_seconds: 1000, session_idle_seconds: 600, ..Settings::default() };
    let (session, _) = begun(&random);
    let new = NewSession {
        user_id: session.user_id,
        tenant_id: session.tenant_id,
        device: Device::default(),
        methods: vec![],
    };
    let (session, token) = Session::begin(new, &settings, at(0), &random);
    assert!(!session.is_over(at(599)) && session.is_over(at(600)));
    let (session, token) = session.rotated(&token, &settings, at(599), &random).unwrap();
    assert!(!session.is_over(at(999)) && session.is_over(at(1000)));
    assert!(matches!(session.judge(&token, at(1000)), Standing::Over));
}

#[test]
fn a_stricter_setting_holds_for_a_session_that_is_there() {
    let random = Random::seeded(5);
    let (session, token) = begun(&random);
    let strict = Settings { session_seconds: 3600, session_idle_seconds: 600, ..Settings::default() };
    let (changed, _) = session.rotated(&token, &strict, at(10), &random).unwrap();
    assert_eq!((changed.expires_at, changed.idle_expires_at), (at(3600), at(610)));
    // Over by the new rule, though not by the one that it was begun under.
    assert!(session.rotated(&token, &strict, at(599), &random).is_some());
    assert!(session.rotated(&token, &strict, at(600), &random).is_none());
    let unused = Settings { session_idle_seconds: 7200, ..strict };
    assert!(session.rotated(&token, &unused, at(3599), &random).is_some());
    assert!(session.rotated(&token, &unused, at(3600), &random).is_none());
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(tf_rt_)?.{0,120}") {
        prop_assert!(text.parse::<RefreshToken>().is_err());
    }

    /// However clients take turns, the family has one newest token, and no token but the newest two is ever answered.
    #[test]
    fn only_the_newest_two_tokens_are_ever_answered(steps in prop::collection::vec((0_usize..6, 0_i64..20), 1..40)) {
        let random = Random::seeded(6);
        let (mut session, first) = begun(&random);
        let (mut issued, mut second, mut used_at) = (vec![first], 0, -100);
        for (back, wait) in steps {
            second += wait;
            let index = issued.len().saturating_sub(1 + back);
            let presented = issued.get(index).unwrap().clone();
            let newest = index + 1 == issued.len();
            let before = index + 2 == issued.len();
            match session.judge(&presented, at(second)) {
                Standing::Newest => {
                    prop_assert!(newest);
                    let (next, token) = session.rotated(&presented, &Settings::default(), at(second), &random).unwrap();
                    (session, used_at) = (next, second);
                    issued.push(token);
                }
                Standing::JustUsed(token) => {
                    prop_assert!(before && second - used_at <= 10);
                    prop_assert_eq!(token.expose(), issued.last().unwrap().expose());
                }
                Standing::Replayed => {
                    let just_used = before && second - used_at <= 10;
                    prop_assert!(!newest && !just_used);
                    break;
                }
                other => prop_assert!(false, "it is young and its own: {:?}", other),
            }
        }
    }
}
