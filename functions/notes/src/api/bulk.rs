//! `POST /v2/notes/bulk`: many changes at once, all or none.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::http::idempotency::Submitted;
use shared::http::{Document, FieldError, Json, Problem};
use shared::identity::{Caller, permission};
use shared::postgres::idempotency::{Claim, claim};
use utoipa::ToSchema;

use crate::app::App;
use crate::batch::{Batch, BulkResult, Operation};
use crate::note::Actor;
use crate::store::Place;

/// The most operations of one request.
const MOST: usize = 100;

/// The largest body, in bytes: what Lambda takes, but for the event around it.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// What is to be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewNoteBulk)]
pub struct NewBulk {
    /// 1 to 100 operations, done in this order.
    #[schema(min_items = 1, max_items = 100)]
    pub operations: Vec<Operation>,
}

/// What was done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteBulk, example = json!({
    "results": [{"op": "create", "id": "note_01k9z4n2y6e0qv3m8t5w7x9abc", "version": 1}],
}))]
pub struct BulkView {
    /// In the order of the request.
    pub results: Vec<BulkResult>,
}

/// Make, edit, tag and delete up to 100 notes at once.
///
/// In one transaction: when one operation cannot be done, none is, and `errors` points at each that cannot. The contents of
/// the notes that are made, edited, tagged and deleted may have 4 MiB together.
#[utoipa::path(
    post, path = "/v2/notes/bulk", operation_id = "bulk_notes", tag = "notes",
    request_body(content = NewBulk, example = json!({"operations": [
        {"op": "create", "note": {"title": "Groceries"}},
        {"op": "create", "note": {"title": "Ideas", "tags": ["work"]}},
    ]})),
    params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key and body, the request is answered again and done once. Kept 24 hours.")),
    responses(
        (status = 200, description = "All of it was done", body = BulkView),
        (status = 422, description = "validation: nothing was done; or idempotency-key-reused", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn bulk(
    State(app): State<App>,
    caller: Caller<permission::WriteNotes>,
    new: Submitted<NewBulk, BODY_LIMIT>,
) -> Result<Response, Problem> {
    if !(1..=MOST).contains(&new.body.operations.len()) {
        let detail = format!("must be 1 to {MOST} operations");
        return Err(Problem::validation(vec![FieldError::new("/operations", "out_of_range", detail)]));
    }
    let (actor, now, notes) = (Actor::of(&caller), app.clock.now(), app.notes()?);
    let operations = &new.body.operations;
    let ids: Vec<_> = operations.iter().filter_map(|operation| operation.id).collect();
    notes
        .repeated(&actor, async || {
            let mut work = notes.begin(&actor).await?;
            let done = async {
                let claimed = match claim(work.transaction(), &actor.id, "POST /v2/notes/bulk", &new, now).await? {
                    Claim::First(claimed) => claimed,
                    Claim::Replay(response) => return Ok(response),
                };
                let mut batch = Batch::new(&actor, now, &app.random, work.lock_all(&ids).await?);
                let results = batch.run(operations)?;
                work.insert(&batch.made).await?;
                work.update(&batch.changed(), Place::Desk).await?;
                work.add_revisions(&batch.revisions.iter().collect::<Vec<_>>()).await?;
                let view = BulkView { results };
                claimed.keep(work.transaction(), StatusCode::OK, &view).await?;
                Ok(Json(view).into_response())
            }
            .await;
            work.end(done).await
        })
        .await
}
