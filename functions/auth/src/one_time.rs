//! One-time secrets: the links and codes that mail carries, and the tickets between two steps of a log-in.
//!
//! A ticket (`tf_ot_…`, 256 random bits) is stored by its hash and taken once, by a conditional delete. Six-digit codes are
//! short, so a code is bound to a ticket and its tries are counted; the hash of a code is salted with its ticket's.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;
use shared::id::TenantId;
use shared::random::Random;
use shared::time::{SignedDuration, Timestamp};

use crate::email::EmailAddress;
use crate::password::PasswordHash;
use crate::session::{Device, SessionId};
use crate::throttle::KnownDevice;
use crate::user::UserId;

const PREFIX: &str = "tf_ot_";
const SECRET: usize = 32;
/// Digits of a code that is typed by hand.
const CODE_DIGITS: usize = 6;
/// How often a code may be tried wrongly before its ticket is void: 5 of 1,000,000.
pub const CODE_TRIES: u32 = 5;

/// A ticket, secret included. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket([u8; SECRET]);

/// What a ticket is stored under: the SHA-256 of its secret, base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TicketHash(String);

/// A text is not a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not have the form of a one-time token")]
pub struct InvalidTicket;

/// What is stored of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTime {
    /// What it is good for.
    pub purpose: Purpose,
    /// Until when.
    pub expires_at: Timestamp,
    /// The hash of the code that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeHash>,
}

/// What a ticket is good for. Each route takes tickets of its own purpose only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Purpose {
    /// Proves that mail to `email` arrives: to the user's address, or to the one that it is to be changed to.
    VerifyEmail {
        /// Whose.
        user_id: UserId,
        /// The address that is proved.
        email: EmailAddress,
        /// Of which change it is a part. None: the address is the user's, and void when it is not any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<AddressChange>,
    },
    /// Sets a new password.
    ResetPassword {
        /// Whose.
        user_id: UserId,
        /// The address that the mail went to: void when the user has another by now.
        email: EmailAddress,
        /// What the password was: void when it is another by now.
        before: PasswordSeal,
    },
    /// Logs in whoever holds the mail: by its code with the ticket of who asked for it, or by its link. `user_id` is none
    /// for an address without an account, whose ticket never works.
    PasswordlessSignIn {
        /// Whose.
        user_id: Option<UserId>,
        /// Of a link: the ticket of who asked, which is used up with it. So a mail signs in once, by the link or by the code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_by: Option<TicketHash>,
        /// The hash of the address: what tries of the code are counted under, as a ticket is had for the asking.
        address: String,
        /// The tenant asked for.
        tenant_id: Option<TenantId>,
    },
    /// The first factor was proved; the second is to come.
    SecondFactor {
        /// Whose.
        user_id: UserId,
        /// The tenant asked for.
        tenant_id: Option<TenantId>,
        /// How the first was proved (RFC 8176).
        methods: Vec<String>,
        /// Where from.
        device: Device,
        /// What the password was: void when it is another by now, as after a reset.
        password: PasswordSeal,
        /// The device that signed in before, whose wrong tries are counted apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        known_device: Option<KnownDevice>,
    },
    /// A ceremony whose state the server keeps: the options of a passkey's registration or log-in, a social log-in under
    /// way, or its result until the client fetches it. `state` is the JSON of whoever began it.
    Ceremony {
        /// Which ceremony.
        ceremony: String,
        /// Its state.
        state: String,
    },
}

/// A change of a user's address that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressChange {
    /// The session that asked. When it is over the change is void: whoever took an account over for a while leaves none
    /// behind.
    pub session_id: SessionId,
    /// The address that is replaced. When the user has another by now the change is void.
    pub from: EmailAddress,
}

/// Which password a user has, without telling it: the SHA-256 of its hash, base64url; none without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordSeal(Option<String>);

impl PasswordSeal {
    /// That of a stored password.
    pub fn of(password: Option<&PasswordHash>) -> Self {
        Self(password.map(|hash| sha256_base64url(hash.expose())))
    }

    /// The text; `-` without a password.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("-")
    }
}

