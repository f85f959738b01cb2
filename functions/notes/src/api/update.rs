//! `PATCH /v2/notes/{id}`: edit a note.

use axum::extract::State;
use shared::http::{Document, MergePatch, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use super::conditions::check_version;
use crate::app::App;
use crate::note::{Actor, Draft, NoteId};
use crate::store::Place;
use crate::view::{NoteView, etag};

/// Edit a note.
///
/// A JSON Merge Patch: members replace, `null` removes, what is absent stays. What the note said before stays among its
/// revisions.
#[utoipa::path(
    patch, path = "/v2/notes/{id}", operation_id = "update_note", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = Draft, content_type = "application/merge-patch+json", example = json!({"pinned": true, "due_at": null})),
    responses(
        (status = 200, description = "The note after the edit", body = NoteView, headers(("ETag" = String))),
        (status = 403, description = "forbidden: it is shared for reading", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 428, description = "precondition-required: the tenant demands If-Match", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    Path(id): Path<NoteId>,
    conditions: Preconditions,
    patch: MergePatch,
) -> Result<Tagged<NoteView>, Problem> {
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    let held = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let held = work.lock(&id, Place::Desk).await?;
                check_version(&held, &conditions)?;
                let edited: Draft = patch.apply(&held.note.draft)?;
                let edited = edited.checked(now).map_err(Problem::from)?;
                work.change(held, edited, now).await
            }
            .await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::new(etag(&held.note, held.access), held.into()))
}
