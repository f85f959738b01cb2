//! `GET /v2/notes/{id}/shares/{user}`: how a note is shared with a user.

use axum::extract::State;
use shared::http::{Document, Path, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::note::{Actor, NoteId, UserId};
use crate::view::{ShareView, share_etag};

/// How a note is shared with a user.
///
/// For its owner, and for that user.
#[utoipa::path(
    get, path = "/v2/notes/{id}/shares/{user}", operation_id = "get_note_share", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("user" = String, Path, description = "The id of a user", example = "user_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The share", body = ShareView, headers(("ETag" = String))),
        (status = 304, description = "It is as `If-None-Match` names it"),
        (status = 403, description = "forbidden: the note and the share are somebody else's", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    Path((id, user)): Path<(NoteId, UserId)>,
    conditions: Preconditions,
) -> Result<Tagged<ShareView>, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let share = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.share(&id, &user).await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::unless_known(&conditions, share_etag(&share), share.into()))
}
