//! What is asked of `auth.mail`: the contract of the mail queue.
//!
//! A message never holds a secret: the worker draws it when it writes the mail, and stores its hash. It never tells its
//! sender whether an address has an account either: who may be written to is looked up by the worker.

use serde::{Deserialize, Serialize};
use shared::id::{Id, Kind, TenantId};
use shared::queue::Message;
use shared::random::Random;
use shared::time::Timestamp;

use super::templates::Message as Letter;
use crate::email::EmailAddress;
use crate::one_time::{AddressChange, TicketHash};
use crate::user::UserId;

/// The kind of a mail's id.
#[derive(Debug)]
pub enum MailKind {}
impl Kind for MailKind {
    const PREFIX: &'static str = "mail";
}
/// The id of a mail: the same each time that it is tried, and part of its `Message-ID`.
pub type MailId = Id<MailKind>;

/// A mail to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailTask {
    /// The id.
    pub id: MailId,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// What it is about.
    pub occasion: Occasion,
}

/// Why mail is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Occasion {
    /// Somebody wants to prove this address: of an account that is not verified yet. Nothing is sent otherwise.
    VerifyEmail {
        /// Where to.
        email: EmailAddress,
    },
    /// A user wants this address instead of theirs.
    ChangeEmail {
        /// Who.
        user_id: UserId,
        /// The new address.
        email: EmailAddress,
        /// What was asked.
        change: AddressChange,
    },
    /// Somebody tried to sign up with an address that has an account.
    AlreadyRegistered {
        /// Where to.
        email: EmailAddress,
    },
    /// Somebody forgot the password of this address. Nothing is sent when it has no account.
    ResetPassword {
        /// Where to.
        email: EmailAddress,
    },
    /// Somebody wants to sign in by mail. The code and the link go with the ticket that the client holds.
    SignIn {
        /// Where to.
        email: EmailAddress,
        /// The ticket that the client was given.
        ticket: TicketHash,
        /// The tenant asked for.
        tenant_id: Option<TenantId>,
    },
    /// Something happened that the user should know.
    Notice {
        /// Who.
        user_id: UserId,
        /// Where to, when it is not the user's address (any more): an old one, or that of an account that is gone.
        email: Option<EmailAddress>,
        /// What.
        letter: Box<Letter>,
    },
}

impl MailTask {
    /// A mail that is asked for now.
    pub fn new(occasion: Occasion, now: Timestamp, random: &Random) -> Self {
        Self { id: MailId::new(now, random), asked_at: now, occasion }
    }

    /// The message for the queue.
    pub fn message(&self, queue_url: &str) -> Result<Message, serde_json::Error> {
        // Each address is a group of its own: nobody's mails delay another's.
        let group = match &self.occasion {
            Occasion::VerifyEmail { email }
            | Occasion::AlreadyRegistered { email }
            | Occasion::ResetPassword { email }
            | Occasion::SignIn { email, .. } => email.hash(),
            Occasion::ChangeEmail { user_id, .. } | Occasion::Notice { user_id, .. } => user_id.to_string(),
        };
        Message::json(queue_url, group, self.id.to_string(), self)
    }
}
