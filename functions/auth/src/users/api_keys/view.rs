//! What the API shows of an API key. The key itself is shown when it is made, and never again.

use serde::Serialize;
use shared::http::versions::Version;
use shared::identity::api_key::{ApiKeyId, KeyMode};
use shared::identity::credits::Credits;
use shared::identity::store::ApiKeyRecord;
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::store::api_keys::ListedKey;

/// An API key, as its tenant sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Website", "prefix": "tf_live_01k9z4n2y6e0qv3m8t5w7x9abc",
    "mode": "live", "scopes": ["links:read", "links:write"], "status": "active", "allowed_networks": ["203.0.113.0/24"],
    "credits": {"remaining": 990, "refill": {"amount": 1000, "every_seconds": 86400, "next_at": "2026-05-05T09:30:00.000Z"}},
    "api_version": "v2",
    "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "created_at": "2026-05-04T09:30:00.000Z",
    "last_used_at": "2026-05-04T10:30:00.000Z", "expires_at": null, "revoked_at": null, "replaced_by": null,
}))]
pub struct ApiKeyView {
    /// The id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What the key begins with. It tells which key a secret scanner has found.
    pub prefix: String,
    /// Whether it is for production data.
    #[schema(value_type = String, example = "live")]
    pub mode: KeyMode,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Whether it may be used.
    pub status: KeyStatus,
    /// From where it may be used; from anywhere when empty.
    pub allowed_networks: Vec<String>,
    /// How many requests it may make; any number when null.
    pub credits: Option<CreditsView>,
    /// The one version of the API that it may be used with; each of them when null.
    pub api_version: Option<Version>,
    /// Who made it: the id of a user, an API key or a client, or the name of the program that did.
    pub created_by: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When it was last used, to ten minutes.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis_or_null")]
    pub last_used_at: Option<Timestamp>,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis_or_null")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis_or_null")]
    pub revoked_at: Option<Timestamp>,
    /// The key that it was rotated to.
    pub replaced_by: Option<String>,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It may.
    Active,
    /// Its end has come.
    Expired,
    /// It was revoked.
    Revoked,
}

/// The credits of a key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CreditsView {
    /// Requests that it may still make before the next refill.
    pub remaining: u64,
    /// The regular refill; there is none when null.
    pub refill: Option<RefillView>,
}

/// The refill of a key's credits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RefillView {
    /// The balance after a refill.
    pub amount: u64,
    /// The time between two refills.
    pub every_seconds: u64,
    /// When the next one is.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub next_at: Timestamp,
}

/// A new key with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Website", "prefix": "tf_live_01k9z4n2y6e0qv3m8t5w7x9abc",
    "mode": "live", "scopes": ["links:read", "links:write"], "status": "active", "allowed_networks": [], "credits": null,
    "api_version": null, "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "created_at": "2026-05-04T09:30:00.000Z", "last_used_at": null,
    "expires_at": null, "revoked_at": null, "replaced_by": null,
    "api_key": "tf_live_01k9z4n2y6e0qv3m8t5w7x9abc0123456789abcdefghijklmnopqrstuv00AbCd", "note": null,
}))]
pub struct ShownOnce {
    /// What is shown of it later, too.
    #[serde(flatten)]
    pub key: ApiKeyView,
    /// The key: keep it, it is not stored here. Null when a request is answered again by its `Idempotency-Key`.
    pub api_key: Option<String>,
    /// Why there is no `api_key`.
    pub note: Option<&'static str>,
}

impl ShownOnce {
    /// What is answered when the request is sent again: the key, and not its secret.
    pub fn again(&self) -> Self {
        Self {
            key: self.key.clone(),
            api_key: None,
            note: Some("the key was shown in the first answer and is not stored; if it was lost, rotate or revoke it"),
        }
    }
}

impl ApiKeyView {
    /// What is shown of `key` at `now`; what verifies it or changes with each use is in its `record`.
    pub fn of(key: &ListedKey, record: Option<&ApiKeyRecord>, now: Timestamp) -> Self {
        let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let status = match () {
            () if has_come(key.revoked_at) => KeyStatus::Revoked,
            () if has_come(key.expires_at) => KeyStatus::Expired,
            () => KeyStatus::Active,
        };
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            prefix: prefix(key.mode, &key.id),
            mode: key.mode,
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            status,
            allowed_networks: key.allowed_networks.clone(),
            credits: record.and_then(|record| record.credits).map(|credits| CreditsView::of(credits, now)),
            api_version: record.and_then(|record| record.api_version),
            created_by: key.created_by.clone(),
            created_at: key.created_at,
            last_used_at: record.and_then(|record| record.last_used_at),
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            replaced_by: key.replaced_by.map(|id| id.to_string()),
        }
    }
}

impl CreditsView {
    fn of(credits: Credits, now: Timestamp) -> Self {
        let credits = credits.at(now);
        let refill = credits.refill.map(|refill| {
            let period = SignedDuration::from_secs(i64::try_from(refill.every_seconds).unwrap_or(i64::MAX));
            RefillView {
                amount: refill.amount,
                every_seconds: refill.every_seconds,
                next_at: refill.refilled_at.checked_add(period).unwrap_or(Timestamp::MAX),
            }
        });
        Self { remaining: credits.remaining, refill }
    }
}

fn prefix(mode: KeyMode, id: &ApiKeyId) -> String {
    let id = id.to_string();
    let digits = id.rsplit_once('_').map_or("", |(_, digits)| digits);
    match mode {
        KeyMode::Live => format!("tf_live_{digits}"),
        KeyMode::Test => format!("tf_test_{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::id::TenantId;
    use shared::identity::Scopes;
    use shared::identity::api_key::ApiKey;
    use shared::random::Random;

    #[test]
    fn a_key_begins_with_its_prefix() {
        for mode in [KeyMode::Live, KeyMode::Test] {
            let key = ApiKey::generate(mode, Timestamp::UNIX_EPOCH, &Random::seeded(1));
            assert!(key.expose().starts_with(&prefix(mode, &key.id())));
        }
    }

    #[test]
    fn an_end_that_has_come_is_seen() {
        let (random, now) = (Random::seeded(2), Timestamp::UNIX_EPOCH);
        let key = ApiKey::generate(KeyMode::Live, now, &random);
        let record = ApiKeyRecord::new(&key, TenantId::new(now, &random), "x", Scopes::all(), "user_1");
        let later = now + SignedDuration::from_secs(1);
        let status = |expires_at, revoked_at| {
            ApiKeyView::of(&ListedKey { expires_at, revoked_at, ..ListedKey::of(&record) }, None, now).status
        };
        assert_eq!(status(None, None), KeyStatus::Active);
        assert_eq!(status(Some(later), None), KeyStatus::Active);
        assert_eq!(status(Some(now), None), KeyStatus::Expired);
        assert_eq!(status(Some(now), Some(now)), KeyStatus::Revoked);
    }
}
