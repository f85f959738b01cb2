//! The password of a protected link: what it may be, and how it is hashed and checked ([`shared::password_hash`]).

use std::fmt;

use serde::Deserialize;
use shared::password_hash::{HashingFailed, PasswordHash, on_a_core};
use shared::random::Random;
use shared::refusal::Refusal;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

/// Characters of a password.
const LENGTHS: std::ops::RangeInclusive<usize> = 4..=128;

/// A password in clear: 4 to 128 characters. It does not print.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

impl TryFrom<String> for Password {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let length = text.chars().count();
        if length < *LENGTHS.start() {
            Err(Refusal::new("too_short", format!("must have at least {} characters", LENGTHS.start())))
        } else if length > *LENGTHS.end() {
            Err(Refusal::new("too_long", format!("may have at most {} characters", LENGTHS.end())))
        } else {
            Ok(Self(text))
        }
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
            .into()
    }
}

impl utoipa::ToSchema for Password {}

impl Password {
    /// Its hash, made on a core of its own.
    pub async fn hashed(&self, random: &Random) -> Result<PasswordHash, HashingFailed> {
        let (password, random) = (self.clone(), random.clone());
        on_a_core(move || password.hash(&random)).await?
    }

    pub(crate) fn hash(&self, random: &Random) -> Result<PasswordHash, HashingFailed> {
        PasswordHash::of(self.0.as_bytes(), random)
    }
}

/// Whether `candidate`, any text, is the password that was hashed, found out on a core of its own: at no cost where no
/// password can match.
pub async fn matches(hash: PasswordHash, candidate: String) -> Result<bool, HashingFailed> {
    let Ok(candidate) = Password::try_from(candidate) else { return Ok(false) };
    Ok(on_a_core(move || hash.matches(candidate.0.as_bytes())).await?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn password(text: &str) -> Password {
        text.to_owned().try_into().unwrap()
    }

    #[tokio::test]
    async fn only_the_password_matches_its_hash() {
        let hash = password("correct horse").hashed(&Random::seeded(1)).await.unwrap();
        assert!(matches(hash.clone(), "correct horse".to_owned()).await.unwrap());
        for wrong in ["Correct horse", "correct horse ", "", "x", &"x".repeat(1_000_000)] {
            assert!(!matches(hash.clone(), wrong.to_owned()).await.unwrap(), "{wrong}");
        }
    }

    #[test]
    fn it_does_not_print() {
        assert!(!format!("{:?}", password("secret")).contains("secret"));
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(Password::try_from("abc".to_owned()).unwrap_err().code, "too_short");
        assert!(Password::try_from("ü".repeat(128)).is_ok());
        assert_eq!(Password::try_from("x".repeat(129)).unwrap_err().code, "too_long");
    }
}
