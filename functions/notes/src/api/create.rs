//! `POST /v2/notes`: make a note.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use shared::http::idempotency::Submitted;
use shared::http::{Created, Document, Problem};
use shared::identity::{Caller, permission};
use shared::postgres::idempotency::{Claim, claim};

use crate::app::App;
use crate::note::{Access, Actor, Draft, Note};
use crate::view::{NoteView, etag, location};

/// Make a note.
///
/// It is the caller's own. What a program makes is the tenant's, and all its programs see it.
#[utoipa::path(
    post, path = "/v2/notes", operation_id = "create_note", tag = "notes",
    request_body(content = Draft, example = json!({"title": "Groceries", "content": "- milk\n- bread", "tags": ["home"]})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again and done once. Kept 24 hours.")),
    responses(
        (status = 201, description = "The note was made", body = NoteView, headers(("Location" = String), ("ETag" = String))),
        (status = 422, description = "validation, or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    new: Submitted<Draft>,
) -> Result<Response, Problem> {
    let (actor, now) = (Actor::of(&caller), app.clock.now());
    let draft = new.body.clone().checked(now)?;
    let (notes, note) = (app.notes()?, Note::new(draft, &actor, now, &app.random));
    notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let claimed = match claim(work.transaction(), &actor.id, "POST /v2/notes", &new, now).await? {
                    Claim::First(claimed) => claimed,
                    Claim::Replay(response) => return Ok(response),
                };
                work.insert(std::slice::from_ref(&note)).await?;
                work.add_revisions(&[&note]).await?;
                let created = Created {
                    location: location(&note.id),
                    etag: etag(&note, Access::Owner),
                    body: NoteView::of(note.clone(), Access::Owner),
                };
                claimed.keep_created(work.transaction(), &created).await?;
                Ok(created.into_response())
            }
            .await;
            work.end(done).await
        })
        .await
}
