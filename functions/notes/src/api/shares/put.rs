//! `PUT /v2/notes/{id}/shares/{user}`: share a note.

use axum::extract::State;
use serde::Deserialize;
use shared::http::{Created, Document, Json, Path, Preconditions, Problem, Stored, Tagged};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use crate::api::conditions::check_share;
use crate::app::App;
use crate::note::{Access, Actor, NoteId, UserId};
use crate::view::{ShareView, share_etag};

/// How a note is to be shared.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNoteShare {
    /// What the user may do.
    access: SharedAccess,
}

/// What somebody with whom a note is shared may do.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SharedAccess {
    /// See it, and what it was before.
    Read,
    /// And change it.
    Write,
}

/// Share a note with a user of the tenant, or change how.
///
/// With an `If-Match` it is changed and not shared anew: where there is no share, none has that version. With
/// `If-None-Match: *` it is shared anew and not changed.
#[utoipa::path(
    put, path = "/v2/notes/{id}/shares/{user}", operation_id = "put_note_share", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("user" = String, Path, description = "The id of a user", example = "user_01k9z4n2y6e0qv3m8t5w7x9abc"), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header)),
    request_body(content = NewNoteShare, example = json!({"access": "read"})),
    responses(
        (status = 200, description = "The share as it is now", body = ShareView, headers(("ETag" = String))),
        (status = 201, description = "The share, which is new", body = ShareView, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "forbidden: the note is somebody else's", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: there is no such note or user", body = Document, content_type = "application/problem+json"),
        (status = 409, description = "conflict: the user is the owner, or a hundred others have it", body = Document, content_type = "application/problem+json"),
        (status = 412, description = "precondition-failed: there is no share, or it is there, or it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn put(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    Path((id, user)): Path<(NoteId, UserId)>,
    conditions: Preconditions,
    Json(new): Json<NewNoteShare>,
) -> Result<Stored<ShareView>, Problem> {
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    let access = match new.access {
        SharedAccess::Read => Access::Read,
        SharedAccess::Write => Access::Write,
    };
    let (share, is_new) = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                if conditions.has_if_match() || conditions.has_if_none_match() {
                    check_share(work.lock_share(&id, &user).await?.as_ref(), &conditions)?;
                }
                work.put_share(&id, &user, access, now).await
            }
            .await;
            work.end(done).await
        })
        .await?;
    let (etag, body) = (share_etag(&share), share.into());
    if !is_new {
        return Ok(Stored::Set(Tagged::new(etag, body)));
    }
    Ok(Stored::Made(Created { location: format!("/v2/notes/{id}/shares/{user}"), etag, body }))
}
