//! `POST /v2/notes/{id}/revisions/{version}/restore`: go back to what a note said.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::api::conditions::check_version;
use crate::app::App;
use crate::note::{Actor, Draft, NoteId};
use crate::store::Place;
use crate::view::{NoteView, etag};

/// Go back to a revision of a note.
///
/// Its title, content, format and tags become the note's again, as a new version with a revision of its own: nothing is
/// lost.
#[utoipa::path(
    post, path = "/v2/notes/{id}/revisions/{version}/restore", operation_id = "restore_note_revision", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("version" = String, Path, description = "The version that the change made", example = "1"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The note after the change", body = NoteView, headers(("ETag" = String))),
        (status = 403, description = "forbidden: it is shared for reading", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 428, description = "precondition-required: the tenant demands If-Match", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn restore(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    Path((id, version)): Path<(NoteId, i64)>,
    conditions: Preconditions,
) -> Result<Tagged<NoteView>, Problem> {
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    let held = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let held = work.lock(&id, Place::Desk).await?;
                check_version(&held, &conditions)?;
                let revision = work.revision(&id, version).await?;
                let draft = Draft {
                    title: revision.title,
                    content: revision.content,
                    format: revision.format,
                    tags: revision.tags,
                    ..held.note.draft
                };
                work.change(held, draft, now).await
            }
            .await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::new(etag(&held.note, held.access), held.into()))
}
