//! `auth.export`: what the export of a tenant has of identity. See [`shared::export`].
//!
//! What a user has by themselves (profile, factors, sessions) is in no export: it is theirs, also when they leave the tenant.
//!
//! That an export is asked for is a record of the audit trail: this function hears of it first.
//!
//! # Calls
//! A write, and a read for each hundred records of a kind; two for API keys.

use std::collections::HashMap;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use shared::dynamo::Dynamo;
use shared::events::export::{ExportRequested, IDENTITY, LeftOut};
use shared::export::{Exporter, PartWriter, Source, Step};
use shared::id::TenantId;
use shared::identity::store::IdentityStore;
use shared::lambda::{Function, QueueSettings, Runtime};
use shared::time::Clock;
use shared::{BoxError, BoxFuture};

use crate::audit::{Action, AuditId, AuditRecord};
use crate::store::audit::AuditFilter;
use crate::store::{Accounts, Keyset, MemberFilter};
use crate::users::api_keys::view::ApiKeyView;
use crate::users::clients::view::ClientView;
use crate::view::{MemberView, RoleView, TenantView};

/// What is read at once.
const PAGE: usize = 100;

/// How long a message stays invisible without a sign of life.
const LEASE: Duration = Duration::from_mins(1);

/// After what the next page of a step follows.
type Written = Result<Option<String>, BoxError>;

struct Identity {
    accounts: Accounts,
    clock: Clock,
}

impl Identity {
    /// The tenant itself. One whose only credentials are keys of whoever runs the deployment has no record.
    async fn tenant(&self, tenant: &TenantId, files: &mut PartWriter) -> Written {
        if let Some(record) = self.accounts.tenant(tenant).await? {
            files.write("tenant", &TenantView::of(&record)).await?;
        }
        Ok(None)
    }

    async fn roles(&self, tenant: &TenantId, files: &mut PartWriter) -> Written {
        for role in self.accounts.roles(tenant).await? {
            files.write("roles", &RoleView::of(&role)).await?;
        }
        Ok(None)
    }

    async fn members(&self, tenant: &TenantId, keyset: &Keyset, files: &mut PartWriter) -> Written {
        let page = self.accounts.member_page(tenant, &MemberFilter::default(), keyset).await?;
        for member in &page.rows {
            files.write("members", &MemberView::of(member)).await?;
        }
        Ok(page.next)
    }

    async fn keys(&self, tenant: &TenantId, keyset: &Keyset, files: &mut PartWriter) -> Written {
        let page = self.accounts.listed_keys(tenant, keyset).await?;
        let ids: Vec<_> = page.rows.iter().map(|key| key.id).collect();
        let records = self.accounts.identity().api_keys(&ids).await?;
        let records: HashMap<_, _> = records.into_iter().map(|record| (record.id, record)).collect();
        for key in &page.rows {
            files.write("api_keys", &ApiKeyView::of(key, records.get(&key.id), self.clock.now())).await?;
        }
        Ok(page.next)
    }

    async fn clients(&self, tenant: &TenantId, keyset: &Keyset, files: &mut PartWriter) -> Written {
        let page = self.accounts.clients(tenant, keyset).await?;
        for client in &page.rows {
            files.write("oauth_clients", &ClientView::of(client)).await?;
        }
        Ok(page.next)
    }

    async fn audit(&self, tenant: &TenantId, keyset: &Keyset, files: &mut PartWriter) -> Written {
        let page = self.accounts.audit_page(tenant, &AuditFilter::default(), keyset).await?;
        for record in &page.rows {
            files.write("audit", record).await?;
        }
        Ok(page.next)
    }
}

/// The id of the record that an export was asked for: always the same, however often its parts are asked for.
fn record_id(request: &ExportRequested) -> AuditId {
    let digest = digest(&SHA256, request.folder.as_bytes());
    let mut hash = [0; 10];
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    let millis = u64::try_from(request.began_at.as_millisecond()).unwrap_or(0);
    AuditId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &hash).into_uuid())
}

impl Source for Identity {
    const PART: &'static str = IDENTITY;

    async fn begin(&self, tenant: &TenantId, request: &ExportRequested) -> Result<(), BoxError> {
        let record = AuditRecord {
            id: record_id(request),
            tenant_id: *tenant,
            action: Action::ExportRequested,
            actor: request.requested_by.clone(),
            target: Some(request.job_id.clone()),
            detail: None,
            // It was the job, not a request, that asked.
            request_id: request.job_id.clone(),
            network: None,
            user_agent: None,
            at: request.began_at,
        };
        Ok(self.accounts.audit(&record).await?)
    }

    fn steps(&self) -> &'static [Step] {
        &[
            Step { name: "tenant", files: &["tenant"] },
            Step { name: "roles", files: &["roles"] },
            Step { name: "members", files: &["members"] },
            Step { name: "api_keys", files: &["api_keys"] },
            Step { name: "oauth_clients", files: &["oauth_clients"] },
            Step { name: "audit", files: &["audit"] },
        ]
    }

    async fn page(
        &self,
        tenant: &TenantId,
        step: &'static str,
        after: Option<String>,
        files: &mut PartWriter,
    ) -> Result<Option<String>, BoxError> {
        let keyset = &Keyset { after, limit: PAGE };
        match step {
            "tenant" => self.tenant(tenant, files).await,
            "roles" => self.roles(tenant, files).await,
            "members" => self.members(tenant, keyset, files).await,
            "api_keys" => self.keys(tenant, keyset, files).await,
            "oauth_clients" => self.clients(tenant, keyset, files).await,
            _ => self.audit(tenant, keyset, files).await,
        }
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let left_out = |what: &str, why: &str| LeftOut { what: what.to_owned(), why: why.to_owned() };
        vec![
            left_out(
                "profiles, factors and sessions of users",
                "they are the users' own, who may be members of other tenants too: GET /v1/me",
            ),
            left_out(
                "API keys that were made by whoever runs the deployment",
                "they are not listed before they are changed: GET /v1/api-keys/{id}",
            ),
        ]
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
        let source = Identity { accounts: Accounts::new(dynamo, table, identity), clock: runtime.clock.clone() };
        let exporter = Exporter::new(&runtime, source)?;
        Ok(Function::queue(&runtime, settings, exporter))
    })
}
