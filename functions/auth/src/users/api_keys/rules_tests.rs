use serde_json::{Value, json};
use shared::http::ProblemType;
use shared::http::versions::Version;
use shared::id::TenantId;
use shared::identity::PrincipalKind;
use shared::random::Random;

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn maker(scopes: &str) -> Principal {
    Principal {
        tenant: TenantId::new(now(), &Random::seeded(1)),
        subject: "key_1".to_owned(),
        kind: PrincipalKind::ApiKey,
        roles: Vec::new(),
        granted: Scopes::default(),
        scopes: Scopes::parse(scopes),
        session: None,
        authenticated_at: None,
        client: None,
        token_id: None,
        issued_at: None,
        as_of: None,
        expires_at: None,
        pinned: None,
    }
}

fn check(changes: &Value) -> Result<Draft, Problem> {
    check_by(&Limits::default(), changes)
}

fn check_by(limits: &Limits, changes: &Value) -> Result<Draft, Problem> {
    let mut body = json!({"name": "Website", "scopes": ["links:read"]});
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let new: NewApiKey = serde_json::from_value(body).unwrap();
    new.check(&maker("links:* api_keys:write"), limits, now())
}

/// The limits of a key that was made so.
fn limits(changes: &Value) -> Limits {
    let draft = check(changes).unwrap();
    let key = ApiKey::generate(draft.mode, now(), &Random::seeded(3));
    Limits::of(&draft.record(&key, &maker(""), now()))
}

fn faults(changes: &Value) -> Vec<(String, String)> {
    let problem = check(changes).unwrap_err();
    assert_eq!(problem.kind(), ProblemType::Validation);
    problem.errors().iter().map(|error| (error.pointer.clone(), error.code.to_string())).collect()
}

#[test]
fn a_key_has_what_was_asked_for() {
    let draft = check(&json!({
        "mode": "test", "scopes": ["links:write", "links:read"], "expires_at": "2027-01-15T08:00:01.9Z",
        "allowed_networks": ["203.0.113.7/24", "2001:db8::1"],
        "credits": {"amount": 5, "refill": {"amount": 10, "every_seconds": 60}}, "api_version": "v1",
    }))
    .unwrap();
    let key = ApiKey::generate(draft.mode, now(), &Random::seeded(2));
    let record = draft.record(&key, &maker(""), now());
    assert_eq!((record.mode, record.name.as_str(), record.created_by.as_str()), (KeyMode::Test, "Website", "key_1"));
    assert_eq!(record.scopes, Scopes::parse("links:read links:write"));
    assert_eq!(record.expires_at, Some("2027-01-15T08:00:01Z".parse().unwrap()));
    let networks: Vec<_> = record.allowed_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["203.0.113.0/24", "2001:db8::1/128"]);
    let refill = Some(Refill { amount: 10, every_seconds: 60, refilled_at: now() });
    assert_eq!(record.credits, Some(Credits { remaining: 5, refill }));
    assert_eq!(record.api_version, Some(Version::V1));
    let plain = check(&json!({})).unwrap().record(&key, &maker(""), now());
    assert!(plain.expires_at.is_none() && plain.allowed_networks.is_empty());
    assert!(plain.credits.is_none() && plain.api_version.is_none());
}

#[test]
fn every_bad_field_is_named() {
    let all = faults(&json!({
        "scopes": ["links:fly"], "expires_at": "2027-01-15T08:00:00.9Z", "allowed_networks": vec!["192.0.2.1"; 21],
        "credits": {"amount": 0, "refill": {"amount": 1_000_000_000_001_u64, "every_seconds": 0}},
    }));
    let named = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());
    assert_eq!(
        all,
        [
            named("/scopes", "unknown_permission"),
            named("/expires_at", "in_the_past"),
            named("/allowed_networks", "too_many"),
            named("/credits/amount", "out_of_range"),
            named("/credits/refill/amount", "out_of_range"),
            named("/credits/refill/every_seconds", "out_of_range"),
        ]
    );
    assert_eq!(faults(&json!({"scopes": []})), [named("/scopes", "invalid_length")]);
}

