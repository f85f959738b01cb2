//! `GET /v1/api-keys`: the tenant's keys.

use std::collections::HashMap;

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::IntoParams;

use super::view::ApiKeyView;
use crate::app::Core;

/// The most records that are read at once.
const BATCH: usize = 100;

/// Which page.
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
}

/// The tenant's API keys.
///
/// The oldest first; revoked ones are listed for 400 days. Keys that were made for whoever runs the deployment
/// (`platform.keys`) are not listed until they are changed; `GET /v1/api-keys/{id}` finds them.
#[utoipa::path(
    get, path = "/v1/api-keys", operation_id = "list_api_keys", tag = "api-keys",
    params(Parameters),
    responses(
        (status = 200, description = "A page of keys", body = Page<ApiKeyView>, headers(("Link" = String)), example = json!({
            "data": [{
                "id": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Website", "prefix": "tf_live_01k9z4n2y6e0qv3m8t5w7x9abc",
                "mode": "live", "scopes": ["links:read", "links:write"], "status": "active", "allowed_networks": [],
                "credits": null, "api_version": null, "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "created_at": "2026-05-04T09:30:00.000Z",
                "last_used_at": "2026-05-04T10:30:00.000Z", "expires_at": null, "revoked_at": null, "replaced_by": null,
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(core): State<Core>,
    caller: Caller<permission::ReadApiKeys>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<ApiKeyView>, Problem> {
    let keyset = core.keyset(&caller.tenant, &uri, parameters.cursor.as_deref(), parameters.limit).await?;
    let page = core.accounts.listed_keys(&caller.tenant, &keyset).await?;
    let ids: Vec<_> = page.rows.iter().map(|key| key.id).collect();
    let mut records = HashMap::new();
    for some in ids.chunks(BATCH) {
        let found = core.accounts.identity().api_keys(some).await?;
        records.extend(found.into_iter().map(|record| (record.id, record)));
    }
    let now = core.clock.now();
    let data = page.rows.iter().map(|key| ApiKeyView::of(key, records.get(&key.id), now)).collect();
    core.cursors.page(&caller.tenant, &uri, data, page.next).await
}
