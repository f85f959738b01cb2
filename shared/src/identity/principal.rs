//! The verified caller.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::permission::{OwnTenant, Permission, Scopes, may_be_delegated};
use super::token::CLIENT_PREFIX;
use crate::http::versions::Version;
use crate::id::TenantId;
use crate::time::Timestamp;

/// The caller of a request, whose credential was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it may touch.
    pub tenant: TenantId,
    /// Who it is: the id of a user, an API key or a machine client.
    pub subject: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// A user's built-in roles in the tenant.
    pub roles: Vec<Role>,
    /// What a user's custom roles grant besides.
    pub granted: Scopes,
    /// What the credential is limited to.
    pub scopes: Scopes,
    /// The session of a user's token.
    pub session: Option<String>,
    /// When the user last proved who they are (`auth_time`).
    pub authenticated_at: Option<Timestamp>,
    /// The OAuth client that a token was issued to (`client_id`).
    pub client: Option<String>,
    /// The token's own id (`jti`).
    pub token_id: Option<String>,
    /// When the token was issued, or the API key made.
    pub issued_at: Option<Timestamp>,
    /// As of when an access token holds what it says; none for other credentials.
    pub as_of: Option<Timestamp>,
    /// When the credential ends; none for an API key without an end.
    pub expires_at: Option<Timestamp>,
    /// The one version of the API that an API key may be used with; none for one that is not pinned, and for tokens.
    pub pinned: Option<Version>,
}

impl Principal {
    /// Whether it may do what `P` names.
    pub fn may<P: Permission>(&self) -> bool {
        self.allows(P::NAME)
    }

    /// Whether it is an application of somebody else's that acts for a user: by a token of the authorization code flow
    /// (RFC 6749, section 4.1). The service's own log-in issues tokens to a client that is not registered.
    pub fn is_delegated(&self) -> bool {
        let registered = self.client.as_deref().is_some_and(|client| client.starts_with(CLIENT_PREFIX));
        self.kind == PrincipalKind::User && registered
    }

    /// Whether it may do what `permission` names: by one of a user's roles (a key and a machine client have none and
    /// need none), and within the credential's scopes. An application that acts for a user has no more than
    /// [`may_be_delegated`] besides.
    pub fn allows(&self, permission: &str) -> bool {
        if self.is_delegated() && !may_be_delegated(permission) {
            return false;
        }
        let by_role = match self.kind {
            PrincipalKind::User => {
                self.roles.iter().any(|role| role.grants(permission)) || self.granted.grant(permission)
            }
            PrincipalKind::ApiKey | PrincipalKind::Client => true,
        };
        by_role && self.scopes.grant(permission)
    }
}

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person with an access token.
    User,
    /// A program with an API key.
    ApiKey,
    /// A program with an access token of its own, by OAuth's client credentials (RFC 6749, section 4.4).
    Client,
}

impl PrincipalKind {
    /// Its name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::Client => "client",
        }
    }
}

/// A built-in role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but handing the tenant over or deleting it.
    Admin,
    /// Reads and writes.
    Member,
    /// Reads, and minds the own account.
    Viewer,
}

impl Role {
    /// All of them, the widest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Member, Self::Viewer];

    /// Whether it grants a permission: by the permission's verb. One's own account is everybody's to mind.
    pub fn grants(self, permission: &str) -> bool {
        let (resource, verb) = permission.split_once(':').unwrap_or_default();
        match self {
            Self::Owner => true,
            Self::Admin => permission != OwnTenant::NAME,
            Self::Member => matches!(verb, "read" | "write"),
            Self::Viewer => verb == "read" || (resource, verb) == ("account", "write"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        })
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.to_string() == text).ok_or(UnknownRole)
    }
}

