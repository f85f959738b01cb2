//! What a fresh stack is given, so that it can be used at once: a demo tenant, a demo administrator and an API key.
//! They stay the same over restarts.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use serde_json::value::RawValue;
use shared::aws::Aws;
use shared::config::Environment;
use shared::dynamo::Dynamo;
use shared::id::TenantId;
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::store::{ApiKeyRecord, IdentityStore};
use shared::random::Random;
use shared::time::Clock;

use crate::dev::{self, CREDENTIALS, Credentials};

/// The demo administrator's address; `.test` belongs to nobody (RFC 2606).
const ADMIN_EMAIL: &str = "admin@tenfold.test";
/// What the password is drawn from: no character that is easily taken for another.
const PASSWORD_ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Writes the demo records through the table that `environment` names (a function's that checks API keys), and
/// returns the credentials, which are kept in `data`.
pub(crate) async fn seed(environment: &Environment, data: &Path) -> anyhow::Result<Credentials> {
    let random = Random::system();
    let path = data.join(CREDENTIALS);
    let kept: Option<Credentials> = dev::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let credentials = if let Some(credentials) = kept {
        credentials
    } else {
        let made = generate(&random);
        dev::write(&path, &made).with_context(|| format!("cannot write {}", path.display()))?;
        made
    };
    let key: ApiKey = credentials.api_key.parse().with_context(|| format!("{}: api_key", path.display()))?;
    let tenant: TenantId = credentials.tenant_id.parse().with_context(|| format!("{}: tenant_id", path.display()))?;
    let table = environment.get("IDENTITY_TABLE").context("no function has IDENTITY_TABLE")?.to_owned();
    let store = IdentityStore::new(Dynamo::new(Aws::new(environment)?.dynamo), table, random);
    let record = ApiKeyRecord::new(&key, tenant, "Demo key of the local stack", Scopes::all(), "localstack");
    store.put_api_key(&record).await.context("cannot write the demo API key")?;
    Ok(credentials)
}

/// The event that makes the demo administrator, or finds the one that is there.
pub(crate) fn admin(credentials: &Credentials) -> anyhow::Result<Box<RawValue>> {
    let event = json!({
        "email": credentials.admin_email,
        "password": credentials.admin_password,
        "name": "Demo administrator",
        "tenant_id": credentials.tenant_id,
        "tenant_name": "Demo",
    });
    Ok(serde_json::value::to_raw_value(&event)?)
}

fn generate(random: &Random) -> Credentials {
    let now = Clock::system().now();
    Credentials {
        api_key: ApiKey::generate(KeyMode::Test, now, random).expose().to_owned(),
        tenant_id: TenantId::new(now, random).to_string(),
        admin_email: ADMIN_EMAIL.to_owned(),
        admin_password: random.text(PASSWORD_ALPHABET, 20),
    }
}
