//! A user: one person with one e-mail address.

use std::fmt;

use serde::{Deserialize, Serialize};
use shared::id::{Id, Kind, TenantId};
use shared::refusal::Refusal;
use shared::text::line;
use shared::time::Timestamp;

use crate::email::EmailAddress;
use crate::first_tenant::FirstTenant;
use crate::password::PasswordHash;

/// The kind of a user's id.
#[derive(Debug)]
pub enum UserKind {}
impl Kind for UserKind {
    const PREFIX: &'static str = "user";
}
/// The id of a user.
pub type UserId = Id<UserKind>;

/// What is stored of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// Where mail goes, as the user wrote it.
    pub email: EmailAddress,
    /// When the address was proved; an unproved one gives no access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified_at: Option<Timestamp>,
    /// What the user is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The password's hash; none for a user who signs in by other means only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// The second factors that are set up, so that a log-in asks for one.
    #[serde(default)]
    pub second_factors: SecondFactors,
    /// The tenant that a log-in names which names no other: the one that the user began in, or began in anew after they were
    /// removed from the last one. They may have been removed from it since. While the address is not proved it is that of a
    /// tenant of the user's own, which is not there yet.
    pub home_tenant_id: TenantId,
    /// What the sign-up asked for, until the address is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_tenant: Option<FirstTenant>,
    /// When the user signed up.
    pub created_at: Timestamp,
    /// When the record was last changed.
    pub updated_at: Timestamp,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

impl User {
    /// Whether the address was proved.
    pub const fn is_verified(&self) -> bool {
        self.email_verified_at.is_some()
    }

    /// The account without anything that a stranger may have chosen who signed up with the address: password, name, tenant.
    pub fn without_choices(self) -> Self {
        let first_tenant = self.first_tenant.map(|_| FirstTenant::Own { name: None });
        Self { password: None, name: None, first_tenant, ..self }
    }

    /// The record after a change at `now`.
    pub fn changed(self, now: Timestamp) -> Self {
        Self { updated_at: now, revision: self.revision + 1, ..self }
    }
}

/// Which second factors a user has set up. What they are made of is stored beside the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondFactors {
    /// Codes of an authenticator app.
    #[serde(default)]
    pub totp: bool,
    /// How many passkeys.
    #[serde(default)]
    pub passkeys: u8,
}

impl SecondFactors {
    /// Whether there is one.
    pub const fn any(self) -> bool {
        self.totp || self.passkeys > 0
    }
}

/// What a person or tenant is called: 1 to 100 characters on one line, without control or direction characters. Blanks at
/// its ends are cut off.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The longest name, in characters.
    pub const LONGEST: usize = 100;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is called nothing yet.
    pub fn unnamed() -> Self {
        Self("Unnamed".to_owned())
    }
}

impl TryFrom<String> for Name {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        line(&text, Self::LONGEST).map(|name| Self(name.to_owned()))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A name is personal data.
impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Name(…)")
    }
}

impl utoipa::PartialSchema for Name {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .min_length(Some(1))
            .max_length(Some(Self::LONGEST))
            .into()
    }
}
impl utoipa::ToSchema for Name {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_shows_what_it_is() {
        for good in ["A", "Zoë van der Meer", "李小龍", &"x".repeat(100)] {
            assert!(Name::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", " ", "a\nb", "a\0b", "\u{202e}abc", &"x".repeat(101)] {
            assert!(Name::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert_eq!(Name::try_from(" a ".to_owned()).map(String::from), Ok("a".to_owned()));
    }

    #[test]
    fn any_factor_counts() {
        assert!(!SecondFactors::default().any());
        assert!(SecondFactors { totp: true, passkeys: 0 }.any() && SecondFactors { totp: false, passkeys: 1 }.any());
    }
}
