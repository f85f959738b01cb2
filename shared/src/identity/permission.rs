//! What a caller may do: every permission by name, in one table.

use serde::{Deserialize, Serialize};

/// Something that a route asks its caller to be allowed. Implemented by an empty type for each, so that a handler's
/// signature names it: `Caller<permission::WriteLinks>`.
pub trait Permission: Send + Sync + 'static {
    /// Its name: `resource:verb`. Roles and scopes grant it.
    const NAME: &'static str;
}

macro_rules! permissions {
    ($(#[doc = $doc:literal] $type:ident = $name:literal;)*) => {
        $(#[doc = $doc]
        #[derive(Clone, Copy, Debug)]
        pub enum $type {}
        impl Permission for $type {
            const NAME: &'static str = $name;
        })*

        /// The names of all permissions.
        pub const ALL: &[&str] = &[$($name,)*];

        /// What a permission lets one do, in words.
        pub fn meaning(permission: &str) -> Option<&'static str> {
            match permission {
                $($name => Some($doc.trim_ascii()),)*
                _ => None,
            }
        }
    };
}

permissions! {
    /// See links and their statistics.
    ReadLinks = "links:read";
    /// Make, change and delete links.
    WriteLinks = "links:write";
    /// Set what holds for all links of the tenant, such as its blocked domains.
    ManageLinks = "links:manage";
    /// See jobs, queues and schedules.
    ReadJobs = "jobs:read";
    /// Make, cancel and retry jobs, and work on them.
    WriteJobs = "jobs:write";
    /// Set queues and schedules, and see the secrets that sign what is sent.
    ManageJobs = "jobs:manage";
    /// Have jobs send mail to any address, in the name of this deployment.
    SendMail = "mail:send";
    /// See one's own notes and those that are shared with one.
    ReadNotes = "notes:read";
    /// Make, change, delete and share notes.
    WriteNotes = "notes:write";
    /// Set what holds for all notes of the tenant.
    ManageNotes = "notes:manage";
    /// See one's own account: profile, sessions, factors.
    ReadAccount = "account:read";
    /// Change one's own account.
    WriteAccount = "account:write";
    /// See the tenant's API keys (never their secrets).
    ReadApiKeys = "api_keys:read";
    /// Make, rotate and revoke API keys.
    WriteApiKeys = "api_keys:write";
    /// See, suspend and remove the tenant's users, and give them roles.
    ManageUsers = "users:manage";
    /// Define the tenant's own roles.
    ManageRoles = "roles:manage";
    /// Register OAuth clients of the tenant.
    ManageClients = "clients:manage";
    /// Change the tenant's settings.
    ManageTenant = "tenant:manage";
    /// Export all that the tenant has.
    ExportTenant = "tenant:export";
    /// Hand the tenant over, or delete it.
    OwnTenant = "tenant:own";
    /// Read the audit log.
    ViewAudit = "audit:view";
}

/// What an application of somebody else's may have that acts for a user. All else (accounts, keys, users, the tenant itself)
/// is for the user alone, whatever the scopes of a token say; a new resource is until it is listed here.
const DELEGATED: [&str; 4] = ["links", "jobs", "mail", "notes"];

/// Whether an application of somebody else's may have `permission` at all.
pub fn may_be_delegated(permission: &str) -> bool {
    permission.split_once(':').is_some_and(|(resource, _)| DELEGATED.contains(&resource))
}

/// What a credential is limited to: names of permissions, `resource:*`, or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// All that its owner may.
    pub fn all() -> Self {
        Self(vec!["*".to_owned()])
    }

    /// Scopes separated by spaces, as OAuth writes them (RFC 6749, section 3.3).
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_owned).collect())
    }

    /// Each scope as it was written.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether one of them covers `permission`.
    pub fn grant(&self, permission: &str) -> bool {
        self.iter().any(|scope| covers(scope, permission))
    }

    /// Checks that each scope is known and covers only permissions that `allows` grants. The error is the first scope
    /// that does not: one that covers no permission at all, or one that is wider than its giver.
    pub fn within(&self, allows: impl Fn(&str) -> bool) -> Result<(), String> {
        for scope in self.iter() {
            let mut covered = ALL.iter().filter(|permission| covers(scope, permission)).peekable();
            if covered.peek().is_none() || !covered.all(|permission| allows(permission)) {
                return Err(scope.to_owned());
            }
        }
        Ok(())
    }
}

/// Whether `scope` is the permission, all of its resource (`links:*`), or everything (`*`).
fn covers(scope: &str, permission: &str) -> bool {
    let resource = permission.split(':').next().unwrap_or_default();
    scope == "*" || scope == permission || scope.strip_suffix(":*").is_some_and(|prefix| prefix == resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_stay_within_what_their_giver_may() {
        let member = |permission: &str| permission.ends_with(":read") || permission.ends_with(":write");
        let within = |scopes: &str, allows: fn(&str) -> bool| Scopes::parse(scopes).within(allows);
        assert_eq!(within("links:read links:write api_keys:*", member), Ok(()));
        assert_eq!(within("", |_| false), Ok(()));
        assert_eq!(within("*", |_| true), Ok(()));
        for (scopes, first) in [("links:read links:*", "links:*"), ("*", "*"), ("tenant:own", "tenant:own")] {
            assert_eq!(within(scopes, member), Err(first.to_owned()));
        }
        for unknown in ["links", "links:", "links:fly", "link:*", "*:*", ":*", "LINKS:READ", "**"] {
            assert_eq!(within(unknown, |_| true), Err(unknown.to_owned()));
        }
    }

    #[test]
    fn every_permission_names_a_resource_and_a_verb_once() {
        let mut names = ALL.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|name| name.split(':').filter(|part| !part.is_empty()).count() == 2));
    }
}
