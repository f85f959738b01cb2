//! `POST /v1/auth/refresh`: new tokens for a session.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use shared::events::Event;
use shared::events::identity::RefreshTokenReused;
use shared::http::{Document, Json, Problem, ProblemType};
use shared::id::TenantId;
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::{ANONYMOUS, Action, Origin};
use crate::issue::SignedIn;
use crate::mail::task::Occasion;
use crate::mail::templates::Message;
use crate::membership::Membership;
use crate::oauth::client::Client;
use crate::oauth::grant::{self, Application};
use crate::session::{RefreshToken, Session, Standing};
use crate::store::{Write, WriteError};
use crate::tenant::Tenant;
use crate::user::User;

/// How often a refresh that meets others of the same session is tried.
const RACES: u32 = 8;
/// The first pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// What a client sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// The newest refresh token of the session.
    #[schema(example = "tf_rt_…")]
    refresh_token: String,
    /// The tenant that the tokens shall name from now on, of those that the user is a member of.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
}

/// Refresh the tokens.
///
/// A refresh token is good for one use; the answer has the next one. Sent again within ten seconds (two tabs, a lost
/// answer) it is answered with the same next one. Any later use of it is taken for theft, and ends the session.
#[utoipa::path(
    post, path = "/v1/auth/refresh", operation_id = "refresh", tag = "auth",
    request_body(content = RefreshRequest, example = json!({"refresh_token": "tf_rt_01k9…"})),
    responses(
        (status = 200, description = "The tokens", body = SignedIn),
        (status = 401, description = "invalid-refresh-token: sign in again", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn refresh(
    State(app): State<App>,
    origin: Origin,
    Json(given): Json<RefreshRequest>,
) -> Result<Json<SignedIn>, Problem> {
    let presented: RefreshToken = given.refresh_token.parse().map_err(|_| over())?;
    Box::pin(app.refresh(&presented, given.tenant_id, &origin)).await.map(Json)
}

fn over() -> Problem {
    Problem::new(ProblemType::InvalidRefreshToken, "the refresh token is not valid (any more): sign in again")
}

/// A session that goes on, and what its tokens are made of.
pub(crate) struct Renewed {
    pub(crate) session: Session,
    pub(crate) token: RefreshToken,
    pub(crate) user: User,
    pub(crate) membership: Membership,
    pub(crate) tenant: Tenant,
}

/// The application's client that asks for a refresh.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    /// Before it was read: its tokens hold as of then.
    pub(crate) begun: Timestamp,
}

/// What one try of a refresh came to.
enum Outcome {
    Done(Box<Renewed>),
    /// Another request was between: what it left decides.
    Overtaken,
}

impl App {
    /// New tokens for the session of a refresh token, in the tenant `asked` for, else in its own.
    pub(crate) async fn refresh(
        &self,
        presented: &RefreshToken,
        asked: Option<TenantId>,
        origin: &Origin,
    ) -> Result<SignedIn, Problem> {
        let renewed = self.renew(presented, asked, None, origin).await?;
        let Renewed { session, token, user, membership, tenant } = renewed;
        self.tokens(&session, &token, &user, &membership, &tenant).await
    }

    /// The next step of the session of a refresh token: one of `client`, or one of the service's own log-in. Whoever
    /// presents a token that is somebody else's changes nothing.
    pub(crate) async fn renew(
        &self,
        presented: &RefreshToken,
        asked: Option<TenantId>,
        by: Option<Asking<'_>>,
        origin: &Origin,
    ) -> Result<Renewed, Problem> {
        for attempt in 1..=RACES {
            match Box::pin(self.refresh_once(presented, asked, by, origin)).await? {
                Outcome::Done(renewed) => return Ok(*renewed),
                Outcome::Overtaken => tokio::time::sleep(self.random.pause(FIRST_PAUSE, attempt)).await,
            }
        }
        Err(Problem::unavailable(WriteError::Conflict))
    }

    async fn refresh_once(
        &self,
        presented: &RefreshToken,
        asked: Option<TenantId>,
        by: Option<Asking<'_>>,
        origin: &Origin,
    ) -> Result<Outcome, Problem> {
        let (user_id, session_id, client) = (presented.user_id(), presented.session_id(), by.map(|by| by.client));
        let now = by.map_or_else(|| self.clock.now(), |by| by.begun);
        let session = self.accounts.session(&user_id, &session_id, now);
        let (user, session) = tokio::try_join!(self.accounts.user(&user_id), session)?;
        let session = session.filter(|session| session.is_of(client.map(|client| client.id)));
        let (user, session) = user.zip(session).ok_or_else(over)?;
        // Before the place is looked at: a replay is not missed, and whoever made the token up learns nothing.
        let successor = match session.judge(presented, now) {
            Standing::Newest => None,
            Standing::JustUsed(successor) => Some(successor),
            Standing::Foreign | Standing::Over => return Err(over()),
            Standing::Replayed => {
                self.end_replayed(&user, &session, origin).await?;
                return Err(over());
            }
        };
        let session = match client {
            Some(client) => self.within_the_grant(session, client).await?,
            None => session,
        };
        let place = asked.unwrap_or(session.tenant_id);
        let (membership, tenant) = self.place(&user_id, &place).await?;
        let (changed, successor) = match successor {
            None => {
                let (rotated, successor) =
                    session.rotated(presented, &tenant.settings, now, &self.random).ok_or_else(over)?;
                (Some(Session { tenant_id: tenant.id, ..rotated }), successor)
            }
            Some(successor) if session.tenant_id == tenant.id => (None, successor),
            // The faster request asked for another tenant.
            Some(successor) => {
                let moved = session.moved(tenant.id, &tenant.settings, now).ok_or_else(over)?;
                (Some(moved), successor)
            }
        };
        if let Some(changed) = &changed {
            match self.accounts.change_session(changed).await {
                Ok(()) => {}
                Err(WriteError::Stale | WriteError::Conflict) => return Ok(Outcome::Overtaken),
                Err(error) => return Err(error.into()),
            }
        }
        let session = changed.unwrap_or(session);
        Ok(Outcome::Done(Box::new(Renewed { session, token: successor, user, membership, tenant })))
    }

    /// An application's session with no more than what the user's grant and its client still have.
    pub(crate) async fn within_the_grant(&self, session: Session, client: &Client) -> Result<Session, Problem> {
        let granted = self.accounts.grant(&session.user_id, &client.id).await?;
        let (granted, application) = granted.zip(session.application.clone()).ok_or_else(over)?;
        let scopes = grant::still(&grant::common(&application.scopes, &granted.scopes), client);
        let application = Application { scopes, client_changed_at: client.updated_at, ..application };
        Ok(Session { application: Some(application), ..session })
    }

    /// Ends a session of whose refresh token somebody has a copy: a record, an event and a mail to its user go along.
    async fn end_replayed(&self, user: &User, session: &Session, origin: &Origin) -> Result<(), Problem> {
        let now = self.clock.now();
        let letter = Message::RefreshTokenReused { occurrence: origin.occurrence(now) };
        let occasion = Occasion::Notice { user_id: user.id, email: None, letter: Box::new(letter) };
        let (mail, mail_write) = self.mail(occasion)?;
        let mut writes = self.accounts.session_ended_once(&user.id, &session.id, now);
        writes.push(mail_write);
        writes.extend(self.replay_told(user, session, origin).await?);
        match self.accounts.transact(writes).await {
            Ok(()) => self.hurry(&mail).await,
            // Another replay, or the user, ended it at this moment.
            Err(WriteError::Stale) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The record and event of a replay: for the session's tenant, and for another one of the user's when they are no member
    /// of that any more.
    async fn replay_told(&self, user: &User, session: &Session, origin: &Origin) -> Result<Option<Write>, Problem> {
        let memberships = self.accounts.memberships(&user.id).await?;
        let lasting = memberships.iter().map(|member| member.tenant_id).find(|tenant| *tenant == session.tenant_id);
        let Some(tenant) = lasting.or_else(|| user.seat(&memberships)) else { return Ok(None) };
        let now = self.clock.now();
        let record = origin.record(tenant, Action::RefreshTokenReused, ANONYMOUS, now, &self.random);
        let data = RefreshTokenReused {
            user_id: user.id.to_string(),
            session_id: session.id.to_string(),
            network: origin.device.network.clone(),
        };
        let event = Event::new(tenant, session.id, data, now, &self.random);
        let outbox = event.outbox().map_err(Problem::internal)?;
        Ok(Some(self.accounts.audit_write_telling(&record.on(session.id), outbox)?))
    }
}
