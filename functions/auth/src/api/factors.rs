//! What all changes of a user's factors have in common: how they are written, and who is told. Who may make them is said by
//! [`CredentialOwner`](super::credential_owner::CredentialOwner).

use shared::http::{Problem, ProblemType};
use shared::identity::Principal;

use super::logout::session_of;
use crate::app::App;
use crate::audit::{Action, Origin};
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
    /// By which methods it was proved as it was added (RFC 8176): the session has proved it, too.
    pub(crate) proved: Vec<&'static str>,
}

impl App {
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
        if !event.proved.is_empty() {
            let session = self.accounts.session(&user.id, &session_of(caller)?, now).await?;
            let session = session.map(|session| session.proved_as_well(&event.proved));
            along.extend(session.map(|session| self.accounts.session_changed(&session)).transpose()?);
        }
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
