//! `auth.admin`: makes the first owner of a tenant, for whoever runs the deployment.
//!
//! It has no route: who may invoke it (`aws lambda invoke`, `lambda:InvokeFunction`) owns the deployment anyway. An event is
//! `{"email": "…", "password": "…"}`, with `name`, and with `tenant_id` and `tenant_name` for a tenant (a new one is made
//! without an id). The address counts as proved. It answers the user and the tenant; an address that has a verified account
//! is answered with that one, and nothing is changed.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use shared::dynamo::Dynamo;
use shared::events::Event;
use shared::id::TenantId;
use shared::identity::Role;
use shared::lambda::{Function, Runtime};
use shared::random::Random;
use shared::refusal::Refusal;
use shared::time::Timestamp;
use shared::{BoxError, BoxFuture};

use crate::audit::{Action, Origin};
use crate::email::EmailAddress;
use crate::first_tenant::created;
use crate::membership::Membership;
use crate::password::{HashingFailed, Password, PasswordHash};
use crate::session::Device;
use crate::store::{AccountStore, NewAccount, WriteError};
use crate::tenant::Tenant;
use crate::user::{Name, SecondFactors, User, UserId};

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOwner {
    email: EmailAddress,
    password: Password,
    name: Option<Name>,
    tenant_id: Option<TenantId>,
    tenant_name: Option<Name>,
}

/// Why no owner was made.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The event is another than described above.
    #[error("send {{\"email\": \"…\", \"password\": \"…\"}} with, if wanted, name, tenant_id and tenant_name")]
    Event(#[from] serde_json::Error),
    /// The password may not be chosen.
    #[error("the password {0}")]
    Password(#[from] Refusal),
    /// Somebody has signed up with the address and not proved it: it may be anybody.
    #[error(
        "the address has an account that nobody has verified: verify it, or try again when it was deleted after a week"
    )]
    Unverified,
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashingFailed),
    /// The records could not be written.
    #[error("the account could not be stored")]
    Store(#[from] WriteError),
}

/// Builds the function. It reads `ACCOUNTS_TABLE` and `PRODUCT_NAME` (`Tenfold` without it).
pub fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let accounts: String = reader.required("ACCOUNTS_TABLE");
        let product_name: Option<String> = reader.optional("PRODUCT_NAME");
        reader.finish()?;
        let product_name: Arc<str> = product_name.as_deref().unwrap_or("Tenfold").into();
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let accounts = AccountStore::new(dynamo, accounts);
        Ok(Function::event(runtime.deferred.clone(), move |event, context| {
            let (runtime, accounts, product_name) = (runtime.clone(), accounts.clone(), product_name.clone());
            let origin = Origin { request_id: context.request_id, device: Device::default() };
            async move { Ok(make(&runtime, &accounts, &product_name, event, &origin).await?) }
        }))
    })
}

async fn make(
    runtime: &Runtime,
    accounts: &AccountStore,
    product_name: &str,
    event: Value,
    origin: &Origin,
) -> Result<Value, AdminError> {
    let new: NewOwner = serde_json::from_value(event)?;
    let email = new.email.clone();
    if let Some(user) = accounts.user_by_email(&email).await? {
        return existing(&user);
    }
    let name = new.name.as_ref().map_or("", Name::as_str);
    new.password.check_choice(&[email.as_str(), name, product_name])?;
    let hash = new.password.hashed(&runtime.random).await?;
    let now = runtime.clock.now();
    let (user, tenant) = owner(new, hash, now, &runtime.random);
    // A tenant that has its record keeps it.
    let is_new = accounts.tenant(&tenant.id).await?.is_none();
    let told = Event::new(tenant.id, user.id, created(&user), now, &runtime.random);
    let record = origin.record(tenant.id, Action::SignedUp, user.id, now, &runtime.random).with("by auth.admin");
    let account = NewAccount {
        user: &user,
        tenant: is_new.then_some(&tenant),
        membership: &Membership::at_home(&user, Role::Owner, now),
        outbox: Some(told.outbox()?),
    };
    match accounts.create_account(account, vec![accounts.audit_write(&record)?]).await {
        Ok(()) => {}
        // The same was asked for twice at once, or somebody signs up at this moment.
        Err(WriteError::Taken) => {
            let user = accounts.user_by_email(&email).await?;
            return user.as_ref().map_or(Err(WriteError::Taken.into()), existing);
        }
        Err(error) => return Err(error.into()),
    }
    tracing::info!(tenant = %tenant.id, user = %user.id, "an owner was made");
    Ok(json!({"user_id": user.id, "tenant_id": tenant.id, "created": true}))
}

fn existing(user: &User) -> Result<Value, AdminError> {
    if !user.is_verified() {
        return Err(AdminError::Unverified);
    }
    Ok(json!({"user_id": user.id, "tenant_id": user.home_tenant_id, "created": false}))
}

fn owner(new: NewOwner, hash: PasswordHash, now: Timestamp, random: &Random) -> (User, Tenant) {
    let tenant_id = new.tenant_id.unwrap_or_else(|| TenantId::new(now, random));
    let tenant = Tenant::of_own(tenant_id, new.tenant_name.as_ref(), now);
    let user = User {
        id: UserId::new(now, random),
        email: new.email,
        email_verified_at: Some(now),
        name: new.name,
        password: Some(hash),
        second_factors: SecondFactors::default(),
        home_tenant_id: tenant_id,
        first_tenant: None,
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    (user, tenant)
}
