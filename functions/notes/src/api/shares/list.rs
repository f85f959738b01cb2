//! `GET /v2/notes/{id}/shares`: with whom a note is shared.

use axum::extract::State;
use http::Uri;
use shared::http::{Document, Page, Path, Problem};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::note::{Actor, NoteId};
use crate::view::ShareView;

/// With whom a note is shared.
///
/// For its owner. There are a hundred at most, all on one page.
#[utoipa::path(
    get, path = "/v2/notes/{id}/shares", operation_id = "list_note_shares", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc")),
    responses(
        (status = 200, description = "The shares", body = Page<ShareView>, example = json!({
            "data": [{
                "user_id": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "access": "read", "email": "ada@example.com", "name": "Ada",
                "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = 403, description = "forbidden: the note is somebody else's", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    Path(id): Path<NoteId>,
    uri: Uri,
) -> Result<Page<ShareView>, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let shares = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.shares(&id).await;
            work.end(done).await
        })
        .await?;
    Ok(Page::new(&uri, shares.into_iter().map(Into::into).collect(), None))
}