/// A text is no built-in role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a built-in role")]
pub struct UnknownRole;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::permission::{ALL, ManageLinks, ReadLinks, WriteLinks};
    use crate::random::Random;

    fn user(role: Option<Role>, scopes: &str) -> Principal {
        Principal {
            tenant: TenantId::new(Timestamp::UNIX_EPOCH, &Random::seeded(1)),
            subject: "user_1".to_owned(),
            kind: PrincipalKind::User,
            roles: role.into_iter().collect(),
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

    #[test]
    fn both_the_role_and_the_scopes_must_grant() {
        let user = |role, scopes| user(Some(role), scopes);
        assert!(user(Role::Viewer, "*").may::<ReadLinks>());
        assert!(!user(Role::Viewer, "*").may::<WriteLinks>());
        assert!(user(Role::Member, "*").may::<WriteLinks>());
        assert!(!user(Role::Member, "*").may::<ManageLinks>());
        assert!(user(Role::Owner, "links:*").may::<ManageLinks>());
        assert!(!user(Role::Owner, "links:read").may::<WriteLinks>());
        assert!(!user(Role::Owner, "").may::<ReadLinks>());
    }

    #[test]
    fn each_built_in_role_grants_by_the_verb() {
        let granted = |role| {
            let user = user(Some(role), "*");
            ALL.iter().copied().filter(|name| user.allows(name)).collect::<Vec<_>>()
        };
        assert_eq!(
            granted(Role::Viewer),
            ["links:read", "jobs:read", "notes:read", "account:read", "account:write", "api_keys:read"]
        );
        let member = [
            "links:read",
            "links:write",
            "jobs:read",
            "jobs:write",
            "notes:read",
            "notes:write",
            "account:read",
            "account:write",
            "api_keys:read",
            "api_keys:write",
        ];
        assert_eq!(granted(Role::Member), member);
        let but_own: Vec<_> = ALL.iter().copied().filter(|name| *name != "tenant:own").collect();
        assert_eq!(granted(Role::Admin), but_own);
        assert_eq!(granted(Role::Owner), ALL);
    }

    #[test]
    fn custom_roles_grant_besides_the_built_in_ones_and_within_the_scopes() {
        let granted = Scopes::parse("links:manage");
        let viewer = Principal { granted: granted.clone(), ..user(Some(Role::Viewer), "*") };
        assert!(viewer.may::<ManageLinks>() && viewer.may::<ReadLinks>() && !viewer.may::<WriteLinks>());
        let alone = Principal { granted: granted.clone(), ..user(None, "*") };
        assert!(alone.may::<ManageLinks>() && !alone.may::<ReadLinks>());
        assert!(!Principal { granted, ..user(None, "links:read") }.may::<ManageLinks>());
    }

    #[test]
    fn an_application_that_acts_for_a_user_has_neither_more_than_the_user_nor_the_users_own() {
        let application = |role, scopes| Principal { client: Some("client_1".to_owned()), ..user(Some(role), scopes) };
        let allowed = |principal: &Principal| ALL.iter().copied().filter(|name| principal.allows(name)).count();
        let owner = application(Role::Owner, "*");
        assert!(owner.is_delegated() && owner.may::<ManageLinks>() && allowed(&owner) == 10);
        for own in ALL.iter().filter(|name| !may_be_delegated(name)) {
            assert!(!owner.allows(own) && !application(Role::Owner, own).allows(own), "{own}");
        }
        let narrow = application(Role::Owner, "links:read account:write");
        assert!(narrow.may::<ReadLinks>() && allowed(&narrow) == 1);
        assert!(!application(Role::Viewer, "links:write").may::<WriteLinks>());
        let first_party = Principal { client: Some("tenfold".to_owned()), ..user(Some(Role::Owner), "*") };
        assert!(!first_party.is_delegated() && allowed(&first_party) == ALL.len());
        let machine = Principal { kind: PrincipalKind::Client, ..owner };
        assert!(!machine.is_delegated() && allowed(&machine) == ALL.len());
    }

    #[test]
    fn a_program_needs_no_role_and_has_its_scopes() {
        for kind in [PrincipalKind::ApiKey, PrincipalKind::Client] {
            let program = Principal { kind, ..user(None, "links:read") };
            assert!(program.may::<ReadLinks>() && !program.may::<WriteLinks>());
        }
    }
}
