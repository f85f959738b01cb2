//! What an application gets: tokens for a code (RFC 6749, section 4.1.3), and later ones for its refresh token (section 6).

use shared::events::Event;
use shared::events::identity::AuthorizationCodeReused;
use shared::http::{Problem, ProblemType};
use shared::identity::Scopes;

use super::authorization::{self, AuthorizationCode, UsedCode};
use super::client::{Client, GrantType};
use super::form::OAuthForm;
use super::grant::{self, OPENID};
use super::id_token::IdToken;
use super::refusal::{Failure, Refused};
use super::token::TokenAnswer;
use crate::api::refresh::{Asking, Renewed};
use crate::app::App;
use crate::audit::{ANONYMOUS, Action, Origin};
use crate::issue::{lacks_second_factor, second_factor_first};
use crate::one_time::Ticket;
use crate::session::{RefreshToken, Session};
use crate::store::WriteError;

/// The one answer to a code that is not good (any more).
fn void() -> Failure {
    Refused::InvalidGrant.because("the code is wrong, was used, or its time is over")
}

/// The one answer to a refresh token that is not good (any more).
fn over() -> Failure {
    Refused::InvalidGrant.because("the refresh token is not valid (any more)")
}

/// What it means that the user or the membership is gone, suspended, or has a second factor to set up.
fn refused_as(refusal: impl FnOnce() -> Failure) -> impl FnOnce(Problem) -> Failure {
    |problem| match problem.kind() {
        ProblemType::InvalidRefreshToken | ProblemType::Forbidden => refusal(),
        _ => Failure::Problem(problem),
    }
}

impl Client {
    /// Refuses a grant type that the client does not have.
    pub(super) fn check_grant(&self, grant_type: GrantType) -> Result<(), Failure> {
        if self.uses(grant_type) {
            return Ok(());
        }
        Err(Refused::UnauthorizedClient.because(format!("the client does not use {}", grant_type.as_str())))
    }
}

impl App {
    /// RFC 6749, section 4.1.3.
    pub(super) async fn code_tokens(&self, form: &OAuthForm, origin: &Origin) -> Result<TokenAnswer, Failure> {
        // Before all that the tokens rest on is read.
        let now = self.clock.now();
        let client = form.client_or_public(self, origin).await?;
        client.check_grant(GrantType::AuthorizationCode)?;
        let redirect_uri = form.required("redirect_uri")?;
        let verifier = form.required("code_verifier")?;
        let ticket: Ticket = form.required("code")?.parse().map_err(|_| void())?;
        let Some(code) = authorization::find_code(&self.accounts, &ticket, now).await? else {
            return self.replayed(&client, &ticket, origin).await;
        };
        if code.client_id != client.id || code.redirect_uri != redirect_uri || !code.challenge.is_of(verifier) {
            return Err(void());
        }
        let session = self.accounts.session(&code.user_id, &code.session_id, now);
        let (user, session) = tokio::try_join!(self.accounts.user(&code.user_id), session)?;
        let (user, session) = user.zip(session).ok_or_else(void)?;
        let place = self.place(&user.id, &client.tenant_id).await;
        let (membership, tenant) = place.map_err(refused_as(void))?;
        if lacks_second_factor(&session, &tenant) {
            return Err(refused_as(void)(second_factor_first()));
        }
        // Its client may have been narrowed since the user decided.
        let session = self.within_the_grant(session, &client).await.map_err(refused_as(void))?;
        let (session, token) = session.opened(&tenant.settings, now, &self.random);
        let mut writes: Vec<_> = authorization::code_used(&self.accounts, &ticket, &code, now)?.into();
        writes.push(self.accounts.session_changed(&session)?);
        match self.accounts.transact(writes).await {
            Ok(()) => {}
            // Another request was faster with the same code.
            Err(WriteError::Stale) => return self.replayed(&client, &ticket, origin).await,
            Err(error) => return Err(error.into()),
        }
        let renewed = Renewed { session, token, user, membership, tenant };
        Box::pin(self.application_tokens(&client, renewed, Some(&code))).await
    }

