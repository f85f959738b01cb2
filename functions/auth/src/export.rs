//! `auth.export`: what the export of a tenant has of identity. See [`shared::export`].
//!
//! What a user has by themselves (profile, factors, sessions) is in no export: a user may be a member of other tenants too.
//!
//! # Calls
//! A read for each hundred records of a kind; two for API keys.

use std::collections::HashMap;
use std::time::Duration;

use shared::dynamo::Dynamo;
use shared::events::export::IDENTITY;
use shared::export::{Exporter, FileWriter, PartWriter, Source};
use shared::id::TenantId;
use shared::identity::store::IdentityStore;
use shared::lambda::{Function, QueueSettings, Runtime};
use shared::time::Clock;
use shared::{BoxError, BoxFuture};

use crate::store::audit::AuditFilter;
use crate::store::{AccountStore, Keyset, MemberFilter};
use crate::users::api_keys::view::ApiKeyView;
use crate::users::clients::view::ClientView;
use crate::view::{MemberView, RoleView, TenantView};

/// What is read at once.
const PAGE: usize = 100;

/// How long a message stays invisible without a sign of life.
const LEASE: Duration = Duration::from_mins(1);

struct Identity {
    accounts: AccountStore,
    clock: Clock,
}

impl Identity {
    async fn write_members(&self, tenant: &TenantId, file: &mut FileWriter) -> Result<(), BoxError> {
        let (filter, mut keyset) = (MemberFilter::default(), first());
        loop {
            let page = self.accounts.member_page(tenant, &filter, &keyset).await?;
            for member in &page.rows {
                file.write(&MemberView::of(member)).await?;
            }
            keyset.after = page.next;
            if keyset.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn write_keys(&self, tenant: &TenantId, file: &mut FileWriter) -> Result<(), BoxError> {
        let mut keyset = first();
        loop {
            let page = self.accounts.listed_keys(tenant, &keyset).await?;
            let ids: Vec<_> = page.rows.iter().map(|key| key.id).collect();
            let records = self.accounts.identity().api_keys(&ids).await?;
            let records: HashMap<_, _> = records.into_iter().map(|record| (record.id, record)).collect();
            for key in &page.rows {
                file.write(&ApiKeyView::of(key, records.get(&key.id), self.clock.now())).await?;
            }
            keyset.after = page.next;
            if keyset.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn write_clients(&self, tenant: &TenantId, file: &mut FileWriter) -> Result<(), BoxError> {
        let mut keyset = first();
        loop {
            let page = self.accounts.clients(tenant, &keyset).await?;
            for client in &page.rows {
                file.write(&ClientView::of(client)).await?;
            }
            keyset.after = page.next;
            if keyset.after.is_none() {
                return Ok(());
            }
        }
    }

    async fn write_audit(&self, tenant: &TenantId, file: &mut FileWriter) -> Result<(), BoxError> {
        let (filter, mut keyset) = (AuditFilter::default(), first());
        loop {
            let page = self.accounts.audit_page(tenant, &filter, &keyset).await?;
            for record in &page.rows {
                file.write(record).await?;
            }
            keyset.after = page.next;
            if keyset.after.is_none() {
                return Ok(());
            }
        }
    }
}

const fn first() -> Keyset {
    Keyset { after: None, limit: PAGE }
}

impl Source for Identity {
    const PART: &'static str = IDENTITY;

    async fn write(&self, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
        let (mut tenants, mut roles) = (part.file("tenant"), part.file("roles"));
        // One whose only credentials are keys of whoever runs the deployment has no record.
        if let Some(record) = self.accounts.tenant(tenant).await? {
            tenants.write(&TenantView::of(&record)).await?;
        }
        part.keep(tenants).await?;
        for role in self.accounts.roles(tenant).await? {
            roles.write(&RoleView::of(&role)).await?;
        }
        part.keep(roles).await?;
        let mut members = part.file("members");
        self.write_members(tenant, &mut members).await?;
        part.keep(members).await?;
        let mut keys = part.file("api_keys");
        self.write_keys(tenant, &mut keys).await?;
        part.keep(keys).await?;
        let mut clients = part.file("oauth_clients");
        self.write_clients(tenant, &mut clients).await?;
        part.keep(clients).await?;
        let mut audit = part.file("audit");
        self.write_audit(tenant, &mut audit).await?;
        part.keep(audit).await?;
        part.leave_out(
            "profiles, factors and sessions of users",
            "they are the users' own, who may be members of other tenants too: GET /v1/me",
        );
        part.leave_out(
            "API keys that were made by whoever runs the deployment",
            "they are not listed before they are changed: GET /v1/api-keys/{id}",
        );
        Ok(())
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("ACCOUNTS_TABLE");
        let identity_table: String = reader.required("IDENTITY_TABLE");
        reader.finish()?;
        let settings = QueueSettings::read(&runtime.environment, "EXPORT")?.with_lease(LEASE);
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let identity = IdentityStore::new(dynamo.clone(), identity_table, runtime.random.clone());
        let source = Identity { accounts: AccountStore::new(dynamo, table, identity), clock: runtime.clock.clone() };
        let exporter = Exporter::new(&runtime, source)?;
        Ok(Function::queue(&runtime, settings, exporter))
    })
}
