//! Who may give what: nobody gives more than they may do themselves, and owners are made by owners.
//!
//! An API key or a machine client counts as an administrator at most, whatever its scopes are: it neither makes nor
//! changes an owner, and does not give `tenant:own`. So a leaked key takes no tenant away from its owners.

use shared::http::{Problem, ProblemType};
use shared::identity::permission::{ALL, OwnTenant, Permission};
use shared::identity::{Principal, Role, Scopes};
use shared::refusal::Refusal;

use crate::membership::{CustomRole, MemberStatus, Membership, RoleName};

/// The most scopes of a key and permissions of a role.
pub(crate) const MOST_SCOPES: usize = 50;

/// Whether the caller acts as an owner: a user with the role, by a token that is not limited to less.
pub(crate) fn is_owner(caller: &Principal) -> bool {
    caller.roles.contains(&Role::Owner) && caller.may::<OwnTenant>()
}

/// Whether the caller may give `permission` to members and roles.
fn may_give(caller: &Principal, permission: &str) -> bool {
    caller.allows(permission) && (permission != OwnTenant::NAME || is_owner(caller))
}

/// Refuses to touch an owner, or to make one, for anybody but an owner.
pub(crate) fn check_ownership(caller: &Principal, touched: &[&Membership]) -> Result<(), Problem> {
    if touched.iter().any(|member| member.is_owner()) && !is_owner(caller) {
        return Err(Problem::new(ProblemType::Forbidden, "only an owner makes, changes or removes an owner"));
    }
    Ok(())
}

/// The roles that a change of a membership gives: new ones, and all when a suspended member is let in again.
pub(crate) fn given<'a>(before: &Membership, after: &'a Membership) -> Vec<&'a RoleName> {
    let reinstated = before.status == MemberStatus::Suspended && after.is_active();
    after.roles.iter().filter(|role| reinstated || !before.roles.contains(role)).collect()
}

/// Refuses a role that grants more than the caller may give. `custom` is its record when it is not built in.
pub(crate) fn check_role(caller: &Principal, name: &RoleName, custom: Option<&CustomRole>) -> Result<(), Problem> {
    let grants = |permission: &str| match name.built_in() {
        Some(role) => role.grants(permission),
        None => custom.is_some_and(|role| role.permissions.grant(permission)),
    };
    match ALL.iter().find(|permission| grants(permission) && !may_give(caller, permission)) {
        Some(permission) => Err(wider(&format!("the role {name}"), permission)),
        None => Ok(()),
    }
}

/// Refuses permissions of a role that it did not grant before and that the caller may not give.
pub(crate) fn check_permissions(caller: &Principal, before: &Scopes, after: &Scopes) -> Result<(), Problem> {
    let gained = |permission: &&&str| after.grant(permission) && !before.grant(permission);
    match ALL.iter().filter(gained).find(|permission| !may_give(caller, permission)) {
        Some(permission) => Err(wider("the role", permission)),
        None => Ok(()),
    }
}

/// What has scopes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scoped {
    /// An API key.
    ApiKey,
    /// An OAuth client.
    Client,
}

/// Refuses scopes that are wider than what the caller may do.
pub(crate) fn check_scopes(caller: &Principal, holder: Scoped, scopes: &Scopes) -> Result<(), Problem> {
    let what = match holder {
        Scoped::ApiKey => "the API key",
        Scoped::Client => "the client",
    };
    match ALL.iter().find(|permission| scopes.grant(permission) && !caller.allows(permission)) {
        Some(permission) => Err(wider(what, permission)),
        None => Ok(()),
    }
}

fn wider(what: &str, permission: &str) -> Problem {
    Problem::new(ProblemType::Forbidden, format!("{what} would have {permission}, which you do not have"))
}

/// `least` to [`MOST_SCOPES`] known scopes, sorted and each once.
pub(crate) fn known(scopes: &Scopes, least: usize) -> Result<Scopes, Refusal> {
    let mut sorted: Vec<_> = scopes.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    if !(least..=MOST_SCOPES).contains(&sorted.len()) {
        return Err(Refusal::new("invalid_length", format!("must have {least} to {MOST_SCOPES} entries")));
    }
    scopes.within(|_| true).map_err(|unknown| {
        // It has any length.
        let shown: String = unknown.chars().take(100).collect();
        Refusal::new(
            "unknown_permission",
            format!("has `{shown}`, which is neither a permission, nor resource:*, nor *"),
        )
    })?;
    Ok(Scopes::parse(&sorted.join(" ")))
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
