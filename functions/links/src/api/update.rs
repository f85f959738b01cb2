//! `PATCH /v1/links/{id}`: edit a link.

use axum::extract::State;
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, ProblemType, Tagged};
use shared::identity::{Caller, permission};

use super::create::{due_write, nudge};
use crate::app::{App, Base, refused};
use crate::expiries::expiry_message;
use crate::link::LinkId;
use crate::rules::{Editable, Rules};
use crate::store::{Along, WriteError};
use crate::view::{LinkView, etag};

/// Edit a link.
///
/// A JSON Merge Patch: members replace, `null` removes, what is absent stays. The slug never changes.
#[utoipa::path(
    patch, path = "/v1/links/{id}", operation_id = "update_link", tag = "links",
    params(("id" = String, Path, example = "link_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = Editable, content_type = "application/merge-patch+json", example = json!({"title": "Summer sale", "archived": false})),
    responses(
        (status = 200, description = "The link after the edit", body = LinkView, headers(("ETag" = String))),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["links:write"]), ("api_key" = ["links:write"])),
)]
pub async fn update(
    State(app): State<App>,
    caller: Caller<permission::WriteLinks>,
    base: Base,
    Path(id): Path<LinkId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<LinkView>, Problem> {
    let link = app.links.get(&caller.tenant, &id).await?.ok_or_else(Problem::not_found)?;
    let now = app.clock.now();
    conditions.check(&etag(&link, now))?;
    let edited: Editable = patch.apply(&link.editable())?;

    let (blocklist, _) = app.links.blocklist(&caller.tenant).await?;
    let edit = link.edit(edited, &Rules { now, base: &base.0, blocklist: &blocklist }).map_err(refused)?;
    let new_hash = app.hash(edit.password()).await?;
    let edited = edit.into_link(new_hash);

    // An end that was moved away needs no withdrawal: the worker compares it with the link.
    let moved = edited.expires_at != link.expires_at;
    let expiry = expiry_message(&app.expiries_queue_url, &edited).map_err(Problem::internal)?.filter(|_| moved);
    let along = Along { due: due_write(&app, expiry.as_ref(), &edited), ..Along::default() };
    app.links.update(&edited, along).await.map_err(stale)?;
    nudge(&app, expiry.as_ref(), &edited).await;
    Ok(Tagged::new(etag(&edited, now), LinkView::of(&edited, &base, now)))
}

/// Another request was between our read and our write.
pub(super) fn stale(error: WriteError) -> Problem {
    match error {
        WriteError::Stale => {
            Problem::new(ProblemType::PreconditionFailed, "it was changed by another request at this moment")
        }
        error => error.into(),
    }
}
