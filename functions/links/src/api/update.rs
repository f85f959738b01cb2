//! `PATCH /v2/links/{id}`: edit a link.

use axum::extract::State;
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, Tagged, race};
use shared::id::TenantId;
use shared::identity::{Caller, permission};

use super::done;
use crate::app::{App, Base};
use crate::expiries::{due_write, expiry_message, nudge};
use crate::link::LinkId;
use crate::rules::{Editable, Rules};
use crate::store::Along;
use crate::view::{LinkView, etag};

/// Edit a link.
///
/// A JSON Merge Patch: members replace, `null` removes, what is absent stays. The slug never changes. A link with a limit of
/// clicks has another `ETag` after each click.
#[utoipa::path(
    patch, path = "/v2/links/{id}", operation_id = "update_link", tag = "links",
    params(("id" = String, Path, example = "link_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = Editable, content_type = "application/merge-patch+json", example = json!({"title": "Summer sale", "archived": false})),
    responses(
        (status = 200, description = "The link after the edit", body = LinkView, headers(("ETag" = String))),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(app): State<App>,
    caller: Caller<permission::WriteLinks>,
    base: Base,
    Path(id): Path<LinkId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<LinkView>, Problem> {
    let edit = Edit { app: &app, tenant: caller.tenant, base: &base, id, conditions: &conditions, patch: &patch };
    race(&app.random, || edit.once()).await
}

/// One request to edit a link.
struct Edit<'a> {
    app: &'a App,
    tenant: TenantId,
    base: &'a Base,
    id: LinkId,
    conditions: &'a Preconditions,
    patch: &'a MergePatch,
}

impl Edit<'_> {
    /// Reads, edits and writes; none when another request was between.
    async fn once(&self) -> Result<Option<Tagged<LinkView>>, Problem> {
        let app = self.app;
        let link = app.links.get(&self.tenant, &self.id).await?.ok_or_else(Problem::not_found)?;
        let now = app.clock.now();
        self.conditions.check(&etag(&link, now))?;
        let edited: Editable = self.patch.apply(&link.editable())?;
        if edited == link.editable() {
            // Nothing is changed, so nothing is written.
            return Ok(Some(Tagged::new(etag(&link, now), LinkView::of(&link, self.base, now))));
        }

        let (blocklist, _) = app.links.blocklist(&self.tenant).await?;
        let rules = Rules { now, base: &self.base.0, blocklist: &blocklist };
        let edit = link.edit(edited, &rules).map_err(Problem::from)?;
        let new_hash = app.hash(edit.password()).await?;
        let edited = edit.into_link(new_hash);

        // An end that was moved away needs no withdrawal: the worker compares it with the link.
        let moved = edited.expires_at != link.expires_at;
        let expiry = expiry_message(&app.expiries_queue_url, &edited).map_err(Problem::internal)?.filter(|_| moved);
        let along = Along { due: due_write(&app.sender, expiry.as_ref(), &edited), ..Along::default() };
        if !done(app.links.update(&edited, along).await)? {
            return Ok(None);
        }
        nudge(&app.sender, expiry.as_ref(), &edited).await;
        Ok(Some(Tagged::new(etag(&edited, now), LinkView::of(&edited, self.base, now))))
    }
}
