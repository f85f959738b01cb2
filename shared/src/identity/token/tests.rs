#![allow(clippy::unwrap_used)]
use super::*;
use crate::random::Random;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

fn claims() -> Claims {
    Claims {
        iss: "tenfold".to_owned(),
        aud: "tenfold-api".to_owned(),
        sub: "user_1".to_owned(),
        tid: TenantId::new(Timestamp::UNIX_EPOCH, &Random::seeded(1)),
        client_id: "tenfold".to_owned(),
        sid: Some("session_1".to_owned()),
        auth_time: Some(990),
        acr: None,
        amr: vec!["pwd".to_owned()],
        roles: vec!["admin".to_owned(), "a-role-to-come".to_owned()],
        permissions: Some("links:manage".to_owned()),
        scope: "links:read".to_owned(),
        iat: 1000,
        as_of: 1_000_500,
        exp: 1900,
        jti: "token_1".to_owned(),
    }
}

/// What a verifier makes of well-signed claims at second 1000.
fn verified(claims: &Claims) -> Result<Principal, InvalidToken> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let keys = KeySet::of_pair("k1", pair.public_key().as_ref());
    let verifier = Verifier::new("tenfold".to_owned(), "tenfold-api".to_owned());
    let token = sign(claims, "k1", document.as_ref()).unwrap();
    verifier.verify(&token, &keys, Timestamp::from_second(1000).unwrap())
}

#[test]
fn the_claims_name_the_principal() {
    let user = verified(&claims()).unwrap();
    assert_eq!((user.kind, user.session.as_deref()), (PrincipalKind::User, Some("session_1")));
    assert_eq!((user.client.as_deref(), user.token_id.as_deref()), (Some("tenfold"), Some("token_1")));
    let seconds = [user.authenticated_at, user.issued_at, user.expires_at].map(|at| at.unwrap().as_second());
    assert_eq!(seconds, [990, 1000, 1900]);
    assert!(user.granted.grant("links:manage") && !user.granted.grant("links:write"));
}

#[test]
fn a_machine_clients_token_has_itself_as_its_subject_and_no_session() {
    let machine =
        Claims { sub: "client_1".to_owned(), client_id: "client_1".to_owned(), sid: None, auth_time: None, ..claims() };
    let principal = verified(&machine).unwrap();
    assert_eq!((principal.kind, principal.session), (PrincipalKind::Client, None));
    let posing = Claims { client_id: "client_2".to_owned(), ..machine };
    assert!(matches!(verified(&posing), Err(InvalidToken::Claims)));
}

#[test]
fn a_token_lives_for_an_hour_at_most() {
    let living = |seconds| verified(&Claims { exp: claims().iat + seconds, ..claims() });
    assert!(living(3600).is_ok());
    assert!(matches!(living(3601), Err(InvalidToken::Claims)));
}

#[test]
fn an_id_that_is_empty_or_too_long_is_refused() {
    for id in [String::new(), "x".repeat(129)] {
        for odd in [
            Claims { sub: id.clone(), ..claims() },
            Claims { client_id: id.clone(), ..claims() },
            Claims { sid: Some(id.clone()), ..claims() },
        ] {
            assert!(matches!(verified(&odd), Err(InvalidToken::Claims)), "{odd:?}");
        }
    }
}

#[test]
fn a_token_is_accepted_within_its_time_by_its_key_alone() {
    let pair = || {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let public = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap().public_key().as_ref().to_vec();
        (document, public)
    };
    let ((private, public), (_, other_public)) = (pair(), pair());
    let keys = KeySet::of_pair("k1", &public);
    let verifier = Verifier::new("tenfold".to_owned(), "tenfold-api".to_owned());
    let at = |second| Timestamp::from_second(second).unwrap();
    let signed = |claims: &Claims| sign(claims, "k1", private.as_ref()).unwrap();
    let verify = |claims: &Claims, second| verifier.verify(&signed(claims), &keys, at(second));

    let principal = verify(&claims(), 1000).unwrap();
    assert_eq!((principal.tenant, principal.roles), (claims().tid, vec![Role::Admin]));
    assert!(verify(&claims(), 970).is_ok() && verify(&claims(), 1899).is_ok());
    for second in [969, 1900] {
        assert!(matches!(verify(&claims(), second), Err(InvalidToken::Time)), "{second}");
    }
    for wrong in [Claims { aud: "other".to_owned(), ..claims() }, Claims { iss: "other".to_owned(), ..claims() }] {
        assert!(matches!(verify(&wrong, 1000), Err(InvalidToken::Party)));
    }

    let token = signed(&claims());
    let with = |keys: &KeySet| verifier.verify(&token, keys, at(1000));
    assert!(matches!(with(&KeySet::of_pair("k2", &public)), Err(InvalidToken::UnknownKey)));
    assert!(matches!(with(&KeySet::of_pair("k1", &other_public)), Err(InvalidToken::Signature)));
    let cut = token.rsplit_once('.').unwrap().0;
    assert!(verifier.verify(&format!("{cut}."), &keys, at(1000)).is_err());
    // {"alg":"none","typ":"at+jwt","kid":"k1"}
    let rest = token.split_once('.').unwrap().1;
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoiazEifQ.{rest}");
    assert!(matches!(verifier.verify(&unsigned, &keys, at(1000)), Err(InvalidToken::Header)));
}
