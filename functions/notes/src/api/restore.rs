//! `POST /v2/notes/{id}/restore`: take a note out of the bin.

use axum::extract::State;
use shared::http::{Document, Path, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::note::{Access, Actor, NoteId};
use crate::store::{Held, Place};
use crate::view::{NoteView, etag};

/// Restore a deleted note.
///
/// For thirty days after it was deleted. One that is not deleted, or not any more, is answered as it is: the request can be
/// sent again.
#[utoipa::path(
    post, path = "/v2/notes/{id}/restore", operation_id = "restore_note", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc")),
    responses(
        (status = 200, description = "The note", body = NoteView, headers(("ETag" = String))),
        (status = 404, description = "not-found: the caller has no such note of their own", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn restore(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    Path(id): Path<NoteId>,
) -> Result<Tagged<NoteView>, Problem> {
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    let held = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let (held, is_deleted) = match work.lock_if_any(&id, Place::Bin).await? {
                    Some(held) => (held, true),
                    None => (work.lock(&id, Place::Desk).await?, false),
                };
                if held.access != Access::Owner {
                    // Whom it is shared with sees as little of a deleted note as anybody.
                    return Err(Problem::not_found().into());
                }
                if !is_deleted {
                    return Ok(held);
                }
                let note = held.note.restored(&actor, now);
                work.update(std::slice::from_ref(&note), Place::Bin).await?;
                Ok(Held { note, ..held })
            }
            .await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::new(etag(&held.note, held.access), held.into()))
}
