//! Passkeys: public-key credentials of an authenticator that verifies its user (WebAuthn level 3).
//!
//! Registration and use are ceremonies of two requests. The first answers options for `navigator.credentials` and a ticket,
//! under which the server keeps the challenge; the second brings the ticket back with what the authenticator made. The
//! cryptography and the protocol's checks are `webauthn-rs`'s ([`RelyingParty`]); what is kept of a passkey is a
//! [`PasskeyRecord`].

mod record;
mod relying_party;

use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{DiscoverableAuthentication, PasskeyRegistration};

pub use self::record::{PasskeyId, PasskeyKind, PasskeyRecord, credential_hash};
pub use self::relying_party::{InvalidOrigins, NotRegistered, NotVerified, RelyingParty};
use crate::user::UserId;

/// The most passkeys of a user.
pub const MOST_PASSKEYS: u8 = 10;

/// What a ceremony is for. The ticket of one is no good for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ceremony {
    /// A new passkey.
    Registration,
    /// Signing in with a passkey alone.
    SignIn,
    /// The second factor of a log-in.
    SecondFactor,
    /// Proving oneself again.
    StepUp,
}

impl Ceremony {
    /// Its name in the ticket.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "passkey.registration",
            Self::SignIn => "passkey.sign_in",
            Self::SecondFactor => "passkey.second_factor",
            Self::StepUp => "passkey.step_up",
        }
    }
}

/// What is kept of a registration between its two requests.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registering {
    /// Whose passkey it will be.
    pub user_id: UserId,
    /// The challenge, and what the options asked for.
    pub state: PasskeyRegistration,
}

/// What is kept of an authentication between its two requests.
#[derive(Debug, Serialize, Deserialize)]
pub struct Authenticating {
    /// Whose passkey is expected; none when it is the passkey that says who signs in.
    pub user_id: Option<UserId>,
    /// The challenge.
    pub state: DiscoverableAuthentication,
}
