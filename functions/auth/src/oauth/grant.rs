//! What a user lets an application do: the scopes, and the record that remembers it.
//!
//! A scope reaches a token through four sieves: what the application asks for, what its client was registered with, what
//! may be delegated at all ([`may_be_delegated`]), and what the user may do in the tenant. What is granted is a list of
//! permissions by name, so that it does not grow when permissions are added. The user's roles are looked at again with each
//! request that a token makes.

use serde::{Deserialize, Serialize};
use shared::id::TenantId;
use shared::identity::Scopes;
use shared::identity::permission::{ALL, may_be_delegated};
use shared::time::Timestamp;

use super::client::{Client, ClientId};
use crate::user::{Name, UserId};

/// The scope that asks for an id token (OpenID Connect Core 1.0, section 3.1.2.1). It is no permission.
pub const OPENID: &str = "openid";

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
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

impl Grant {
    /// The grant after the user agreed to `scopes`: `before`, if there is one, and these.
    pub fn given(before: Option<&Self>, user_id: UserId, client: &Client, scopes: &Scopes, now: Timestamp) -> Self {
        let earlier = |scope: &str| before.is_some_and(|grant| has(&grant.scopes, scope));
        Self {
            user_id,
            client_id: client.id,
            tenant_id: client.tenant_id,
            name: client.name.clone(),
            scopes: chosen(|scope| has(scopes, scope) || earlier(scope)),
            created_at: before.map_or(now, |grant| grant.created_at),
            updated_at: now,
            revision: before.map_or(0, |grant| grant.revision) + 1,
        }
    }

    /// Whether the user agreed to all of `scopes` before.
    pub fn covers(&self, scopes: &Scopes) -> bool {
        scopes.iter().all(|scope| has(&self.scopes, scope))
    }
}

/// What an application asks for: within what its client may have, or all of that. The error is the scope that is not.
pub fn asked(client: &Client, scope: Option<&str>) -> Result<Scopes, String> {
    let may = |permission: &str| client.scopes.grant(permission) && may_be_delegated(permission);
    let Some(scope) = scope else { return Ok(chosen(may)) };
    let given = Scopes::parse(scope);
    let openid = given.iter().any(|one| one == OPENID);
    let permissions = Scopes::parse(&given.iter().filter(|one| *one != OPENID).collect::<Vec<_>>().join(" "));
    permissions.within(may)?;
    Ok(chosen(|one| permissions.grant(one) || (openid && one == OPENID)))
}

/// Those of `scopes` that a user may give whom `allows` says what they may.
pub fn within(scopes: &Scopes, allows: impl Fn(&str) -> bool) -> Scopes {
    chosen(|scope| has(scopes, scope) && (scope == OPENID || allows(scope)))
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

/// Whether a list by names has a name.
pub(super) fn has(scopes: &Scopes, name: &str) -> bool {
    scopes.iter().any(|scope| scope == name)
}

/// The scopes for which `choose` holds, each once and in one order.
fn chosen(choose: impl Fn(&str) -> bool) -> Scopes {
    let all = std::iter::once(OPENID).chain(ALL.iter().copied());
    Scopes::parse(&all.filter(|scope| choose(scope)).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::oauth::client::{GrantType, Proof};
    use shared::random::Random;

    fn client(scopes: &str) -> Client {
        let (now, random) = (Timestamp::UNIX_EPOCH, Random::seeded(1));
        Client {
            id: ClientId::new(now, &random),
            tenant_id: TenantId::new(now, &random),
            name: Name::unnamed(),
            scopes: Scopes::parse(scopes),
            proof: Proof::Public {},
            grant_types: vec![GrantType::AuthorizationCode],
            redirect_uris: Vec::new(),
            created_by: "user_1".to_owned(),
            created_at: now,
            updated_at: now,
            revision: 1,
        }
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
        assert_eq!(of(&narrow, Some(" ")).unwrap(), "");
        for (wide, first) in [("links:write", "links:write"), ("links:read *", "*"), ("jobs:read", "jobs:read")] {
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
        assert!(first.covers(&scopes("links:read")) && !first.covers(&scopes("links:read openid")));
        let later = Grant::given(Some(&first), user, &client, &scopes("notes:read openid"), Timestamp::MAX);
        assert_eq!((text(&later.scopes).as_str(), later.revision), ("openid links:read notes:read", 2));
        assert_eq!((later.created_at, later.updated_at), (Timestamp::UNIX_EPOCH, Timestamp::MAX));
        assert!(later.covers(&scopes("")) && !later.covers(&scopes("links:write")));
    }

    #[test]
    fn scopes_only_shrink() {
        let granted = Scopes::parse("openid links:read links:write");
        assert_eq!(text(&within(&granted, |permission| permission == "links:read")), "openid links:read");
        assert_eq!(text(&still(&granted, &client("links:write jobs:read"))), "openid links:write");
        assert_eq!(text(&common(&granted, &Scopes::parse("links:write jobs:read"))), "links:write");
    }
}
