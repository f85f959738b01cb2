//! `platform.keys`: makes API keys for whoever runs the deployment.
//!
//! It has no route: who may invoke it (`aws lambda invoke`, `lambda:InvokeFunction`) owns the deployment anyway. That is
//! how the first key of a tenant comes to be. An event is `{"name": "…"}`, with `tenant_id` for one that exists (a new
//! one is made without), `scopes` (`*` without) and `test` for a test key; the answer has the tenant and the key, which
//! is shown this once.

use serde::Deserialize;
use serde_json::{Value, json};
use shared::dynamo::{Dynamo, DynamoError};
use shared::id::TenantId;
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::store::{ApiKeyRecord, IdentityStore};
use shared::lambda::{Function, Runtime};
use shared::refusal::Refusal;
use shared::text::line;
use shared::{BoxError, BoxFuture};

/// The longest name of a key, in characters.
const LONGEST_NAME: usize = 100;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    tenant_id: Option<TenantId>,
    scopes: Option<String>,
    #[serde(default)]
    test: bool,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The event is another than described above.
    #[error("send {{\"name\": \"…\"}} with, if wanted, tenant_id, scopes (separated by spaces) and test")]
    Event(#[from] serde_json::Error),
    /// The name is none by the rules of all names.
    #[error("the name {}", .0.detail)]
    Name(Refusal),
    /// The key could not be stored.
    #[error("the key could not be stored")]
    Store(#[from] DynamoError),
}

/// Builds the function. It reads `IDENTITY_TABLE`.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("IDENTITY_TABLE");
        reader.finish()?;
        let store = IdentityStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table, runtime.random.clone());
        Ok(Function::event(runtime.deferred.clone(), move |event, _context| {
            let (runtime, store) = (runtime.clone(), store.clone());
            async move { Ok(make(&runtime, &store, event).await?) }
        }))
    })
}

async fn make(runtime: &Runtime, store: &IdentityStore, event: Value) -> Result<Value, KeyError> {
    let new: NewKey = serde_json::from_value(event)?;
    let name = line(&new.name, LONGEST_NAME).map_err(KeyError::Name)?;
    let now = runtime.clock.now();
    let tenant = new.tenant_id.unwrap_or_else(|| TenantId::new(now, &runtime.random));
    let mode = if new.test { KeyMode::Test } else { KeyMode::Live };
    let key = ApiKey::generate(mode, now, &runtime.random);
    let scopes = new.scopes.as_deref().map_or_else(Scopes::all, Scopes::parse);
    let record = ApiKeyRecord::new(&key, tenant, name, scopes, runtime.name);
    store.put_api_key(&record).await?;
    tracing::info!(tenant = %tenant, key = %key.id(), "an API key was made");
    Ok(json!({"tenant_id": tenant, "key_id": key.id(), "api_key": key.expose()}))
}
