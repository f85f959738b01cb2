//! What a user lets an application do: the scopes, and the record that remembers it.
//!
//! A scope reaches a token through four sieves: what the application asks for, what its client was registered with, what
//! may be delegated at all ([`may_be_delegated`]), and what the user may do in the tenant. What is granted is a list of
//! permissions by name, so that it does not grow when permissions are added. The user's roles are looked at again with each
//! request that a token makes.
//!
//! The scopes of OpenID Connect pass all four: any client may ask for them, and everybody may say who they are. They are no
//! permissions, so that they open no route but [`super::userinfo`], and no machine has them.

use serde::{Deserialize, Serialize};
use shared::id::TenantId;
use shared::identity::permission::{ALL, may_be_delegated, meaning};
use shared::identity::{OpenIdCaller, Scopes};
use shared::time::Timestamp;

use super::client::{Client, ClientId};
use crate::user::{Name, UserId};

/// The scope that asks for an id token (OpenID Connect Core 1.0, section 3.1.2.1).
pub const OPENID: &str = OpenIdCaller::SCOPE;
/// The scope that asks for the user's address (section 5.4).
pub const EMAIL: &str = "email";
/// The scope that asks for the user's name (section 5.4).
pub const PROFILE: &str = "profile";
/// What an application may be told of its user.
pub const ABOUT_THE_USER: &[&str] = &[OPENID, EMAIL, PROFILE];

/// The application that has a session in place of the user's own program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its client.
    pub client_id: ClientId,
    /// What it was called when the user let it in.
    pub name: Name,
    /// What the session's tokens may do.
    pub scopes: Scopes,
    /// When its client was last changed, as of these scopes.
    pub client_changed_at: Timestamp,
}

/// That a user let an application in. It acts in the tenant that registered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who.
    pub user_id: UserId,
    /// The application's client.
    pub client_id: ClientId,
    /// Where.
    pub tenant_id: TenantId,
    /// What the application was called then.
    pub name: Name,
    /// All that the user agreed to, in whatever steps.
    pub scopes: Scopes,
    /// When first.
    pub created_at: Timestamp,
    /// When last.
    pub updated_at: Timestamp,
    /// Which redirect URIs of the client it was given for: since when it had these, as of the record that the user saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uris_changed_at: Option<Timestamp>,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

impl Grant {
    /// The grant after the user agreed to `scopes`: `before`, if there is one that still holds, and these.
    pub fn given(before: Option<&Self>, user_id: UserId, client: &Client, scopes: &Scopes, now: Timestamp) -> Self {
        let earlier = |scope: &str| before.is_some_and(|grant| grant.holds_for(client) && has(&grant.scopes, scope));
        Self {
            user_id,
            client_id: client.id,
            tenant_id: client.tenant_id,
            name: client.name.clone(),
            scopes: chosen(|scope| has(scopes, scope) || earlier(scope)),
            created_at: before.map_or(now, |grant| grant.created_at),
            updated_at: now,
            redirect_uris_changed_at: client.redirect_uris_changed_at,
            revision: before.map_or(0, |grant| grant.revision) + 1,
        }
    }

    /// Whether the user agreed to all of `scopes` before, and that codes are sent where `client` has them sent.
    pub fn covers(&self, scopes: &Scopes, client: &Client) -> bool {
        self.holds_for(client) && scopes.iter().all(|scope| has(&self.scopes, scope))
    }

    /// Whether the client's redirect URIs are those of then.
    fn holds_for(&self, client: &Client) -> bool {
        self.redirect_uris_changed_at == client.redirect_uris_changed_at
    }
}

/// What an application asks for: within what its client may have, or all of that. The error is the scope that is not. Beside
/// `openid`, what is no scope here is ignored (OpenID Connect Core 1.0, section 3.1.2.1), such as `offline_access`.
pub fn asked(client: &Client, scope: Option<&str>) -> Result<Scopes, String> {
    let may = |permission: &str| client.scopes.grant(permission) && may_be_delegated(permission);
    let Some(scope) = scope else { return Ok(chosen(may)) };
    let given = Scopes::parse(scope);
    let ignored = |one: &str| has(&given, OPENID) && Scopes::parse(one).within(|_| true).is_err();
    let permissions: Vec<_> = given.iter().filter(|one| !is_about_the_user(one) && !ignored(one)).collect();
    let permissions = Scopes::parse(&permissions.join(" "));
    permissions.within(may)?;
    Ok(chosen(|one| permissions.grant(one) || (is_about_the_user(one) && has(&given, one))))
}

/// Those of `scopes` that a user may give whom `allows` says what they may.
pub fn within(scopes: &Scopes, allows: impl Fn(&str) -> bool) -> Scopes {
    chosen(|scope| has(scopes, scope) && (is_about_the_user(scope) || allows(scope)))
}

/// What both have.
pub fn common(one: &Scopes, other: &Scopes) -> Scopes {
    chosen(|scope| has(one, scope) && has(other, scope))
}

/// What a session's tokens may still do: the client may have been narrowed since.
pub fn still(scopes: &Scopes, client: &Client) -> Scopes {
    within(scopes, |permission| client.scopes.grant(permission))
}

/// The text of RFC 6749, section 3.3.
pub fn text(scopes: &Scopes) -> String {
    scopes.iter().collect::<Vec<_>>().join(" ")
}

