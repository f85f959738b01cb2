//! The messages, with what each is about.

use std::fmt;

use minijinja::{Value, context};
use serde::{Deserialize, Serialize};
use shared::time::{SignedDuration, Timestamp};
use url::Url;

use crate::mail::sanitize::words;
use crate::oauth::grant;

/// What a mail says.
///
/// A link is whole, with its one-time token; it is followed from a mail program, so that it must lead to a page that
/// asks before it does anything: scanners of mail open links, too.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// To a new address: confirm that it is yours.
    VerifyEmail {
        /// Where it is confirmed with a click.
        link: Url,
        /// What is entered instead.
        code: String,
        /// How long both work.
        valid_for: SignedDuration,
    },
    /// To the address of an account, with which somebody tried to sign up.
    AlreadyRegistered,
    /// To the address of an account, which was to become that of another account.
    AddressWanted,
    /// Choose a new password.
    ResetPassword {
        /// Where it is chosen.
        link: Url,
        /// How long the link works.
        valid_for: SignedDuration,
    },
    /// A notice: the password is another one.
    PasswordChanged {
        /// The change.
        occurrence: Occurrence,
    },
    /// Sign in without a password.
    SignInLink {
        /// Where one is signed in with a click.
        link: Url,
        /// What is entered instead.
        code: String,
        /// How long both work.
        valid_for: SignedDuration,
    },
    /// A notice to the old address: the account has another one. It does not name the new address, as the old mailbox
    /// may be somebody else's by now.
    EmailChanged {
        /// The change.
        occurrence: Occurrence,
    },
    /// A notice: somebody signed in from a device that was not seen before.
    NewSignIn {
        /// The sign-in.
        occurrence: Occurrence,
    },
    /// A notice: the password was used on a device that was not seen before, and the second factor was asked for.
    PasswordUsed {
        /// The log-in so far.
        occurrence: Occurrence,
    },
    /// A notice: a refresh token came a second time, so that its session was ended (RFC 9700, section 4.14.2).
    RefreshTokenReused {
        /// The second use.
        occurrence: Occurrence,
    },
    /// A notice: another second factor.
    SecondFactorChanged {
        /// What was done.
        change: FactorChange,
        /// To which factor.
        factor: Factor,
        /// What the user calls it.
        label: Option<String>,
        /// The change.
        occurrence: Occurrence,
    },
    /// A notice: the account of a provider was linked or unlinked.
    IdentityChanged {
        /// What was done: [`FactorChange::Added`] or [`FactorChange::Removed`].
        change: FactorChange,
        /// What the installation calls the provider.
        provider: String,
        /// The change.
        occurrence: Occurrence,
    },
    /// A notice: the user let an application in, or gave it more than it had.
    ConsentGiven {
        /// What its client is called.
        application: String,
        /// The client: by it the user ends its access.
        client_id: String,
        /// What the tenant is called in which it acts.
        tenant: String,
        /// All that it may do, by the names of the scopes.
        scopes: Vec<String>,
        /// The decision.
        occurrence: Occurrence,
    },
    /// A notice: the account is gone.
    AccountDeleted {
        /// The deletion.
        occurrence: Occurrence,
    },
}

/// When, with what and from where something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Occurrence {
    /// When.
    pub at: Timestamp,
    /// The device as people call it: `Firefox on Linux`. It may come from the client.
    pub device: String,
    /// The network's prefix, not the whole address: `203.0.113.0/24`. It must not come from the client.
    pub network: String,
}

/// What was done to a way of signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorChange {
    /// It is new.
    Added,
    /// It works no more.
    Removed,
    /// It works no more, and another one does.
    Replaced,
    /// One of several was used, and works no more.
    Used,
    /// It works no more, as there may be a copy of it.
    Blocked,
}

/// The kinds of second factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// Time-based codes (RFC 6238).
    AuthenticatorApp,
    /// A passkey or security key.
    Passkey,
    /// The codes for when all else is lost.
    RecoveryCodes,
}

/// Shows which message it is, without the link and the code.
impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Message({})", self.name())
    }
}

