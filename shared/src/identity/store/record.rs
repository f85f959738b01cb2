//! The record of an API key, and its form in the table.

use aws_sdk_dynamodb::primitives::Blob;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Corrupt;
use crate::dynamo::{AttributeValue, DynamoError, Item, Key, n, s};
use crate::http::ClientAddress;
use crate::http::versions::Version;
use crate::id::TenantId;
use crate::identity::api_key::{ApiKey, ApiKeyId, KeyHash, KeyMode, made_at};
use crate::identity::credits::{Credits, Refill};
use crate::identity::permission::Scopes;
use crate::time::{SignedDuration, Timestamp};

/// How long a revoked key is kept: as long as the audit records of its tenant, which tell of it.
pub const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// The most networks that a key may be bound to.
pub const MOST_NETWORKS: usize = 20;

/// What is stored of an API key. Times are kept to the second.
#[derive(Clone, Debug)]
pub struct ApiKeyRecord {
    /// Its id.
    pub id: ApiKeyId,
    /// The hash of the whole key.
    pub hash: KeyHash,
    /// Whose it is.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it is for production data.
    pub mode: KeyMode,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it: the subject of a principal, or the program that did; empty where it is not known.
    pub created_by: String,
    /// When it was last used, to ten minutes.
    pub last_used_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// From where it may be used, at most [`MOST_NETWORKS`]; anywhere when empty.
    pub allowed_networks: Vec<IpNet>,
    /// How many requests it may make; any number without.
    pub credits: Option<Credits>,
    /// The one version of the API that it may be used with; each of them without.
    pub api_version: Option<Version>,
}

impl ApiKeyRecord {
    /// The record of a key that is good from anywhere, for any number of requests and each version, until it is revoked.
    pub fn new(key: &ApiKey, tenant: TenantId, name: &str, scopes: Scopes, created_by: &str) -> Self {
        Self {
            id: key.id(),
            hash: key.hash(),
            tenant,
            name: name.to_owned(),
            scopes,
            mode: key.mode(),
            created_at: made_at(key.id()),
            created_by: created_by.to_owned(),
            last_used_at: None,
            expires_at: None,
            revoked_at: None,
            allowed_networks: Vec::new(),
            credits: None,
            api_version: None,
        }
    }

    /// Whether it is neither revoked nor expired at `now`.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        ![self.revoked_at, self.expires_at].into_iter().flatten().any(|end| end <= now)
    }

    /// Whether it may be used from `address`. An unknown address is in no network.
    pub fn allows_from(&self, address: ClientAddress) -> bool {
        let within = |address| self.allowed_networks.iter().any(|network| network.contains(&address));
        self.allowed_networks.is_empty() || address.get().is_some_and(within)
    }
}

pub(super) fn key_of(id: &ApiKeyId) -> Key {
    [("pk", s(format!("key#{id}"))), ("sk", s("key"))].into()
}

/// When the record of a key goes that was revoked at `revoked_at`, in seconds since the Unix epoch.
pub(super) fn removed_at(revoked_at: Timestamp) -> i64 {
    revoked_at.as_second().saturating_add(KEPT.as_secs())
}

/// Whose item it is.
pub(super) fn id_of(item: &Item) -> Result<ApiKeyId, Corrupt> {
    let pk = item.get("pk").and_then(|pk| pk.as_s().ok()).map_or("", String::as_str);
    pk.strip_prefix("key#").and_then(|id| id.parse().ok()).ok_or_else(|| Corrupt::new(pk, "id"))
}

/// A record's attributes but for its key and its hash. Those that came later have defaults.
#[derive(Serialize, Deserialize)]
struct Attributes {
    tenant: TenantId,
    #[serde(default)]
    name: String,
    #[serde(default)]
    scopes: Scopes,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<KeyMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<i64>,
    #[serde(default)]
    created_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allowed_networks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credits_remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refill_amount: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refill_every_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refilled_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<Version>,
}

