//! The identity table: API keys, revocations, the public keys of tokens, and the installation's own secret.
//!
//! | pk | sk | what |
//! |---|---|---|
//! | `key#<key id>` | `key` | an API key's record. It is found before its tenant is known, so its partition is its id |
//! | `denied#<what>` | `denied` | since when access tokens of a session, user, member, client or tenant are refused |
//! | `denylist` | `<time>#<what>` | the same by time, from which each process reads what is new |
//! | `ended#<tenant>` | `ended` | since when the API keys and OAuth clients of a tenant are refused: its last member left |
//! | `system` | `jwks` | the public keys that verify access tokens. Nothing else is written into this partition, as a role that may write it decides which tokens are good |
//! | `secret` | `installation` | 32 random bytes, made at first use, that sign cursors and device tokens |
//! | `system` | `secret` | the same, where it was made before it had a partition of its own |
//! | `<tenant>#deprecated` | `<day>#<client>` | who still uses what is deprecated ([`crate::http::versions::usage`]) |
//!
//! The table's TTL attribute is `removed_at`; revocations, revoked API keys and what is counted of deprecated things have it.
//! template.yaml holds each function to the partitions that it writes.

mod api_keys;
mod ends;
mod record;
mod revocations;

use aws_sdk_dynamodb::primitives::Blob;

pub(super) use self::api_keys::{Charge, USE_NOTED_EVERY};
pub use self::record::{ApiKeyRecord, KEPT, MOST_NETWORKS};
use super::token::KeySet;
use crate::BoxError;
use crate::dynamo::{AttributeValue, Dynamo, DynamoError, Key, Put, TransactWrite, s};
use crate::random::Random;

/// The table.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    dynamo: Dynamo,
    table: String,
    random: Random,
}

/// A record of the table cannot be read, or not be written.
#[derive(Debug, thiserror::Error)]
#[error("the identity record {record} has no valid {part}")]
pub struct Corrupt {
    record: String,
    part: &'static str,
    source: Option<BoxError>,
}

impl Corrupt {
    fn new(record: &str, part: &'static str) -> Self {
        Self { record: record.to_owned(), part, source: None }
    }

    fn because(self, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

impl From<Corrupt> for DynamoError {
    fn from(error: Corrupt) -> Self {
        Self::Refused(error.into())
    }
}

fn system(sk: &str) -> Key {
    [("pk", s("system")), ("sk", s(sk))].into()
}

impl IdentityStore {
    /// The store in `table`.
    pub fn new(dynamo: Dynamo, table: String, random: Random) -> Self {
        Self { dynamo, table, random }
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
        self.dynamo.put(self.key_set_put(keys)?).await
    }

    /// The same, to be part of a transaction.
    pub fn key_set_write(&self, keys: &KeySet) -> Result<TransactWrite, DynamoError> {
        self.key_set_put(keys).map(TransactWrite::Put)
    }

    fn key_set_put(&self, keys: &KeySet) -> Result<Put, DynamoError> {
        let text = serde_json::to_string(keys).map_err(|error| DynamoError::Refused(error.into()))?;
        let item = [("pk".to_owned(), s("system")), ("sk".to_owned(), s("jwks")), ("keys".to_owned(), s(text))].into();
        Ok(Put::new(&self.table, item))
    }

    /// The installation's secret: the first function that asks makes it, and all others read the same.
    pub async fn installation_secret(&self) -> Result<Vec<u8>, DynamoError> {
        let own: Key = [("pk", s("secret")), ("sk", s("installation"))].into();
        // An old one is read as it is now: missing it, this would make another beside it.
        for (key, consistent) in [(own, false), (system("secret"), true)] {
            if let Some(item) = self.dynamo.get(&self.table, key, consistent).await?
                && let Some(AttributeValue::B(secret)) = item.get("secret")
            {
                return Ok(secret.clone().into_inner());
            }
        }
        let secret = self.random.bytes::<32>();
        let item = [
            ("pk".to_owned(), s("secret")),
            ("sk".to_owned(), s("installation")),
            ("secret".to_owned(), AttributeValue::B(Blob::new(secret))),
        ]
        .into();
        match self.dynamo.put(Put::new(&self.table, item).only_if("attribute_not_exists(pk)")).await {
            Ok(()) => Ok(secret.to_vec()),
            Err(DynamoError::ConditionFailed { current }) => match current.get("secret") {
                Some(AttributeValue::B(secret)) => Ok(secret.clone().into_inner()),
                _ => Err(Corrupt::new("secret", "secret").into()),
            },
            Err(error) => Err(error),
        }
    }
}