/// What a scope lets an application do, for the user who decides.
pub fn in_words(scope: &str) -> &'static str {
    match scope {
        OPENID => "Know who you are: your user id.",
        EMAIL => "Know your e-mail address, and whether it was confirmed.",
        PROFILE => "Know your name, and when your account was last changed.",
        permission => meaning(permission).unwrap_or_default(),
    }
}

fn is_about_the_user(scope: &str) -> bool {
    ABOUT_THE_USER.contains(&scope)
}

/// Whether a list by names has a name.
pub(super) fn has(scopes: &Scopes, name: &str) -> bool {
    scopes.iter().any(|scope| scope == name)
}

/// The scopes for which `choose` holds, each once and in one order.
fn chosen(choose: impl Fn(&str) -> bool) -> Scopes {
    let all = ABOUT_THE_USER.iter().chain(ALL).copied();
    Scopes::parse(&all.filter(|scope| choose(scope)).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::oauth::client::GrantType;
    use shared::random::Random;

    fn client(scopes: &str) -> Client {
        Client::of_tests(scopes, &[GrantType::AuthorizationCode])
    }

    #[test]
    fn an_application_asks_for_what_its_client_may_have_and_what_may_be_delegated() {
        let of = |client: &Client, scope: Option<&str>| asked(client, scope).map(|scopes| text(&scopes));
        let narrow = client("links:read notes:*");
        assert_eq!(of(&narrow, None).unwrap(), "links:read notes:read notes:write notes:manage");
        assert_eq!(
            of(&narrow, Some("notes:read openid links:read notes:read")).unwrap(),
            "openid links:read notes:read"
        );
        assert_eq!(of(&narrow, Some("openid")).unwrap(), "openid");
        assert_eq!(of(&narrow, Some("profile links:read email openid")).unwrap(), "openid email profile links:read");
        assert_eq!(of(&narrow, Some("email")).unwrap(), "email");
        assert_eq!(of(&narrow, Some("openid phone offline_access email:*")).unwrap(), "openid");
        assert_eq!(of(&client(""), Some("openid email")).unwrap(), "openid email");
        assert_eq!(of(&narrow, Some(" ")).unwrap(), "");
        for (wide, first) in [
            ("links:write", "links:write"),
            ("links:read *", "*"),
            ("jobs:read", "jobs:read"),
            ("openid jobs:read", "jobs:read"),
            ("email phone", "phone"),
            ("email:*", "email:*"),
        ] {
            assert_eq!(of(&narrow, Some(wide)), Err(first.to_owned()));
        }
        let all = client("*");
        assert_eq!(asked(&all, None).unwrap().iter().count(), 10);
        for own in ALL.iter().filter(|name| !may_be_delegated(name)) {
            assert_eq!(of(&all, Some(own)), Err((*own).to_owned()));
        }
        assert_eq!(of(&all, Some("*")), Err("*".to_owned()));
    }

    #[test]
    fn a_grant_remembers_all_that_was_agreed_to() {
        let (client, user) = (client("*"), UserId::new(Timestamp::UNIX_EPOCH, &Random::seeded(2)));
        let scopes = Scopes::parse;
        let first = Grant::given(None, user, &client, &scopes("links:read"), Timestamp::UNIX_EPOCH);
        assert!(first.covers(&scopes("links:read"), &client) && !first.covers(&scopes("links:read openid"), &client));
        let later = Grant::given(Some(&first), user, &client, &scopes("notes:read openid"), Timestamp::MAX);
        assert_eq!((text(&later.scopes).as_str(), later.revision), ("openid links:read notes:read", 2));
        assert_eq!((later.created_at, later.updated_at), (Timestamp::UNIX_EPOCH, Timestamp::MAX));
        assert!(later.covers(&scopes(""), &client) && !later.covers(&scopes("links:write"), &client));
    }

    #[test]
    fn what_was_agreed_to_for_other_addresses_is_not_agreed_to() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (before, user) = (client("*"), UserId::new(at(0), &Random::seeded(2)));
        let scopes = Scopes::parse;
        let grant = Grant::given(None, user, &before, &scopes("openid email"), at(1));
        let moved = Client { redirect_uris_changed_at: Some(at(1)), ..before };
        assert!(!grant.covers(&scopes("openid"), &moved));
        let again = Grant::given(Some(&grant), user, &moved, &scopes("openid"), at(2));
        assert_eq!(text(&again.scopes), "openid");
        assert!(again.covers(&scopes("openid"), &moved) && !again.covers(&scopes("openid email"), &moved));
    }

    #[test]
    fn what_is_about_the_user_is_no_permission_and_is_said_in_words() {
        for scope in ABOUT_THE_USER {
            let has_it = Scopes::parse(scope);
            assert!(ALL.iter().all(|permission| !has_it.grant(permission)), "{scope}");
            assert!(in_words(scope).starts_with("Know "), "{scope}");
        }
        assert_eq!(in_words("links:read"), "See links and their statistics.");
    }

    #[test]
    fn scopes_only_shrink() {
        let granted = Scopes::parse("openid email profile links:read links:write");
        let read = within(&granted, |permission| permission == "links:read");
        assert_eq!(text(&read), "openid email profile links:read");
        assert_eq!(text(&still(&granted, &client("links:write jobs:read"))), "openid email profile links:write");
        assert_eq!(text(&common(&granted, &Scopes::parse("email"))), "email");
        assert_eq!(text(&common(&granted, &Scopes::parse("links:write jobs:read"))), "links:write");
    }
}
