//! What all changes of a user's factors have in common: who may make them, and who is told.

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use shared::http::{Problem, ProblemType};
use shared::identity::Principal;

use super::logout::session_of;
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::issue::{TWO_FACTORS, assurance};
use crate::mail::task::{MailTask, Occasion};
use crate::mail::templates::{Factor, FactorChange, Message};
use crate::store::{Write, WriteError};
use crate::user::{User, UserId};

/// A change of a user's factors, for the audit trail and for the user.
#[derive(Debug)]
pub(crate) struct FactorEvent {
    /// What the record tells of.
    pub(crate) action: Action,
    /// What it was done to.
    pub(crate) target: String,
    /// What the mail says.
    pub(crate) change: FactorChange,
    /// Of which factor.
    pub(crate) factor: Factor,
    /// What the user calls it.
    pub(crate) label: Option<String>,
}

impl App {
    /// Refuses with 401 unless the session was begun or stepped up with a second factor, when `user` has one. Whoever has
    /// no more than the password cannot change the factors that stand beside it.
    pub(crate) async fn require_second_factor(&self, caller: &Principal, user: &User) -> Result<(), Problem> {
        if !user.second_factors.any() {
            return Ok(());
        }
        let session = self.accounts.session(&user.id, &session_of(caller)?, self.clock.now()).await?;
        if session.is_some_and(|session| assurance(&session.methods) == TWO_FACTORS) {
            return Ok(());
        }
        // RFC 9470, section 3.
        let problem = Problem::new(ProblemType::StepUpRequired, "prove a second factor at /v1/auth/step-up");
        let challenge = format!(r#"Bearer error="insufficient_user_authentication", acr_values="{TWO_FACTORS}""#);
        Err(problem.header(WWW_AUTHENTICATE, HeaderValue::try_from(challenge).map_err(Problem::internal)?))
    }

    /// Writes `user`, whose factors the caller changed, together with `writes`; the change is recorded and the user told.
    pub(crate) async fn change_factors(
        &self,
        caller: &Principal,
        origin: &Origin,
        user: User,
        event: FactorEvent,
        writes: Vec<Write>,
    ) -> Result<(), Problem> {
        let now = self.clock.now();
        let mut along = writes;
        let record = origin.by(caller, event.action, now, &self.random).on(&event.target);
        along.push(self.accounts.audit_write(&record)?);
        let (mail, mail_write) = self.factor_notice(&user.id, event.change, event.factor, event.label, origin)?;
        along.push(mail_write);
        match self.accounts.update_user(&user.changed(now), None, along).await {
            Ok(()) => self.hurry(&mail).await,
            Err(WriteError::Taken) => {
                return Err(Problem::new(ProblemType::Conflict, "the credential is registered already"));
            }
            Err(WriteError::Stale) => return Err(raced()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The mail to a user of whose factors something is to tell.
    pub(crate) fn factor_notice(
        &self,
        user: &UserId,
        change: FactorChange,
        factor: Factor,
        label: Option<String>,
        origin: &Origin,
    ) -> Result<(MailTask, Write), Problem> {
        let occurrence = origin.occurrence(self.clock.now());
        let letter = Message::SecondFactorChanged { change, factor, label, occurrence };
        self.mail(Occasion::Notice { user_id: *user, email: None, letter: Box::new(letter) })
    }
}

/// The account was changed by another request since it was read.
pub(crate) fn raced() -> Problem {
    Problem::new(ProblemType::Conflict, "another request changed the account meanwhile: try again")
}
