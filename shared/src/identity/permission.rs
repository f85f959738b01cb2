//! What a caller may do: every permission by name, in one table.

use serde::{Deserialize, Serialize};

/// Something that a route asks its caller to be allowed. Implemented by an empty type for each, so that a handler's
/// signature names it: `Caller<permission::WriteLinks>`.
pub trait Permission: Send + Sync + 'static {
    /// Its name: `resource:verb`. Roles and scopes grant it.
    const NAME: &'static str;
}

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $type:ident = $name:literal;)*) => {
        $($(#[doc = $doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $type {}
        impl Permission for $type {
            const NAME: &'static str = $name;
        })*

        /// The names of all permissions.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

permissions! {
    /// See links and their statistics.
    ReadLinks = "links:read";
    /// Make, change and delete links.
    WriteLinks = "links:write";
    /// Set what holds for all links of the tenant, such as its blocked domains.
    ManageLinks = "links:manage";
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

    /// Whether one of them covers `permission`.
    pub fn grant(&self, permission: &str) -> bool {
        let resource = permission.split(':').next().unwrap_or_default();
        self.0.iter().any(|scope| {
            scope == "*" || scope == permission || scope.strip_suffix(":*").is_some_and(|prefix| prefix == resource)
        })
    }
}
