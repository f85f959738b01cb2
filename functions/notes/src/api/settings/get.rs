//! `GET /v2/notes/settings`: what holds for all notes of the tenant.

use axum::extract::State;
use shared::http::{Document, Preconditions, Problem, Tagged};
use shared::identity::{Caller, permission};

use crate::app::App;
use crate::note::Actor;
use crate::view::{SettingsView, settings_etag};

/// What holds for all notes of the tenant.
#[utoipa::path(
    get, path = "/v2/notes/settings", operation_id = "get_note_settings", tag = "notes",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The settings", body = SettingsView, headers(("ETag" = String))),
        (status = 304, description = "They are as `If-None-Match` names them"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    conditions: Preconditions,
) -> Result<Tagged<SettingsView>, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let settings = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.settings().await;
            work.end(done).await
        })
        .await?;
    Ok(Tagged::unless_known(&conditions, settings_etag(&settings), settings.into()))
}
