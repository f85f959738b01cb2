//! The verified caller.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::permission::{Permission, Scopes};
use crate::id::TenantId;

/// The caller of a request, or of a message, whose credential was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it may touch.
    pub tenant: TenantId,
    /// Who it is: the id of a user or an API key.
    pub subject: String,
    /// What it is.
    pub kind: PrincipalKind,
    /// A user's roles in the tenant.
    pub roles: Vec<Role>,
    /// What the credential is limited to.
    pub scopes: Scopes,
    /// The session of a user's token.
    pub session: Option<String>,
}

impl Principal {
    /// Whether it may do what `P` names: by one of its roles (a key has none and needs none), and within its scopes.
    pub fn may<P: Permission>(&self) -> bool {
        let by_role = match self.kind {
            PrincipalKind::User => self.roles.iter().any(|role| role.grants(P::NAME)),
            PrincipalKind::ApiKey | PrincipalKind::System => true,
        };
        by_role && self.scopes.grant(P::NAME)
    }
}

/// What kind of caller it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person with an access token.
    User,
    /// A program with an API key.
    ApiKey,
    /// Tenfold itself.
    System,
}

impl PrincipalKind {
    /// Its name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::System => "system",
        }
    }
}

/// A built-in role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// All, and the tenant itself.
    Owner,
    /// All within the tenant.
    Admin,
    /// Reads and writes.
    Member,
    /// Reads.
    Viewer,
}

impl Role {
    fn grants(self, permission: &str) -> bool {
        match self {
            Self::Owner | Self::Admin => true,
            Self::Member => permission.ends_with(":read") || permission.ends_with(":write"),
            Self::Viewer => permission.ends_with(":read"),
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
        [Self::Owner, Self::Admin, Self::Member, Self::Viewer]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or(UnknownRole)
    }
}

/// A text is no built-in role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a built-in role")]
pub struct UnknownRole;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::permission::{ManageLinks, ReadLinks, WriteLinks};
    use crate::random::Random;
    use crate::time::Timestamp;

    fn user(role: Role, scopes: &str) -> Principal {
        Principal {
            tenant: TenantId::new(Timestamp::UNIX_EPOCH, &Random::seeded(1)),
            subject: "user_1".to_owned(),
            kind: PrincipalKind::User,
            roles: vec![role],
            scopes: Scopes::parse(scopes),
            session: None,
        }
    }

    #[test]
    fn both_the_role_and_the_scopes_must_grant() {
        assert!(user(Role::Viewer, "*").may::<ReadLinks>());
        assert!(!user(Role::Viewer, "*").may::<WriteLinks>());
        assert!(user(Role::Member, "*").may::<WriteLinks>());
        assert!(!user(Role::Member, "*").may::<ManageLinks>());
        assert!(user(Role::Owner, "links:*").may::<ManageLinks>());
        assert!(!user(Role::Owner, "links:read").may::<WriteLinks>());
        assert!(!user(Role::Owner, "").may::<ReadLinks>());
    }
}
