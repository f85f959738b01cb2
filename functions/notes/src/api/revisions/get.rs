//! `GET /v2/notes/{id}/revisions/{version}`: what a note said in one version.

use axum::extract::State;
use shared::http::{Document, ETag, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::note::{Actor, NoteId};
use crate::view::RevisionView;

/// One revision of a note.
#[utoipa::path(
    get, path = "/v2/notes/{id}/revisions/{version}", operation_id = "get_note_revision", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("version" = String, Path, description = "The version that the change made", example = "1"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The revision", body = RevisionView, headers(("ETag" = String))),
        (status = 304, description = "The client has it: a revision never changes"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    Path((id, version)): Path<(NoteId, i64)>,
    conditions: Preconditions,
) -> Result<Tagged<RevisionView>, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let revision = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.revision(&id, version).await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::unless_known(&conditions, ETag::of_version(version), revision.into()))
}
