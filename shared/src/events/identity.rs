//! What the auth service tells. No event carries an address or a name but [`UserCreated`], [`UserUpdated`], which services
//! that keep a copy of users need.

use serde::{Deserialize, Serialize};

use super::EventData;
use crate::id::TenantId;

/// Implements [`EventData`] for an event of the auth service.
macro_rules! event {
    ($type:ident, $name:literal) => {
        impl EventData for $type {
            const TYPE: &'static str = $name;
            const SOURCE: &'static str = "auth";
        }
    };
}

/// `user.created`: a user begins in the tenant. An account was made and its address proved, or its user was removed from the
/// last tenant and gets this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCreated {
    /// The user.
    pub user_id: String,
    /// The address.
    pub email: String,
    /// What the user is called.
    pub name: Option<String>,
    /// Whether the address is proved: always.
    pub verified: bool,
}
event!(UserCreated, "user.created");

/// `user.updated`: a member's address or name is another. Each tenant is told that they are a member of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserUpdated {
    /// The user.
    pub user_id: String,
    /// The address.
    pub email: String,
    /// What the user is called.
    pub name: Option<String>,
    /// Whether the address is proved.
    pub verified: bool,
}
event!(UserUpdated, "user.updated");

/// `user.deleted`: an account is gone, from all its tenants; one that was in none is told to nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDeleted {
    /// The user.
    pub user_id: String,
    /// The tenants that it was a member of.
    pub tenant_ids: Vec<TenantId>,
}
event!(UserDeleted, "user.deleted");

/// `member.changed`: a member of the tenant has other roles or another status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberChanged {
    /// The user.
    pub user_id: String,
    /// The names of the roles now.
    pub roles: Vec<String>,
    /// Whether the membership is suspended now.
    pub suspended: bool,
}
event!(MemberChanged, "member.changed");

/// `member.removed`: a user is no member of the tenant any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRemoved {
    /// The user.
    pub user_id: String,
}
event!(MemberRemoved, "member.removed");

/// `session.refresh_token_reused`: a refresh token came a second time, so its session was ended. Somebody has a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshTokenReused {
    /// Whose session.
    pub user_id: String,
    /// The session.
    pub session_id: String,
    /// Where the second use came from: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
    pub network: Option<String>,
}
event!(RefreshTokenReused, "session.refresh_token_reused");

/// `session.authorization_code_reused`: an application's code came a second time, so the session that was issued for it was
/// ended. Somebody has a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationCodeReused {
    /// Whose session.
    pub user_id: String,
    /// The session.
    pub session_id: String,
    /// The application's client.
    pub client_id: String,
    /// Where the second use came from: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
    pub network: Option<String>,
}
event!(AuthorizationCodeReused, "session.authorization_code_reused");
