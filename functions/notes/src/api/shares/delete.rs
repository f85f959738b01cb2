//! `DELETE /v2/notes/{id}/shares/{user}`: share a note no longer.

use axum::extract::State;
use shared::http::{Document, NoContent, Path, Preconditions, Problem};
use shared::identity::{Caller, permission};

use crate::api::conditions::{check_share, demand_version};
use crate::app::App;
use crate::note::{Actor, NoteId, UserId};
use crate::store::{Held, Share};

/// Share a note with a user no longer.
///
/// For its owner, and for that user.
#[utoipa::path(
    delete, path = "/v2/notes/{id}/shares/{user}", operation_id = "delete_note_share", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("user" = String, Path, description = "The id of a user", example = "user_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204, description = "It is shared no longer"),
        (status = 403, description = "forbidden: the note and the share are somebody else's", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 428, description = "precondition-required: the tenant demands If-Match", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    Path((id, user)): Path<(NoteId, UserId)>,
    conditions: Preconditions,
) -> Result<NoContent, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let check = |held: &Held, share: &Share| {
                    demand_version(held, &conditions)?;
                    check_share(Some(share), &conditions)
                };
                work.delete_share(&id, &user, check).await?;
                Ok(NoContent)
            }
            .await;
            work.end(done).await
        })
        .await
}
