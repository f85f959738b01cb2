//! `DELETE /v2/notes/{id}`: delete a note.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Preconditions, Problem};
use shared::identity::{Caller, permission};

use super::conditions::check_version;
use crate::app::App;
use crate::note::{Access, Actor, NoteId};
use crate::store::Place;

/// Delete a note.
///
/// Nobody sees it any more but its owner, in the list of deleted notes. It can be restored for thirty days, with its
/// revisions and shares.
#[utoipa::path(
    delete, path = "/v2/notes/{id}", operation_id = "delete_note", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 403, description = "forbidden: the note is somebody else's", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 428, description = "precondition-required: the tenant demands If-Match", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    Path(id): Path<NoteId>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let held = work.lock(&id, Place::Desk).await?;
                held.check(Access::Owner)?;
                check_version(&held, &conditions)?;
                work.update(&[held.note.deleted(&actor, now)], Place::Desk).await?;
                Ok(NoContent)
            }
            .await;
            work.end(done).await
        })
        .await
}
