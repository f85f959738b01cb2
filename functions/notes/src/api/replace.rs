//! `PUT /v2/notes/{id}`: replace a note.

use axum::extract::State;
use shared::http::{Document, Json, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use super::conditions::check_version;
use crate::app::App;
use crate::note::{Actor, Draft, NoteId};
use crate::store::Place;
use crate::view::{NoteView, etag};

/// Replace a note.
///
/// What the body leaves out is as in a new note. What the note said before stays among its revisions.
#[utoipa::path(
    put, path = "/v2/notes/{id}", operation_id = "replace_note", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    request_body(content = Draft, example = json!({"title": "Groceries", "content": "- milk\n- bread\n- salt", "tags": ["home"]})),
    responses(
        (status = 200, description = "The note after the change", body = NoteView, headers(("ETag" = String))),
        (status = 403, description = "forbidden: it is shared for reading", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 428, description = "precondition-required: the tenant demands If-Match", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn replace(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    Path(id): Path<NoteId>,
    conditions: Preconditions,
    Json(draft): Json<Draft>,
) -> Result<Tagged<NoteView>, Problem> {
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    let draft = draft.checked(now)?;
    let held = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let held = work.lock(&id, Place::Desk).await?;
                check_version(&held, &conditions)?;
                work.change(held, draft.clone(), now).await
            }
            .await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::new(etag(&held.note, held.access), held.into()))
}
