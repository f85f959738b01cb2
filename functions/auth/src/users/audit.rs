//! `GET /v1/audit`: what happened in the tenant.

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use shared::time::Timestamp;
use utoipa::IntoParams;

use crate::app::Core;
use crate::audit::{Action, AuditRecord};
use crate::store::audit::AuditFilter;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// Rows in a page, 1 to 200.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only records of this action.
    #[param(value_type = Option<String>, example = "member.roles_changed")]
    action: Option<Action>,
    /// Only what this user, API key or client did: an id, or `anonymous`.
    actor: Option<String>,
    /// Only records of this time or later, to the millisecond.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only records of before this time, to the millisecond.
    #[param(value_type = Option<String>, format = DateTime)]
    before: Option<Timestamp>,
}

/// The audit trail.
///
/// Every security event of the tenant in the last 400 days, the newest first. With a filter a page can be short and still
/// have a next one.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit", tag = "audit",
    params(Parameters),
    responses(
        (status = 200, description = "A page of records", body = Page<AuditRecord>, headers(("Link" = String)), example = json!({
            "data": [{
                "id": "audit_01k9z4n2y6e0qv3m8t5w7x9abc", "tenant_id": "tenant_01k9z4n2y6e0qv3m8t5w7x9abc",
                "action": "member.roles_changed", "actor": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
                "target": "user_01k9z4n2y6e0qv3m8t5w7x9abd", "detail": "member → admin",
                "request_id": "req_01k9z4n2y6e0qv3m8t5w7x9abc", "network": "203.0.113.0/24",
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0", "at": "2026-05-04T09:30:00.000Z",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(core): State<Core>,
    caller: Caller<permission::ViewAudit>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<AuditRecord>, Problem> {
    let keyset = core.keyset(&caller.tenant, &uri, parameters.cursor.as_deref(), parameters.limit).await?;
    let Parameters { action, actor, from, before, .. } = parameters;
    let filter = AuditFilter { action, actor, from, before };
    let page = core.accounts.audit_page(&caller.tenant, &filter, &keyset).await?;
    core.cursors.page(&caller.tenant, &uri, page.rows, page.next).await
}