#[test]
fn scopes_that_the_maker_does_not_have_are_forbidden() {
    for scopes in [json!(["*"]), json!(["links:read", "users:manage"]), json!(["api_keys:*"])] {
        assert_eq!(check(&json!({"scopes": scopes})).unwrap_err().kind(), ProblemType::Forbidden);
    }
    assert!(check(&json!({"scopes": ["links:*", "api_keys:write"]})).is_ok());
}

#[test]
fn what_a_key_makes_ends_no_later_than_the_key() {
    let ends = limits(&json!({"expires_at": "2027-02-01T00:00:00Z"}));
    let end = |changes: Value| check_by(&ends, &changes).map(|draft| draft.expires_at.unwrap().to_string());
    assert_eq!(end(json!({})).unwrap(), "2027-02-01T00:00:00Z", "its maker's");
    for within in ["2027-02-01T00:00:00Z", "2027-01-31T00:00:00Z"] {
        assert_eq!(end(json!({"expires_at": within})).unwrap(), within);
    }
    let refused = end(json!({"expires_at": "2027-02-01T00:00:01Z"})).unwrap_err();
    assert_eq!(refused.to_string(), "forbidden: the API key would be good after 2027-02-01T00:00:00Z, when yours ends");
    // One that is there, and has no end, is not rotated by it.
    ends.check(None, &[]).unwrap_err();
}

#[test]
fn what_a_key_makes_is_good_from_the_keys_networks_alone() {
    let bound = limits(&json!({"allowed_networks": ["203.0.113.0/24", "2001:db8::/48"]}));
    let networks = |changes: Value| {
        let draft = check_by(&bound, &changes)?;
        Ok::<_, Problem>(draft.allowed_networks.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(networks(json!({})).unwrap(), ["203.0.113.0/24", "2001:db8::/48"], "its maker's");
    let within = ["203.0.113.128/25", "2001:db8:0:1::1/128"];
    assert_eq!(networks(json!({"allowed_networks": within})).unwrap(), within);
    for wider in ["203.0.112.0/23", "0.0.0.0/0", "198.51.100.7/32", "2001:db8::/47", "::/0", "::ffff:0:0/96"] {
        let refused = networks(json!({"allowed_networks": ["203.0.113.7", wider]})).unwrap_err();
        assert_eq!(refused.kind(), ProblemType::Forbidden, "{wider}");
    }
    bound.check(None, &[]).unwrap_err();
}

#[test]
fn a_key_with_credits_makes_none_and_whoever_has_limits_registers_no_client() {
    let counted = limits(&json!({"credits": {"amount": 1}}));
    assert_eq!(check_by(&counted, &json!({})).unwrap_err().kind(), ProblemType::Forbidden);
    assert_eq!(check_by(&counted, &json!({"credits": {"amount": 1}})).unwrap_err().kind(), ProblemType::Forbidden);
    counted.check_absent().unwrap_err();
    limits(&json!({"expires_at": "2027-02-01T00:00:00Z"})).check_absent().unwrap_err();
    limits(&json!({"allowed_networks": ["203.0.113.0/24"]})).check_absent().unwrap_err();
    limits(&json!({"api_version": "v1"})).check_absent().unwrap();
}

#[test]
fn a_network_is_read_in_every_spelling() {
    let read = |text: &str| Network::try_from(text.to_owned()).map(|network| network.0.to_string());
    for (text, network) in [
        ("203.0.113.7", "203.0.113.7/32"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8:1::/48", "2001:db8:1::/48"),
        ("::ffff:203.0.113.7", "203.0.113.7/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::/0", "::/0"),
    ] {
        assert_eq!(read(text).unwrap(), network);
    }
    for bad in ["", "example.com", "203.0.113.7/33", "203.0.113", "203.0.113.7/-1", "::/129", "203.0.113.7/24 "] {
        assert_eq!(read(bad).unwrap_err().code, "invalid_network", "{bad:?}");
    }
}