impl Purpose {
    /// How long a ticket of this purpose is good for.
    pub const fn lifetime(&self) -> SignedDuration {
        match self {
            Self::VerifyEmail { .. } => SignedDuration::from_hours(48),
            Self::ResetPassword { .. } => SignedDuration::from_hours(1),
            Self::PasswordlessSignIn { .. } | Self::Ceremony { .. } => SignedDuration::from_mins(10),
            Self::SecondFactor { .. } => SignedDuration::from_mins(5),
        }
    }
}

impl OneTime {
    /// A ticket for `purpose`, beginning now.
    pub fn new(purpose: Purpose, now: Timestamp) -> Self {
        let expires_at = now.checked_add(purpose.lifetime()).unwrap_or(now);
        Self { purpose, expires_at, code: None }
    }

    /// The same with a code.
    pub fn with_code(self, ticket: &TicketHash, code: &Code) -> Self {
        Self { code: Some(code.hash(ticket)), ..self }
    }
}

impl Ticket {
    /// A new ticket.
    pub fn draw(random: &Random) -> Self {
        Self(random.bytes())
    }

    /// The text, for whom it is meant.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }

    /// What it is stored under.
    pub fn hash(&self) -> TicketHash {
        TicketHash(sha256_base64url(self.0.as_slice()))
    }
}

impl TicketHash {
    /// What a code is stored under that goes with an address instead of a ticket: whoever reads the mail types both.
    pub fn of_address(purpose: &str, address: &EmailAddress) -> Self {
        Self(format!("{purpose}#{}", address.hash()))
    }

    /// The same among the tickets of one function, whose keys begin alike: its role lets it touch no others.
    pub fn among_those_of(self, function: &str) -> Self {
        Self(format!("{function}#{}", self.0))
    }

    /// The text, for keys.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        let secret = text.strip_prefix(PREFIX).and_then(|secret| URL_SAFE_NO_PAD.decode(secret).ok());
        secret.and_then(|secret| secret.try_into().ok()).map(Self).ok_or(InvalidTicket)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ticket(…)")
    }
}

/// A code of six digits. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

/// The hash of a code, bound to its ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CodeHash(String);

impl Code {
    /// A new code.
    pub fn draw(random: &Random) -> Self {
        Self(random.text(b"0123456789", CODE_DIGITS))
    }

    /// What a person typed: blanks and dashes do not count.
    pub fn typed(text: &str) -> Self {
        Self(text.chars().filter(|character| !character.is_whitespace() && *character != '-').take(16).collect())
    }

    /// The digits, for whom they are meant.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn hash(&self, ticket: &TicketHash) -> CodeHash {
        let key = hmac::Key::new(hmac::HMAC_SHA256, ticket.0.as_bytes());
        CodeHash(URL_SAFE_NO_PAD.encode(hmac::sign(&key, self.0.as_bytes())))
    }

    /// Whether it is the code of `ticket` with this hash, in constant time.
    pub fn matches(&self, ticket: &TicketHash, hash: &CodeHash) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.hash(ticket).0.as_bytes(), hash.0.as_bytes()).into()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Code(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ticket_is_read_back_and_does_not_print() {
        let ticket = Ticket::draw(&Random::seeded(1));
        assert_eq!(ticket.expose().parse::<Ticket>().unwrap(), ticket);
        assert!(!format!("{ticket:?}").contains(&ticket.expose()));
        for bad in ["", "tf_ot_", "tf_ot_abc", "x"] {
            assert_eq!(bad.parse::<Ticket>(), Err(InvalidTicket), "{bad}");
        }
    }

    #[test]
    fn a_code_matches_with_its_ticket_alone() {
        let random = Random::seeded(2);
        let (one, other) = (Ticket::draw(&random).hash(), Ticket::draw(&random).hash());
        let code = Code::draw(&random);
        assert!(code.expose().len() == 6 && code.expose().bytes().all(|byte| byte.is_ascii_digit()));
        let hash = code.hash(&one);
        let spaced = format!(" {} {}", &code.expose()[..3], &code.expose()[3..]);
        assert!(Code::typed(&spaced).matches(&one, &hash));
        assert!(!code.matches(&other, &hash) && !Code::typed("").matches(&one, &hash));
    }
}
