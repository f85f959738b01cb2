//! `DELETE /v2/links/{id}`: delete a link.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Preconditions, Problem, race};
use shared::identity::{Caller, permission};

use super::done;
use crate::app::App;
use crate::expiries::deletion_write;
use crate::link::LinkId;
use crate::view::etag;

/// Delete a link.
///
/// It stops to lead anywhere within ten seconds. Its slug stays reserved for the tenant. Its statistics are erased fifteen
/// days later, when no click can be on its way any more.
#[utoipa::path(
    delete, path = "/v2/links/{id}", operation_id = "delete_link", tag = "links",
    params(("id" = String, Path, example = "link_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    caller: Caller<permission::WriteLinks>,
    Path(id): Path<LinkId>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    race(&app.random, async || {
        let link = app.links.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
        let now = app.clock.now();
        conditions.check(&etag(&link, now))?;
        let due = deletion_write(&app.sender, &app.expiries_queue_url, &link, now).map_err(Problem::internal)?;
        Ok(done(app.links.delete(&link, due).await)?.then_some(NoContent))
    })
    .await
}