/// The item of a record.
pub(super) fn item(record: &ApiKeyRecord) -> Result<Item, DynamoError> {
    if record.allowed_networks.len() > MOST_NETWORKS {
        return Err(Corrupt::new(&record.id.to_string(), "allowed_networks").into());
    }
    let refill = record.credits.and_then(|credits| credits.refill);
    let mut item: Item = serde_dynamo::to_item(Attributes {
        tenant: record.tenant,
        name: record.name.clone(),
        scopes: record.scopes.clone(),
        mode: Some(record.mode),
        created_at: Some(record.created_at.as_second()),
        created_by: record.created_by.clone(),
        last_used_at: record.last_used_at.map(Timestamp::as_second),
        expires_at: record.expires_at.map(Timestamp::as_second),
        revoked_at: record.revoked_at.map(Timestamp::as_second),
        allowed_networks: record.allowed_networks.iter().map(ToString::to_string).collect(),
        credits_remaining: record.credits.map(|credits| credits.remaining),
        refill_amount: refill.map(|refill| refill.amount),
        refill_every_seconds: refill.map(|refill| refill.every_seconds),
        refilled_at: refill.map(|refill| refill.refilled_at.as_second()),
        api_version: record.api_version,
    })
    .map_err(|error| DynamoError::Refused(error.into()))?;
    item.insert("pk".to_owned(), s(format!("key#{}", record.id)));
    item.insert("sk".to_owned(), s("key"));
    item.insert("hash".to_owned(), AttributeValue::B(Blob::new(*record.hash.as_bytes())));
    if let Some(revoked_at) = record.revoked_at {
        item.insert("removed_at".to_owned(), n(removed_at(revoked_at)));
    }
    Ok(item)
}

/// A record that cannot be read whole is none: a time that has no value must not make a key valid for ever.
pub(super) fn record(id: ApiKeyId, item: Item) -> Result<ApiKeyRecord, Corrupt> {
    let corrupt = |name| Corrupt::new(&id.to_string(), name);
    let hash = match item.get("hash") {
        Some(AttributeValue::B(bytes)) => KeyHash::from_bytes(bytes.as_ref()),
        _ => None,
    };
    // No attribute is written without a value; one would read as absent.
    if item.values().any(AttributeValue::is_null) {
        return Err(corrupt("attributes"));
    }
    let stored: Attributes = serde_dynamo::from_item(item).map_err(|error| corrupt("attributes").because(error))?;
    let time = |second: Option<i64>, name| {
        second.map(Timestamp::from_second).transpose().map_err(|error| corrupt(name).because(error))
    };
    let refill = match (stored.refill_amount, stored.refill_every_seconds, stored.refilled_at) {
        (None, None, None) => None,
        (Some(amount), Some(every_seconds), at) => Some(Refill {
            amount,
            every_seconds,
            refilled_at: time(at, "refilled_at")?.ok_or_else(|| corrupt("refilled_at"))?,
        }),
        _ => return Err(corrupt("refill")),
    };
    let networks = stored.allowed_networks.iter().map(|text| text.parse());
    Ok(ApiKeyRecord {
        id,
        hash: hash.ok_or_else(|| corrupt("hash"))?,
        tenant: stored.tenant,
        name: stored.name,
        scopes: stored.scopes,
        mode: stored.mode.unwrap_or(KeyMode::Live),
        created_at: time(stored.created_at, "created_at")?.unwrap_or_else(|| made_at(id)),
        created_by: stored.created_by,
        last_used_at: time(stored.last_used_at, "last_used_at")?,
        expires_at: time(stored.expires_at, "expires_at")?,
        revoked_at: time(stored.revoked_at, "revoked_at")?,
        allowed_networks: networks
            .collect::<Result<_, ipnet::AddrParseError>>()
            .map_err(|error| corrupt("allowed_networks").because(error))?,
        credits: stored.credits_remaining.map(|remaining| Credits { remaining, refill }),
        api_version: stored.api_version,
    })
}
