//! `PUT /v2/notes/settings`: set what holds for all notes of the tenant.

use axum::extract::State;
use serde::Deserialize;
use shared::http::{Document, Json, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use crate::app::App;
use crate::note::Actor;
use crate::view::{SettingsView, settings_etag};

/// What is to hold for all notes of a tenant.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNoteSettings {
    /// Whether each change of a note must name the version that it changes.
    require_if_match: bool,
}

/// Set what holds for all notes of the tenant.
///
/// With `require_if_match`, whoever replaces, edits or deletes a note, goes back to a revision or takes a share away must
/// say by `If-Match` which version they mean (`*` is any), and is answered 428 otherwise; in bulk, each operation on a note
/// that is there must have `if_version`.
#[utoipa::path(
    put, path = "/v2/notes/settings", operation_id = "put_note_settings", tag = "notes",
    params(("If-Match" = Option<String>, Header)),
    request_body(content = NewNoteSettings, example = json!({"require_if_match": true})),
    responses(
        (status = 200, description = "The settings as they are now", body = SettingsView, headers(("ETag" = String))),
        (status = 412, description = "precondition-failed: they have changed since they were read", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn put(
    State(app): State<App>,
    caller: Caller<permission::ManageNotes>,
    conditions: Preconditions,
    Json(new): Json<NewNoteSettings>,
) -> Result<Tagged<SettingsView>, Problem> {
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    let settings = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let before = work.lock_settings().await?;
                conditions.check(&settings_etag(&before))?;
                work.change_settings(before, new.require_if_match, now).await
            }
            .await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::new(settings_etag(&settings), settings.into()))
}