impl Message {
    /// The name of the message and of its templates.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::VerifyEmail { .. } => "verify_email",
            Self::AlreadyRegistered => "already_registered",
            Self::AddressWanted => "address_wanted",
            Self::ResetPassword { .. } => "reset_password",
            Self::PasswordChanged { .. } => "password_changed",
            Self::SignInLink { .. } => "sign_in_link",
            Self::EmailChanged { .. } => "email_changed",
            Self::NewSignIn { .. } => "new_sign_in",
            Self::PasswordUsed { .. } => "password_used",
            Self::RefreshTokenReused { .. } => "refresh_token_reused",
            Self::SecondFactorChanged { .. } => "second_factor_changed",
            Self::IdentityChanged { .. } => "identity_changed",
            Self::ConsentGiven { .. } => "consent_given",
            Self::AccountDeleted { .. } => "account_deleted",
        }
    }

    /// The subject.
    pub(super) fn subject(&self, product: &str) -> String {
        match self {
            Self::VerifyEmail { .. } => format!("Confirm your e-mail address for {product}"),
            Self::AlreadyRegistered => format!("You already have an account with {product}"),
            Self::AddressWanted => format!("Somebody wants to use your address with {product}"),
            Self::ResetPassword { .. } => format!("Reset your {product} password"),
            Self::PasswordChanged { .. } => format!("Your {product} password was changed"),
            Self::SignInLink { .. } => format!("Sign in to {product}"),
            Self::EmailChanged { .. } => format!("The e-mail address of your {product} account was changed"),
            Self::NewSignIn { .. } => format!("New sign-in to your {product} account"),
            Self::PasswordUsed { .. } => format!("Your {product} password was used on a new device"),
            Self::RefreshTokenReused { .. } => format!("A session of your {product} account was ended for safety"),
            Self::SecondFactorChanged { .. } => format!("The second factors of your {product} account were changed"),
            Self::IdentityChanged { .. } => format!("How you sign in to {product} was changed"),
            Self::ConsentGiven { .. } => format!("An application has access to your {product} account"),
            Self::AccountDeleted { .. } => format!("Your {product} account was deleted"),
        }
    }

    /// The values for the message's own templates.
    pub(super) fn values(&self) -> Value {
        match self {
            Self::AlreadyRegistered | Self::AddressWanted => context! {},
            Self::VerifyEmail { link, code, valid_for } | Self::SignInLink { link, code, valid_for } => {
                context! { link => link.as_str(), code => code.as_str(), valid_for => in_words(*valid_for) }
            }
            Self::ResetPassword { link, valid_for } => {
                context! { link => link.as_str(), valid_for => in_words(*valid_for) }
            }
            Self::PasswordChanged { occurrence }
            | Self::EmailChanged { occurrence }
            | Self::NewSignIn { occurrence }
            | Self::PasswordUsed { occurrence }
            | Self::RefreshTokenReused { occurrence }
            | Self::AccountDeleted { occurrence } => occurrence.values(),
            Self::SecondFactorChanged { change, factor, label, occurrence } => context! {
                change => change.in_words(),
                factor => factor.in_words(),
                label => label.as_deref().map(words),
                ..occurrence.values()
            },
            Self::IdentityChanged { change, provider, occurrence } => context! {
                change => change.in_words(),
                provider => words(provider),
                ..occurrence.values()
            },
            Self::ConsentGiven { application, client_id, tenant, scopes, occurrence } => context! {
                application => words(application),
                client_id => client_id.as_str(),
                tenant => words(tenant),
                scopes => scopes.iter().map(|scope| grant::in_words(scope)).collect::<Vec<_>>(),
                ..occurrence.values()
            },
        }
    }
}

impl Occurrence {
    fn values(&self) -> Value {
        context! {
            at => self.at.strftime("%-d %B %Y at %H:%M UTC").to_string(),
            device => words(&self.device),
            network => self.network.as_str(),
        }
    }
}

impl FactorChange {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Added => "Added",
            Self::Removed => "Removed",
            Self::Replaced => "Replaced",
            Self::Used => "One was used",
            Self::Blocked => "Blocked, as there may be a copy of it",
        }
    }
}

impl Factor {
    const fn in_words(self) -> &'static str {
        match self {
            Self::AuthenticatorApp => "authenticator app",
            Self::Passkey => "passkey",
            Self::RecoveryCodes => "recovery codes",
        }
    }
}

/// `24 hours`, `1 hour` or `10 minutes`; what is less than a minute is left out.
fn in_words(duration: SignedDuration) -> String {
    let minutes = duration.as_mins();
    let (count, unit) = if minutes >= 60 && minutes % 60 == 0 { (minutes / 60, "hour") } else { (minutes, "minute") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
