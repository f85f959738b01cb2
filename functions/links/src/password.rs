//! The password of a protected link. Hashing and checking take about 25 ms of a whole core and 19 MiB: the caller runs
//! them where they do not hold up the async executor.

use std::fmt;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use shared::random::Random;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use shared::refusal::Refusal;

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

/// The argon2id hash of a password as a PHC string. It does not print.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// The hash could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashingFailed(#[from] argon2::password_hash::Error);

impl PasswordHash {
    /// Hashes `password` with 19 MiB, 2 passes and 1 lane (OWASP's recommendation for argon2id).
    pub fn of(password: &Password, random: &Random) -> Result<Self, HashingFailed> {
        let params = Params::new(19 * 1024, 2, 1, None).map_err(argon2::password_hash::Error::from)?;
        let salt: [u8; 16] = random.bytes();
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_with_salt(password.0.as_bytes(), &salt)?;
        Ok(Self(hash.to_string()))
    }

    /// Whether `candidate` is the password. Costs what hashing costs, except where no password can match.
    pub fn matches(&self, candidate: &str) -> bool {
        Password::try_from(candidate.to_owned()).is_ok()
            && Argon2::default().verify_password(candidate.as_bytes(), self.0.as_str()).is_ok()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn password(text: &str) -> Password {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn only_the_password_matches_its_hash() {
        let random = Random::seeded(1);
        let hash = PasswordHash::of(&password("correct horse"), &random).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(hash.matches("correct horse"));
        for wrong in ["Correct horse", "correct horse ", "", "x"] {
            assert!(!hash.matches(wrong), "{wrong}");
        }
        assert!(!hash.matches(&"x".repeat(1_000_000)));
        assert_ne!(hash, PasswordHash::of(&password("correct horse"), &random).unwrap());
        assert!(!PasswordHash("not a hash".to_owned()).matches("correct horse"));
    }

    #[test]
    fn neither_prints() {
        let hash = PasswordHash("secret".to_owned());
        assert!(!format!("{:?} {hash:?}", password("secret")).contains("secret"));
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(Password::try_from("abc".to_owned()).unwrap_err().code, "too_short");
        assert!(Password::try_from("ü".repeat(128)).is_ok());
        assert_eq!(Password::try_from("x".repeat(129)).unwrap_err().code, "too_long");
    }
}
