//! `GET /v2/notes/{id}`: one note.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::note::{Actor, NoteId};
use crate::view::{NoteView, etag};

/// One note.
#[utoipa::path(
    get, path = "/v2/notes/{id}", operation_id = "get_note", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The note", body = NoteView, headers(("ETag" = String))),
        (status = 304, description = "It is as `If-None-Match` names it"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    Path(id): Path<NoteId>,
    conditions: Preconditions,
) -> Result<Tagged<NoteView>, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let held = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.note(&id).await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::unless_known(&conditions, etag(&held.note, held.access), held.into()))
}
