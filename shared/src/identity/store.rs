//! The identity table: API keys, the public keys of tokens, and the installation's own secret.
//!
//! | pk | sk | what |
//! |---|---|---|
//! | `key#<key id>` | `key` | an API key's record. It is found before its tenant is known, so its partition is its id |
//! | `system` | `jwks` | the public keys that verify access tokens |
//! | `system` | `secret` | 32 random bytes, made at first use, that sign cursors |

use aws_sdk_dynamodb::primitives::Blob;

use super::api_key::{ApiKeyId, KeyHash};
use super::permission::Scopes;
use super::token::KeySet;
use crate::dynamo::{AttributeValue, Dynamo, DynamoError, Item, Key, Put, Update, n, s};
use crate::id::TenantId;
use crate::random::Random;
use crate::time::{SignedDuration, Timestamp};

/// How often the use of an API key is noted, at most.
pub(super) const USE_NOTED_EVERY: SignedDuration = SignedDuration::from_mins(10);

/// The table.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    dynamo: Dynamo,
    table: String,
    random: Random,
}

/// What is stored of an API key.
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
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A record of the table cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the identity record {0} has no valid {1}")]
pub struct Corrupt(String, &'static str);

fn key_of(id: &ApiKeyId) -> Key {
    [("pk", s(format!("key#{id}"))), ("sk", s("key"))].into()
}

fn system(sk: &str) -> Key {
    [("pk", s("system")), ("sk", s(sk))].into()
}

impl IdentityStore {
    /// The store in `table`.
    pub fn new(dynamo: Dynamo, table: String, random: Random) -> Self {
        Self { dynamo, table, random }
    }

    /// An API key's record.
    pub async fn api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKeyRecord>, DynamoError> {
        let item = self.dynamo.get(&self.table, key_of(id), false).await?;
        item.map(|item| record(*id, &item)).transpose().map_err(|error| DynamoError::Refused(error.into()))
    }

    /// Writes an API key's record, a new one or the same again.
    pub async fn put_api_key(&self, record: &ApiKeyRecord) -> Result<(), DynamoError> {
        let mut item: Item = [
            ("pk".to_owned(), s(format!("key#{}", record.id))),
            ("sk".to_owned(), s("key")),
            ("hash".to_owned(), AttributeValue::B(Blob::new(*record.hash.as_bytes()))),
            ("tenant".to_owned(), s(record.tenant.to_string())),
            ("name".to_owned(), s(&record.name)),
            ("scopes".to_owned(), serde_dynamo::to_attribute_value(&record.scopes).map_err(refused)?),
        ]
        .into();
        for (name, at) in [("expires_at", record.expires_at), ("revoked_at", record.revoked_at)] {
            if let Some(at) = at {
                item.insert(name.to_owned(), n(at.as_second()));
            }
        }
        self.dynamo.put(Put::new(&self.table, item)).await
    }

    /// Notes that a key is in use. Written at most once in ten minutes for each key, whoever asks.
    pub async fn note_use(&self, id: &ApiKeyId, now: Timestamp) -> Result<(), DynamoError> {
        let update = Update::new(&self.table, key_of(id), "SET last_used_at = :now")
            .only_if("attribute_exists(pk) AND (attribute_not_exists(last_used_at) OR last_used_at < :before)")
            .value(":now", n(now.as_second()))
            .value(":before", n(now.as_second() - USE_NOTED_EVERY.as_secs()));
        match self.dynamo.update(update).await {
            Ok(_) | Err(DynamoError::ConditionFailed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The public keys of access tokens.
    pub async fn key_set(&self) -> Result<KeySet, DynamoError> {
        let item = self.dynamo.get(&self.table, system("jwks"), false).await?.unwrap_or_default();
        match item.get("keys") {
            Some(AttributeValue::S(text)) => {
                serde_json::from_str(text).map_err(|error| DynamoError::Refused(error.into()))
            }
            _ => Ok(KeySet::default()),
        }
    }

    /// Sets the public keys of access tokens.
    pub async fn put_key_set(&self, keys: &KeySet) -> Result<(), DynamoError> {
        let text = serde_json::to_string(keys).map_err(|error| DynamoError::Refused(error.into()))?;
        let item = [("pk".to_owned(), s("system")), ("sk".to_owned(), s("jwks")), ("keys".to_owned(), s(text))].into();
        self.dynamo.put(Put::new(&self.table, item)).await
    }

    /// The installation's secret: the first function that asks makes it, and all others read the same.
    pub async fn installation_secret(&self) -> Result<Vec<u8>, DynamoError> {
        if let Some(item) = self.dynamo.get(&self.table, system("secret"), false).await?
            && let Some(AttributeValue::B(secret)) = item.get("secret")
        {
            return Ok(secret.clone().into_inner());
        }
        let secret = self.random.bytes::<32>();
        let item = [
            ("pk".to_owned(), s("system")),
            ("sk".to_owned(), s("secret")),
            ("secret".to_owned(), AttributeValue::B(Blob::new(secret))),
        ]
        .into();
        match self.dynamo.put(Put::new(&self.table, item).only_if("attribute_not_exists(pk)")).await {
            Ok(()) => Ok(secret.to_vec()),
            Err(DynamoError::ConditionFailed { current }) => match current.get("secret") {
                Some(AttributeValue::B(secret)) => Ok(secret.clone().into_inner()),
                _ => Err(DynamoError::Refused(Corrupt("system".to_owned(), "secret").into())),
            },
            Err(error) => Err(error),
        }
    }
}

fn refused(error: serde_dynamo::Error) -> DynamoError {
    DynamoError::Refused(error.into())
}

fn record(id: ApiKeyId, item: &Item) -> Result<ApiKeyRecord, Corrupt> {
    let corrupt = |name| Corrupt(id.to_string(), name);
    // A time that cannot be read must not make a key valid for ever.
    let time = |name: &'static str| match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::N(text)) => match text.parse().map(Timestamp::from_second) {
            Ok(Ok(at)) => Ok(Some(at)),
            _ => Err(corrupt(name)),
        },
        Some(_) => Err(corrupt(name)),
    };
    let hash = match item.get("hash") {
        Some(AttributeValue::B(bytes)) => KeyHash::from_bytes(bytes.as_ref()).ok_or_else(|| corrupt("hash"))?,
        _ => return Err(corrupt("hash")),
    };
    let tenant = item.get("tenant").and_then(|value| value.as_s().ok()).and_then(|text| text.parse().ok());
    let scopes = item.get("scopes").cloned().unwrap_or_else(|| AttributeValue::L(Vec::new()));
    Ok(ApiKeyRecord {
        id,
        hash,
        tenant: tenant.ok_or_else(|| corrupt("tenant"))?,
        name: item.get("name").and_then(|value| value.as_s().ok()).cloned().unwrap_or_default(),
        scopes: serde_dynamo::from_attribute_value(scopes).map_err(|_| corrupt("scopes"))?,
        expires_at: time("expires_at")?,
        revoked_at: time("revoked_at")?,
    })
}
