//! How many of something a tenant has, counted so that two requests at once do not pass the bound together.

use shared::dynamo::{TransactWrite, Update, n};
use shared::id::TenantId;

use super::{AccountStore, MOST_CLIENTS, MOST_ROLES, Write, WriteError, key};

/// The most API keys of a tenant that are not revoked.
pub const MOST_API_KEYS: usize = 500;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Custom roles: at most [`MOST_ROLES`].
    Roles,
    /// API keys that are listed and not revoked: at most [`MOST_API_KEYS`].
    ApiKeys,
    /// OAuth clients: at most [`MOST_CLIENTS`].
    Clients,
}

impl Counted {
    const fn sort_key(self) -> &'static str {
        match self {
            Self::Roles => "count#roles",
            Self::ApiKeys => "count#api_keys",
            Self::Clients => "count#clients",
        }
    }

    const fn most(self) -> usize {
        match self {
            Self::Roles => MOST_ROLES,
            Self::ApiKeys => MOST_API_KEYS,
            Self::Clients => MOST_CLIENTS,
        }
    }
}

impl AccountStore {
    /// The write that counts so many more. [`WriteError::Full`] when the tenant would have too many.
    pub fn counted_more(&self, tenant: &TenantId, what: Counted, more: usize) -> Write {
        let update = Update::new(&self.table, key(tenant.to_string(), what.sort_key()), "ADD held :more")
            .only_if("attribute_not_exists(held) OR held <= :room")
            .value(":more", n(more))
            .value(":room", n(what.most().saturating_sub(more)));
        Write::or(TransactWrite::Update(update), WriteError::Full)
    }

    /// The write that counts one less.
    pub fn counted_less(&self, tenant: &TenantId, what: Counted) -> Write {
        let update = Update::new(&self.table, key(tenant.to_string(), what.sort_key()), "ADD held :less");
        Write::sure(TransactWrite::Update(update.value(":less", n(-1))))
    }
}
