use shared::id::TenantId;
use shared::identity::PrincipalKind;
use shared::random::Random;
use shared::time::Timestamp;

use super::*;
use crate::user::UserId;

fn caller(kind: PrincipalKind, role: Option<Role>, granted: &str, scopes: &str) -> Principal {
    Principal {
        tenant: TenantId::new(Timestamp::UNIX_EPOCH, &Random::seeded(1)),
        subject: "user_1".to_owned(),
        kind,
        roles: role.into_iter().collect(),
        granted: Scopes::parse(granted),
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

fn user(role: Role) -> Principal {
    caller(PrincipalKind::User, Some(role), "", "*")
}

fn program(scopes: &str) -> Principal {
    caller(PrincipalKind::ApiKey, None, "", scopes)
}

fn member(roles: &[&str], status: MemberStatus) -> Membership {
    let now = Timestamp::UNIX_EPOCH;
    Membership {
        tenant_id: TenantId::new(now, &Random::seeded(1)),
        user_id: UserId::new(now, &Random::seeded(2)),
        roles: roles.iter().map(|name| (*name).to_owned().try_into().unwrap()).collect(),
        status,
        email: "ann@example.com".to_owned().try_into().unwrap(),
        name: None,
        created_at: now,
        updated_at: now,
        access_changed_at: None,
        revision: 1,
    }
}

fn custom(permissions: &str) -> CustomRole {
    let now = Timestamp::UNIX_EPOCH;
    CustomRole {
        tenant_id: TenantId::new(now, &Random::seeded(1)),
        name: "custom".to_owned().try_into().unwrap(),
        description: None,
        permissions: Scopes::parse(permissions),
        created_at: now,
        updated_at: now,
        narrowed_at: None,
        revision: 1,
    }
}

#[test]
fn owners_are_made_and_changed_by_owners_alone() {
    let (owner, other) = (member(&["viewer", "owner"], MemberStatus::Active), member(&["admin"], MemberStatus::Active));
    assert!(check_ownership(&user(Role::Owner), &[&owner, &other]).is_ok());
    let narrowed = caller(PrincipalKind::User, Some(Role::Owner), "", "users:manage");
    for caller in [user(Role::Admin), narrowed, program("*"), caller(PrincipalKind::User, None, "*", "*")] {
        assert!(check_ownership(&caller, &[&owner, &other]).is_err(), "{caller:?}");
        assert!(check_ownership(&caller, &[&other, &owner]).is_err(), "{caller:?}");
        assert!(check_ownership(&caller, &[&other]).is_ok(), "{caller:?}");
    }
}

#[test]
fn nobody_gives_a_role_that_grants_more_than_they_have() {
    let may = |caller: &Principal, role: Role| check_role(caller, &role.into(), None).is_ok();
    let roles = |caller: &Principal| Role::ALL.map(|role| may(caller, role));
    assert_eq!(roles(&user(Role::Owner)), [true, true, true, true]);
    assert_eq!(roles(&user(Role::Admin)), [false, true, true, true]);
    assert_eq!(roles(&user(Role::Member)), [false, false, true, true]);
    // An API key counts as an administrator at most.
    assert_eq!(roles(&program("*")), [false, true, true, true]);
    assert_eq!(roles(&program("users:manage")), [false, false, false, false]);

    let role = custom("links:manage");
    let may = |caller: &Principal, role: &CustomRole| check_role(caller, &role.name, Some(role)).is_ok();
    assert!(may(&user(Role::Admin), &role) && may(&program("links:*"), &role) && !may(&user(Role::Member), &role));
    let helper = caller(PrincipalKind::User, Some(Role::Viewer), "users:manage links:manage", "*");
    assert!(may(&helper, &role) && !may(&helper, &custom("links:*")));
    for widest in ["*", "tenant:own", "tenant:*"] {
        assert!(may(&user(Role::Owner), &custom(widest)), "{widest}");
        assert!(!may(&user(Role::Admin), &custom(widest)) && !may(&program("*"), &custom(widest)), "{widest}");
    }
}

#[test]
fn what_is_given_is_new_roles_and_all_when_a_member_is_let_in_again() {
    let names = |before: &Membership, after: &Membership| {
        given(before, after).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let before = member(&["member", "billing"], MemberStatus::Active);
    assert_eq!(names(&before, &member(&["billing", "support"], MemberStatus::Active)), ["support"]);
    assert!(names(&before, &member(&["member"], MemberStatus::Suspended)).is_empty());
    let suspended = member(&["member", "billing"], MemberStatus::Suspended);
    assert_eq!(names(&suspended, &before), ["member", "billing"]);
}

#[test]
fn a_role_gains_what_its_editor_has_and_may_lose_or_keep_the_rest() {
    let check = |before: &str, after: &str| {
        check_permissions(&user(Role::Member), &Scopes::parse(before), &Scopes::parse(after)).is_ok()
    };
    assert!(check("", "links:read links:write") && check("links:*", "links:read") && check("*", "users:manage"));
    assert!(!check("", "links:manage") && !check("links:read", "links:*") && !check("links:*", "*"));
}

#[test]
fn a_key_has_what_its_maker_has() {
    let check = |caller: &Principal, scopes: &str| check_scopes(caller, Scoped::ApiKey, &Scopes::parse(scopes)).is_ok();
    assert!(check(&user(Role::Owner), "*") && !check(&user(Role::Admin), "*") && !check(&user(Role::Member), "*"));
    assert!(check(&user(Role::Member), "links:read links:write api_keys:*") && !check(&user(Role::Member), "links:*"));
    assert!(check(&program("*"), "*") && check(&program("links:*"), "links:manage"));
    assert!(!check(&program("links:read api_keys:write"), "links:write"));
    for (scoped, what) in [(Scoped::ApiKey, "the API key"), (Scoped::Client, "the client")] {
        let refused = check_scopes(&user(Role::Viewer), scoped, &Scopes::parse("links:write")).unwrap_err();
        assert_eq!(refused.to_string(), format!("forbidden: {what} would have links:write, which you do not have"));
    }
}

#[test]
fn scopes_are_known_few_and_each_once() {
    let read = |scopes: &[&str]| {
        let scopes: Scopes = serde_json::from_value(serde_json::json!(scopes)).unwrap();
        known(&scopes, 1).map(|scopes| scopes.iter().map(str::to_owned).collect::<Vec<_>>()).map_err(|fault| fault.code)
    };
    assert_eq!(read(&["links:write", "links:read", "links:write"]).unwrap(), ["links:read", "links:write"]);
    assert_eq!(read(&["links:read"; 1000]).unwrap(), ["links:read"]);
    assert_eq!(read(&[]), Err("invalid_length"));
    for unknown in ["links:fly", "", "links:read links:write", " links:read", "LINKS:*"] {
        assert_eq!(read(&["links:read", unknown]), Err("unknown_permission"), "{unknown:?}");
    }
    let many: Vec<_> = (0..=MOST_SCOPES).map(|number| format!("a{number}")).collect();
    assert_eq!(read(&many.iter().map(String::as_str).collect::<Vec<_>>()), Err("invalid_length"));
}
