//! `GET /v1/auth/sessions`, `DELETE /v1/auth/sessions/{id}`: where a user is signed in.

use axum::extract::State;
use http::Uri;
use shared::http::{Document, NoContent, Page, Path, Problem};
use shared::identity::{Caller, permission};

use super::logout::session_of;
use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::session::SessionId;
use crate::store::WriteError;
use crate::view::SessionView;

/// The sessions of the user, those of applications included, the one used last first. There are 30 at most, so that the list has one page.
#[utoipa::path(
    get, path = "/v1/auth/sessions", operation_id = "list_sessions", tag = "auth",
    responses(
        (status = 200, description = "The sessions", body = Page<SessionView>, example = json!({
            "data": [{
                "id": "session_01k9z4n2y6e0qv3m8t5w7x9abc", "current": true,
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0", "network": "203.0.113.0/24",
                "tenant_id": "tenant_01k9z4n2y6e0qv3m8t5w7x9abc", "client_id": null, "client_name": null, "methods": ["pwd"],
                "created_at": "2026-05-04T09:30:00.000Z", "last_used_at": "2026-05-04T10:30:00.000Z",
                "expires_at": "2026-05-18T10:30:00.000Z",
            }],
            "next_cursor": null, "has_more": false,
        })),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller<permission::ReadAccount>,
    uri: Uri,
) -> Result<Page<SessionView>, Problem> {
    let mut sessions = app.accounts.sessions(&person(&caller)?, app.clock.now()).await?;
    sessions.sort_by_key(|session| std::cmp::Reverse(session.last_used_at));
    let current = session_of(&caller).ok();
    let data = sessions.iter().map(|session| SessionView::of(session, current.as_ref())).collect();
    Ok(Page::new(&uri, data, None))
}

/// End a session.
///
/// Its tokens are refused everywhere within 30 seconds.
#[utoipa::path(
    delete, path = "/v1/auth/sessions/{id}", operation_id = "end_session", tag = "auth",
    params(("id" = String, Path, example = "session_01k9z4n2y6e0qv3m8t5w7x9abc")),
    responses(
        (status = 204, description = "The session is over"),
        (status = 404, description = "not-found: the user has no such session", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn end(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    origin: Origin,
    Path(id): Path<SessionId>,
) -> Result<NoContent, Problem> {
    let (user, now) = (person(&caller)?, app.clock.now());
    app.accounts.session(&user, &id, now).await?.ok_or_else(Problem::not_found)?;
    let mut writes = app.accounts.session_ended_once(&user, &id, now);
    writes.push(app.accounts.audit_write(&origin.by(&caller, Action::SessionRevoked, now, &app.random).on(id))?);
    match app.accounts.transact(writes).await {
        Ok(()) => Ok(NoContent),
        Err(WriteError::Stale) => Err(Problem::not_found()),
        Err(error) => Err(error.into()),
    }
}
