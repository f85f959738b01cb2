//! `/v1/api-keys`: the tenant's API keys.
//!
//! A key belongs to the tenant. It goes on when the member who made it is suspended or removed, or gets other roles, and ends
//! with the tenant. What a key makes is held to the key's own limits ([`limits`]).

pub mod create;
pub mod get;
pub(crate) mod limits;
pub mod list;
pub mod revoke;
pub mod rotate;
pub mod rules;
pub mod update;
pub mod view;

use shared::dynamo::TransactWrite;
use shared::http::{Created, ETag, Problem, ProblemType};
use shared::id::TenantId;
use shared::identity::api_key::{ApiKey, ApiKeyId};
use shared::identity::store::ApiKeyRecord;

use self::view::{ApiKeyView, ShownOnce};
use super::race::Failure;
use crate::app::Core;
use crate::store::api_keys::ListedKey;
use crate::store::{MOST_API_KEYS, Write, WriteError};

/// A key of the tenant, listed or not, with what the identity table has of it.
#[derive(Debug)]
struct Found {
    listed: ListedKey,
    /// None where it was taken out of the table: with the listing, some time after the revocation, or by somebody.
    record: Option<ApiKeyRecord>,
}

impl Core {
    /// A key of the tenant, or 404. One that is not listed is found by its record.
    async fn key(&self, tenant: &TenantId, id: &ApiKeyId) -> Result<Found, Problem> {
        let listed = self.accounts.listed_key(tenant, id).await?;
        let record = self.accounts.identity().api_key_fresh(id).await?.filter(|record| record.tenant == *tenant);
        let listed = listed.or_else(|| record.as_ref().map(ListedKey::of)).ok_or_else(Problem::not_found)?;
        Ok(Found { listed, record })
    }

    /// What is shown of a key, with its version.
    fn key_view(&self, key: &ListedKey, record: Option<&ApiKeyRecord>) -> Result<(ETag, ApiKeyView), Problem> {
        let view = ApiKeyView::of(key, record, self.clock.now());
        Ok((ETag::of_bytes(&serde_json::to_vec(&view).map_err(Problem::internal)?), view))
    }

    /// The answer that shows a new key, once.
    fn key_created(
        &self,
        key: &ApiKey,
        listed: &ListedKey,
        record: &ApiKeyRecord,
    ) -> Result<Created<ShownOnce>, Problem> {
        let (etag, view) = self.key_view(listed, Some(record))?;
        let body = ShownOnce { key: view, api_key: Some(key.expose().to_owned()), note: None };
        Ok(Created { location: format!("/v1/api-keys/{}", key.id()), etag, body })
    }

    /// Does the writes of a new key.
    async fn write_new_key(&self, writes: Vec<Write>) -> Result<(), Failure> {
        match self.accounts.transact(writes).await {
            Err(WriteError::Full) => {
                let detail = format!("the tenant has {MOST_API_KEYS} API keys: revoke those that are not needed");
                Err(Problem::new(ProblemType::Conflict, detail).into())
            }
            done => Ok(done?),
        }
    }
}

fn on_identity(write: TransactWrite) -> Write {
    Write::or(write, WriteError::Stale)
}
