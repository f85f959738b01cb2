//! API keys, as their tenant lists them. What verifies a key is its record in the identity table; both are written in one
//! transaction, so the two agree. What changes with each use (credits, the last use), and the
//! version of the API that a key is pinned to, are in that record alone.
//!
//! A key that was made elsewhere (`platform.keys`) has a record and is not listed. It is found by its id, and listed from
//! its first change on.

use serde::{Deserialize, Serialize};
use shared::dynamo::{Put, Query, TransactWrite, n, s};
use shared::id::TenantId;
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKeyId, KeyMode};
use shared::identity::store::{ApiKeyRecord, KEPT};
use shared::time::Timestamp;

use super::{AccountStore, Counted, Keyset, ListPage, Write, WriteError, item, removed_at};

/// A key, as its tenant lists it. A revoked one is listed for as long as its record is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it is for production data.
    pub mode: KeyMode,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// From where it may be used; anywhere when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<String>,
    /// The key that it was rotated to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<ApiKeyId>,
    /// Rises with each change; conditions name it. 0 for a key that is not listed yet.
    pub revision: u64,
}

impl ListedKey {
    /// How a key will be listed that is not yet.
    pub fn of(record: &ApiKeyRecord) -> Self {
        Self {
            id: record.id,
            tenant_id: record.tenant,
            name: record.name.clone(),
            scopes: record.scopes.clone(),
            mode: record.mode,
            created_by: record.created_by.clone(),
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            allowed_networks: record.allowed_networks.iter().map(ToString::to_string).collect(),
            replaced_by: None,
            revision: 0,
        }
    }

    /// Whether it is one of the keys of which a tenant may have so many.
    pub const fn counts(&self) -> bool {
        self.revision > 0 && self.revoked_at.is_none()
    }
}

fn sort_key(id: &ApiKeyId) -> String {
    format!("api_key#{id}")
}

impl AccountStore {
    /// A key of the tenant that is listed.
    pub async fn listed_key(&self, tenant: &TenantId, id: &ApiKeyId) -> Result<Option<ListedKey>, WriteError> {
        self.one(tenant.to_string(), sort_key(id)).await
    }

    /// One page of a tenant's keys, the oldest first.
    pub async fn listed_keys(&self, tenant: &TenantId, keyset: &Keyset) -> Result<ListPage<ListedKey>, WriteError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(tenant.to_string()))
            .value(":prefix", s("api_key#"));
        self.page(&tenant.to_string(), query, false, keyset).await
    }

    /// The writes that list the keys of one tenant as they shall be, each over the revision before
    /// ([`WriteError::Stale`]), and count them ([`WriteError::Full`]). `counted` is how many of them counted before.
    pub fn key_listing(&self, keys: &[&ListedKey], counted: usize) -> Result<Vec<Write>, WriteError> {
        let mut writes = Vec::new();
        for key in keys {
            let mut record = item(key.tenant_id.to_string(), sort_key(&key.id), *key)?;
            if let Some(revoked_at) = key.revoked_at {
                record = removed_at(record, revoked_at.checked_add(KEPT).unwrap_or(Timestamp::MAX));
            }
            let put = Put::new(&self.table, record);
            let put = match key.revision {
                0 | 1 => put.only_if("attribute_not_exists(pk)"),
                revision => put.only_if("revision = :before").value(":before", n(revision - 1)),
            };
            writes.push(Write::or(TransactWrite::Put(put), WriteError::Stale));
        }
        let counting = keys.iter().filter(|key| key.counts()).count();
        if let Some(first) = keys.first() {
            match counting.checked_sub(counted) {
                Some(0) => {}
                Some(more) => writes.push(self.counted_more(&first.tenant_id, Counted::ApiKeys, more)),
                None => writes.push(self.counted_less(&first.tenant_id, Counted::ApiKeys)),
            }
        }
        Ok(writes)
    }
}
