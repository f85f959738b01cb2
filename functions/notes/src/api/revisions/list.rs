//! `GET /v2/notes/{id}/revisions`: what a note was.

use axum::extract::State;
use http::Uri;
use shared::http::{Document, Page, Path, Problem};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::note::{Actor, NoteId};
use crate::view::RevisionSummaryView;

/// The revisions of a note, the newest first.
///
/// Each change of the title, the content, the format or the tags made one. There are a hundred at most, all on one page:
/// the oldest are dropped.
#[utoipa::path(
    get, path = "/v2/notes/{id}/revisions", operation_id = "list_note_revisions", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc")),
    responses(
        (status = 200, description = "The revisions", body = Page<RevisionSummaryView>, example = json!({
            "data": [{
                "version": 1, "title": "Groceries", "format": "markdown", "tags": ["home"],
                "created_at": "2026-05-04T09:30:00.000Z", "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    Path(id): Path<NoteId>,
    uri: Uri,
) -> Result<Page<RevisionSummaryView>, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let revisions = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.revisions(&id).await;
            work.end(done).await
        })
        .await?;
    Ok(Page::new(&uri, revisions.into_iter().map(Into::into).collect(), None))
}
