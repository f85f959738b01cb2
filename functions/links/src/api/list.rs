//! `GET /v2/links`: the tenant's links.

use axum::extract::State;
use http::Uri;
use serde::Deserialize;
use shared::http::{Document, Limit, Page, Problem, Query};
use shared::identity::{Caller, permission};
use shared::time::Timestamp;
use utoipa::IntoParams;

use crate::app::{App, Base};
use crate::store::ListQuery;
use crate::view::LinkView;

/// Which links, in which order.
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
    /// `-created_at`, the newest first, or `created_at`.
    #[serde(default)]
    #[param(value_type = Option<String>, inline)]
    sort: Sort,
    /// Only links with this tag.
    tag: Option<String>,
    /// Only archived links, or only others.
    archived: Option<bool>,
    /// Only links made at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_from: Option<Timestamp>,
    /// Only links made before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    created_before: Option<Timestamp>,
    /// Only links whose slug, title or target's host (without `www.`) begins with this.
    search: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
enum Sort {
    #[default]
    #[serde(rename = "-created_at")]
    NewestFirst,
    #[serde(rename = "created_at")]
    OldestFirst,
}

/// The tenant's links.
///
/// With a filter a page can be short and still have a next one: it ends when it has read four megabytes.
#[utoipa::path(
    get, path = "/v2/links", operation_id = "list_links", tag = "links",
    params(Parameters),
    responses(
        (status = 200, description = "A page of links", body = Page<LinkView>, headers(("Link" = String)), example = json!({
            "data": [{
                "id": "link_01k9z4n2y6e0qv3m8t5w7x9abc", "slug": "k7vq2mz", "short_url": "https://short.example/l/k7vq2mz",
                "target": "https://example.com/spring?from=letter", "redirect_status": 302, "status": "active",
                "title": "Spring sale", "note": null, "tags": ["spring"], "archived": false, "starts_at": null,
                "expires_at": null, "max_clicks": null, "clicks_used": null, "has_password": false,
                "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
                "created_by": "key_01k9z4n2y6e0qv3m8t5w7x9abc",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = 400, description = "invalid-cursor: the cursor is of another query or tenant", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadLinks>,
    base: Base,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Result<Page<LinkView>, Problem> {
    let after = app.cursors.start(&caller.tenant, &uri, parameters.cursor.as_deref()).await?;
    let query = ListQuery {
        tag: parameters.tag,
        archived: parameters.archived,
        created_from: parameters.created_from,
        created_before: parameters.created_before,
        search: parameters.search.filter(|text| !text.is_empty()),
        ascending: matches!(parameters.sort, Sort::OldestFirst),
        after,
        limit: parameters.limit.get(),
    };
    let page = app.links.list(&caller.tenant, &query).await?;
    let now = app.clock.now();
    let data = page.links.iter().map(|link| LinkView::of(link, &base, now)).collect();
    app.cursors.page(&caller.tenant, &uri, data, page.next).await
}
