//! `GET /v2/notes/{id}/revisions/{version}/diff`: what a change changed.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, Json, Path, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::diff::{changed, unified};
use crate::note::{Actor, NoteId};

/// What a revision is compared with.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Parameters {
    /// The version of the revision to begin from, be it a later one; without it, the one before.
    from: Option<i64>,
}

/// The difference between two revisions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteDiff, example = json!({
    "from": 1, "to": 2, "changed": ["content"],
    "diff": "--- revision 1\n+++ revision 2\n@@ -1 +1,2 @@\n - milk\n+- bread\n",
}))]
pub struct DiffView {
    /// The version that is compared with; null when there is none.
    from: Option<i64>,
    /// The version that is compared.
    to: i64,
    /// The names of the fields that differ.
    #[schema(value_type = Vec<String>)]
    changed: Vec<&'static str>,
    /// The difference of the contents in the unified format; empty when there is none.
    diff: String,
}

/// What changed between two revisions of a note.
#[utoipa::path(
    get, path = "/v2/notes/{id}/revisions/{version}/diff", operation_id = "diff_note_revision", tag = "notes",
    params(("id" = String, Path, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc"), ("version" = String, Path, description = "The version that the change made", example = "1"), Parameters),
    responses(
        (status = 200, description = "The difference", body = DiffView),
        (status = 404, description = "not-found: there is no such note or revision", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn diff(
    State(app): State<App>,
    caller: Caller<permission::ReadNotes>,
    Path((id, version)): Path<(NoteId, i64)>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<DiffView>, Problem> {
    let (actor, notes) = (Actor::of(&caller), app.notes()?);
    let (before, after) = notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = work.compared(&id, version, parameters.from).await;
            work.end(done).await
        })
        .await?;
    Ok(Json(DiffView {
        from: before.as_ref().map(|before| before.version),
        to: after.version,
        changed: before.as_ref().map(|before| changed(before, &after)).unwrap_or_default(),
        diff: before.as_ref().map(|before| unified(before, &after)).unwrap_or_default(),
    }))
}
