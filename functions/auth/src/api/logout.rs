//! `POST /v1/auth/logout` and `POST /v1/auth/logout-all`: end this session, or all.

use axum::extract::State;
use shared::http::{Document, NoContent, Problem, ProblemType};
use shared::identity::{Caller, Principal, permission};

use crate::app::{App, person};
use crate::audit::{Action, Origin};
use crate::session::SessionId;

/// Sign out.
///
/// Ends the session of the access token. Its tokens are refused everywhere within 30 seconds.
#[utoipa::path(
    post, path = "/v1/auth/logout", operation_id = "log_out", tag = "auth",
    responses(
        (status = 204, description = "The session is over"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn logout(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    origin: Origin,
) -> Result<NoContent, Problem> {
    let (user, session) = (person(&caller)?, session_of(&caller)?);
    let now = app.clock.now();
    let mut writes = app.accounts.session_ended(&user, &session, now);
    writes.push(app.accounts.audit_write(&origin.by(&caller, Action::SignedOut, now, &app.random).on(session))?);
    app.accounts.transact(writes).await?;
    Ok(NoContent)
}

/// Sign out everywhere.
///
/// Ends all sessions of the user, this one included.
#[utoipa::path(
    post, path = "/v1/auth/logout-all", operation_id = "log_out_everywhere", tag = "auth",
    responses(
        (status = 204, description = "All sessions are over"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn logout_all(
    State(app): State<App>,
    caller: Caller<permission::WriteAccount>,
    origin: Origin,
) -> Result<NoContent, Problem> {
    let user = person(&caller)?;
    let now = app.clock.now();
    let (mut writes, count) = app.accounts.sessions_ended(&user, None, now).await?;
    let record = origin.by(&caller, Action::SignedOut, now, &app.random).with(format!("{count} sessions"));
    writes.push(app.accounts.audit_write(&record)?);
    app.accounts.transact(writes).await?;
    // An application may have been let in by one of these sessions after they were read. Now that they are over, none is.
    app.accounts.end_sessions(&user, None, now).await?;
    Ok(NoContent)
}

/// The session of a user's token.
pub fn session_of(caller: &Principal) -> Result<SessionId, Problem> {
    let session = caller.session.as_deref().and_then(|session| session.parse().ok());
    session.ok_or_else(|| Problem::new(ProblemType::Forbidden, "this is for a signed-in user, not for a key"))
}