    /// RFC 6749, section 6. A narrower `scope` is that of the access token alone.
    pub(super) async fn renewed_tokens(&self, form: &OAuthForm, origin: &Origin) -> Result<TokenAnswer, Failure> {
        let begun = self.clock.now();
        let client = form.client_or_public(self, origin).await?;
        let presented: RefreshToken = form.required("refresh_token")?.parse().map_err(|_| over())?;
        let narrower = match form.get("scope") {
            Some(scope) => Some(self.narrower(&client, &presented, scope).await?),
            None => None,
        };
        let renewed = Box::pin(self.renew(&presented, None, Some(Asking { client: &client, begun }), origin)).await;
        let mut renewed = renewed.map_err(refused_as(over))?;
        if let Some((application, narrower)) = renewed.session.application.as_mut().zip(narrower) {
            application.scopes = grant::common(&application.scopes, &narrower);
        }
        Box::pin(self.application_tokens(&client, renewed, None)).await
    }

    /// What is asked for of an application's session: before its token is used up.
    async fn narrower(&self, client: &Client, presented: &RefreshToken, scope: &str) -> Result<Scopes, Failure> {
        let now = self.clock.now();
        let session = self.accounts.session(&presented.user_id(), &presented.session_id(), now).await?;
        let session = session.filter(|session| session.is_of(Some(client.id)));
        let application = session.and_then(|session| session.application).ok_or_else(over)?;
        let asked = grant::asked(client, Some(scope)).ok();
        let asked = asked.filter(|asked| asked.iter().all(|one| grant::has(&application.scopes, one)));
        asked.ok_or_else(|| Refused::InvalidScope.because("the scope is wider than what was granted"))
    }

    async fn application_tokens(
        &self,
        client: &Client,
        renewed: Renewed,
        code: Option<&AuthorizationCode>,
    ) -> Result<TokenAnswer, Failure> {
        let Renewed { session, token, membership, tenant, .. } = renewed;
        let access = self.access_token(&session, &membership, &tenant).await.map_err(refused_as(over))?;
        let openid = session.application.as_ref().is_some_and(|application| grant::has(&application.scopes, OPENID));
        let id_token = match code.filter(|_| openid) {
            Some(code) => {
                let (issuer, now) = (self.signer.issuer(), self.clock.now());
                let claims = IdToken::new(issuer, code, &session, &access.access_token, now);
                Some(self.signer.sign_id_token(&claims).await?)
            }
            None => None,
        };
        Ok(TokenAnswer {
            id_token,
            access_token: access.access_token,
            token_type: access.token_type,
            expires_in: access.expires_in,
            refresh_token: client.uses(GrantType::RefreshToken).then(|| token.expose()),
            scope: session.application.map(|application| grant::text(&application.scopes)),
        })
    }

    /// A code that is not there any more: when it was used, somebody has a copy, and what was issued for it ends (section
    /// 4.1.2). Only the client that the session belongs to is believed to have had it.
    async fn replayed(&self, client: &Client, ticket: &Ticket, origin: &Origin) -> Result<TokenAnswer, Failure> {
        let now = self.clock.now();
        if let Some(UsedCode { user_id, session_id }) = authorization::find_used(&self.accounts, ticket, now).await? {
            let session = self.accounts.session(&user_id, &session_id, now).await?;
            if let Some(session) = session.filter(|session| session.is_of(Some(client.id))) {
                self.end_replayed_code(client, &session, origin).await?;
            }
        }
        Err(void())
    }

    async fn end_replayed_code(&self, client: &Client, session: &Session, origin: &Origin) -> Result<(), Problem> {
        let now = self.clock.now();
        let record = origin.record(session.tenant_id, Action::AuthorizationCodeReused, ANONYMOUS, now, &self.random);
        let data = AuthorizationCodeReused {
            user_id: session.user_id.to_string(),
            session_id: session.id.to_string(),
            client_id: client.id.to_string(),
            network: origin.device.network.clone(),
        };
        let event = Event::new(session.tenant_id, session.id, data, now, &self.random);
        let outbox = event.outbox().map_err(Problem::internal)?;
        let mut writes = self.accounts.session_ended_once(&session.user_id, &session.id, now);
        writes.push(self.accounts.audit_write_telling(&record.on(session.id), outbox)?);
        match self.accounts.transact(writes).await {
            // Another replay, or the user, ended it at this moment.
            Ok(()) | Err(WriteError::Stale) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
