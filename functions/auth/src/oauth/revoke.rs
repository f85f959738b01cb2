//! `POST /oauth/revoke`: end a session by one of its tokens (RFC 7009).

use axum::extract::State;
use http::StatusCode;
use shared::http::{Document, Problem};
use utoipa::ToSchema;

use super::form::OAuthForm;
use super::refusal::{Failure, OAuthError, Refused};
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::session::{RefreshToken, Session, SessionId};
use crate::user::UserId;

/// The parameters, for the description.
#[derive(Debug, ToSchema)]
#[allow(dead_code)] // it describes the form, which is read parameter by parameter
pub struct RevocationRequest {
    /// A refresh token, or an access token of a session.
    token: String,
    /// `refresh_token` or `access_token`; ignored, as the two look different.
    token_type_hint: Option<String>,
}

/// Revoke a token.
///
/// Ends the session of a refresh token or a user's access token: for whoever holds the token, or where an application has
/// it, for that application's client. A token that is not valid is
/// answered likewise. A machine's access token and an API key are not revoked here: the one ends within ten minutes, or with
/// its client; the other is revoked at `/v1/api-keys`.
#[utoipa::path(
    post, path = "/oauth/revoke", operation_id = "oauth_revoke", tag = "oauth",
    request_body(content = RevocationRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is good for nothing (any more)"),
        (status = 400, description = "invalid_request, invalid_grant or unsupported_token_type", body = OAuthError),
        (status = 401, description = "invalid_client", body = OAuthError),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn revoke(State(app): State<App>, origin: Origin, form: OAuthForm) -> Result<StatusCode, Failure> {
    let token = form.required("token")?;
    let client = if form.is_of_application() { Some(form.client_or_public(&app, &origin).await?.id) } else { None };
    if let Some(session) = app.session_of(token).await? {
        // RFC 7009, section 2.1.
        if !session.is_of(client) {
            return Err(Refused::InvalidGrant.because("the token was issued to another client"));
        }
        app.end_session(&session, &origin).await?;
    }
    Ok(StatusCode::OK)
}

impl App {
    /// The session that a token belongs to, when both are good. Refuses a token that is good and has no session.
    async fn session_of(&self, token: &str) -> Result<Option<Session>, Failure> {
        let now = self.clock.now();
        if let Ok(refresh) = token.parse::<RefreshToken>() {
            let session = self.accounts.session(&refresh.user_id(), &refresh.session_id(), now).await?;
            return Ok(session.filter(|session| session.knows(&refresh)));
        }
        let Some(caller) = self.authenticator.introspect(token).await? else { return Ok(None) };
        let user: Option<UserId> = caller.subject.parse().ok();
        let session: Option<SessionId> = caller.session.as_deref().and_then(|session| session.parse().ok());
        match (user, session) {
            (Some(user), Some(session)) => Ok(self.accounts.session(&user, &session, now).await?),
            _ => Err(Refused::UnsupportedTokenType.because("the token has no session")),
        }
    }

    async fn end_session(&self, session: &Session, origin: &Origin) -> Result<(), Problem> {
        let (user, now) = (session.user_id, self.clock.now());
        let record = origin.record(session.tenant_id, Action::SignedOut, user, now, &self.random).on(session.id);
        let mut writes = self.accounts.session_ended(&user, &session.id, now);
        writes.push(self.accounts.audit_write(&record)?);
        Ok(self.accounts.transact(writes).await?)
    }
}
