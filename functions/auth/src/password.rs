//! Passwords: what may be chosen, how one is kept, and how one is checked without telling more than yes or no.
//!
//! The rules are those of NIST SP 800-63B (revision 3), section 5.1.1.2: length alone, any characters, and neither a
//! common password (`common`) nor the user's own data (`own_data`). What is kept is an argon2id hash
//! ([`shared::password_hash`]).

mod common;
mod own_data;

use std::fmt;

use serde::Deserialize;
use shared::random::Random;
use shared::refusal::Refusal;
use unicode_normalization::UnicodeNormalization as _;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use zeroize::Zeroizing;

pub use shared::password_hash::{HashingFailed, PasswordHash, on_a_core};

/// Characters of a password, in Unicode normalisation form KC.
pub const LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;

/// A password in clear, in Unicode normalisation form KC, so that every keyboard writes the same one. It does not
/// print, and its memory is overwritten when it is dropped.
///
/// Deserialised it is [`Password::offered`]; where it is to become a user's password, [`Password::check_choice`]
/// follows.
#[derive(Clone, Deserialize)]
#[serde(from = "Sent")]
pub struct Password(Zeroizing<String>);

/// A password as it was sent.
#[derive(Deserialize)]
#[serde(transparent)]
struct Sent(String);

impl From<Sent> for Password {
    fn from(sent: Sent) -> Self {
        Self::offered(&Zeroizing::new(sent.0))
    }
}

impl Password {
    /// A password that a user chooses. `context` is what others know of the user: e-mail address, name, the service's
    /// name.
    ///
    /// # Errors
    /// `too_short`, `too_long`, `common` (one that attackers try first) or `own_data` (hardly more than an entry of
    /// `context`).
    pub fn chosen(text: &str, context: &[&str]) -> Result<Self, Refusal> {
        let password = Self::offered(text);
        password.check_choice(context)?;
        Ok(password)
    }

    /// A password that somebody signs in with. One that nobody can have chosen is checked like any other, so that it
    /// takes as long, and never matches: a longer one is cut to one character more than a chosen one can have.
    pub fn offered(text: &str) -> Self {
        // With room for all of it from the start, so that growing leaves no copy in freed memory.
        let mut normalised = Zeroizing::new(String::with_capacity(4 * (LENGTHS.end() + 1)));
        normalised.extend(text.nfkc().take(LENGTHS.end() + 1));
        Self(normalised)
    }

    /// Whether it may be chosen by the user of whom `context` is known: see [`Password::chosen`].
    pub fn check_choice(&self, context: &[&str]) -> Result<(), Refusal> {
        let length = self.0.chars().count();
        if length < *LENGTHS.start() {
            return Err(Refusal::new("too_short", format!("must have at least {} characters", LENGTHS.start())));
        }
        if length > *LENGTHS.end() {
            return Err(Refusal::new("too_long", format!("may have at most {} characters", LENGTHS.end())));
        }
        let folded = Zeroizing::new(self.0.to_lowercase());
        if own_data::is_own_data(&folded, context) {
            return Err(Refusal::new(
                "own_data",
                "is too close to your e-mail address, your name or the service's name",
            ));
        }
        if common::is_common(&folded) {
            return Err(Refusal::new("common", "is one of the passwords that attackers try first"));
        }
        Ok(())
    }

    /// Its hash, made on a core of its own.
    pub async fn hashed(&self, random: &Random) -> Result<PasswordHash, HashingFailed> {
        let (password, random) = (self.clone(), random.clone());
        on_a_core(move || PasswordHash::of(password.0.as_bytes(), &random)).await?
    }

    /// Whether it is the one that was hashed, found out on a core of its own. It takes as long for a password that nobody
    /// can have chosen.
    pub async fn matches(&self, hash: PasswordHash) -> Result<bool, HashingFailed> {
        let password = self.clone();
        Ok(on_a_core(move || hash.matches(password.0.as_bytes()) && password.has_allowed_length()).await?)
    }

    /// Whether a user can have chosen it by its length.
    fn has_allowed_length(&self) -> bool {
        LENGTHS.contains(&self.0.chars().count())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

impl utoipa::PartialSchema for Password {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .min_length(Some(*LENGTHS.start()))
            .max_length(Some(*LENGTHS.end()))
            .write_only(true)
            .examples(["walnut-harbour-sixteen"])
            .into()
    }
}

impl utoipa::ToSchema for Password {
    /// Links have passwords, too.
    fn name() -> std::borrow::Cow<'static, str> {
        "AccountPassword".into()
    }
}

#[cfg(test)]
#[path = "password/tests.rs"]
mod tests;
