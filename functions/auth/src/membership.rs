//! What a user is in a tenant: roles, and whether the membership is suspended.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::id::TenantId;
use shared::identity::{Role, Scopes};
use shared::refusal::Refusal;
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::email::EmailAddress;
use crate::user::{Name, User, UserId};

/// The most roles of one member.
pub const MOST_ROLES: usize = 10;

/// A user's membership in a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The user.
    pub user_id: UserId,
    /// The names of the roles: built-in ones and the tenant's own. At least one, each once.
    pub roles: Vec<RoleName>,
    /// Whether the member is kept out.
    pub status: MemberStatus,
    /// The user's address, as it was when the membership was last written: what lists show.
    pub email: EmailAddress,
    /// The user's name, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When the roles or the status were last changed, where something else was since. See [`Self::access_as_of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_changed_at: Option<Timestamp>,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

/// Whether a membership gives access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// It does.
    Active,
    /// An administrator has suspended it.
    Suspended,
}

impl Membership {
    /// Whether one of the roles is the built-in `owner`.
    pub fn is_owner(&self) -> bool {
        self.roles.iter().any(|role| role.built_in() == Some(Role::Owner))
    }

    /// When what it gives was last changed, and tokens were ended by that. A name or an address changes no more than what is
    /// shown: if it counted, who is about to lose something could make their tokens look newer than the loss.
    pub fn access_as_of(&self) -> Timestamp {
        self.access_changed_at.unwrap_or(self.updated_at)
    }

    /// When it was last changed in any way. A name may have been written by a slower clock than what it gives was.
    pub fn last_changed_at(&self) -> Timestamp {
        self.updated_at.max(self.access_as_of())
    }

    /// Whether it gives access.
    pub fn is_active(&self) -> bool {
        self.status == MemberStatus::Active
    }
}

impl User {
    /// The tenant that is told what becomes of the account, given the user's memberships: the home tenant, or another one
    /// where they are no member of that any more. None while they are in no tenant.
    pub fn seat(&self, memberships: &[Membership]) -> Option<TenantId> {
        let tenants = || memberships.iter().map(|membership| membership.tenant_id);
        tenants().find(|tenant| *tenant == self.home_tenant_id).or_else(|| tenants().next())
    }
}

/// The name of a role: 1 to 40 of `a-z 0-9 _ -`, beginning with a letter. `owner`, `admin`, `member` and `viewer` are
/// built in; a tenant makes others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

impl RoleName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The built-in role of this name.
    pub fn built_in(&self) -> Option<Role> {
        self.0.parse().ok()
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        Self(role.to_string())
    }
}

impl TryFrom<String> for RoleName {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        let begins_well = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if begins_well && text.len() <= 40 && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(Refusal::new("invalid_role", "is 1 to 40 of a-z 0-9 _ - and begins with a letter"))
        }
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> Self {
        name.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl utoipa::PartialSchema for RoleName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .pattern(Some("^[a-z][a-z0-9_-]{0,39}$"))
            .examples(["member"])
            .into()
    }
}
impl utoipa::ToSchema for RoleName {}

/// A role that a tenant made: a named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The name; not one of the built-in ones.
    pub name: RoleName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it grants: names of permissions, or `resource:*`.
    pub permissions: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it last granted less than before, and tokens were ended by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed_at: Option<Timestamp>,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_name_is_plain() {
        for good in ["owner", "support-2", "a"] {
            assert!(RoleName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "Owner", "2a", "a b", "é", &"a".repeat(41)] {
            assert!(RoleName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
