//! What a proof of an address does: by a link or a code of a mail, to the user's own address or to the one that it is to be
//! changed to.

use shared::dynamo::AttributeValue;
use shared::events::Event;
use shared::http::Problem;

use super::invalid;
use crate::api::me::updated;
use crate::app::App;
use crate::audit::{Action, Origin};
use crate::email::EmailAddress;
use crate::first_tenant::Placed;
use crate::mail::task::Occasion;
use crate::mail::templates::Message;
use crate::one_time::{AddressChange, Code, OneTime, TicketHash};
use crate::store::{Write, WriteError};
use crate::user::User;

/// What tells of an address that was proved and was not before; nothing otherwise.
#[derive(Default)]
pub(crate) struct Proof {
    /// The event, for the write of the user.
    pub(crate) outbox: Option<AttributeValue>,
    /// The audit records, and the writes that give the user a tenant.
    pub(crate) writes: Vec<Write>,
}

impl App {
    /// What a ticket is good for whose code was typed. It stays, for further tries until they are used up. The same calls are
    /// made whether there is such a ticket or not.
    pub(crate) async fn check_code(&self, ticket: &TicketHash, code: &Code) -> Result<OneTime, Problem> {
        let may_try = self.accounts.try_code(ticket).await?;
        let one_time = self.accounts.ticket(ticket, self.clock.now()).await?.filter(|_| may_try);
        let is_right = |one_time: &OneTime| one_time.code.as_ref().is_some_and(|hash| code.matches(ticket, hash));
        one_time.filter(is_right).ok_or_else(invalid)
    }

    /// A user whose address was proved just now, and what goes along with the write of that.
    pub(crate) async fn with_proof(&self, user: User, origin: &Origin) -> Result<(User, Proof), Problem> {
        if user.is_verified() {
            return Ok((user, Proof::default()));
        }
        let now = self.clock.now();
        let user = User { email_verified_at: Some(now), ..user };
        let (user, outbox, mut writes) = if let Some(wanted) = user.first_tenant.clone() {
            let Placed { user, outbox, writes } = self.placed(user, wanted, origin).await?;
            (user, outbox, writes)
        } else {
            let event = Event::new(user.home_tenant_id, user.id, updated(&user), now, &self.random);
            (user, event.outbox().map_err(Problem::internal)?, Vec::new())
        };
        let record = origin.record(user.home_tenant_id, Action::EmailVerified, user.id, now, &self.random);
        writes.push(self.accounts.audit_write(&record)?);
        Ok((user, Proof { outbox: Some(outbox), writes }))
    }

    /// The user's own address was proved.
    pub(super) async fn address_proved(
        &self,
        user: &User,
        email: &EmailAddress,
        ticket: &TicketHash,
        origin: &Origin,
    ) -> Result<(), Problem> {
        // The user has another one by now.
        if user.email != *email {
            return Err(invalid());
        }
        let used_up = self.accounts.ticket_used(ticket);
        // Link and code of one mail, one after the other.
        if user.is_verified() {
            return self.accounts.transact(vec![used_up]).await.map_err(used);
        }
        let (user, proof) = self.with_proof(user.clone(), origin).await?;
        let along = proof.writes.into_iter().chain([used_up]).collect();
        self.accounts.update_user(&user.changed(self.clock.now()), proof.outbox, along).await.map_err(used)
    }

    /// The address that the user wants instead of theirs was proved.
    pub(super) async fn address_changed(
        &self,
        user: &User,
        email: &EmailAddress,
        change: &AddressChange,
        ticket: &TicketHash,
        origin: &Origin,
    ) -> Result<(), Problem> {
        let now = self.clock.now();
        let session = self.accounts.session(&user.id, &change.session_id, now).await?;
        if user.email != change.from || session.is_none() {
            return Err(invalid());
        }
        self.make_way(email).await.map_err(used)?;
        let after = User { email: email.clone(), email_verified_at: Some(now), ..user.clone() }.changed(now);
        let memberships = self.accounts.memberships(&user.id).await?;
        let letter = Message::EmailChanged { occurrence: origin.occurrence(now) };
        let old = Some(user.email.clone());
        let (mail, mail_write) =
            self.mail(Occasion::Notice { user_id: user.id, email: old, letter: Box::new(letter) })?;
        let mut along = vec![
            self.accounts.ticket_used(ticket),
            self.accounts.session_lives(&user.id, &change.session_id),
            self.accounts.claim_email(&after.email, &after.id)?,
            self.accounts.release_email(&user.email),
            mail_write,
        ];
        if let Some(tenant) = user.seat(&memberships) {
            let record = origin.record(tenant, Action::EmailChanged, user.id, now, &self.random);
            along.push(self.accounts.audit_write(&record)?);
        }
        along.extend(self.shown_in(&memberships, &after)?);
        self.accounts.update_user(&after, None, along).await.map_err(used)?;
        self.hurry(&mail).await;
        Ok(())
    }

    /// Has an account give way that was begun with an address and never proved it.
    async fn make_way(&self, email: &EmailAddress) -> Result<(), WriteError> {
        match self.accounts.user_by_email(email).await? {
            Some(holder) if holder.is_verified() => Err(WriteError::Taken),
            Some(holder) => self.give_way(&holder).await,
            None => Ok(()),
        }
    }
}

/// Why an address was not proved: somebody else has it by now, the token was used at this moment, or the account changed,
/// and the token may be sent again.
fn used(error: WriteError) -> Problem {
    match error {
        WriteError::Taken | WriteError::Stale => invalid(),
        error => error.into(),
    }
}
