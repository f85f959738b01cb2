//! `GET /v2/links/{id}`: one link.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::{App, Base};
use crate::link::LinkId;
use crate::view::{LinkView, etag};

/// One link.
#[utoipa::path(
    get, path = "/v2/links/{id}", operation_id = "get_link", tag = "links",
    params(("id" = String, Path, example = "link_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The link", body = LinkView, headers(("ETag" = String))),
        (status = 304, description = "It is as `If-None-Match` names it"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadLinks>,
    base: Base,
    Path(id): Path<LinkId>,
    conditions: Preconditions,
) -> Result<Tagged<LinkView>, Problem> {
    let link = app.links.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
    let now = app.clock.now();
    Ok(Tagged::unless_known(&conditions, etag(&link, now), LinkView::of(&link, &base, now)))
}
