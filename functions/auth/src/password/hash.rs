//! The hash of a password: argon2id (RFC 9106) as a PHC string.

use std::fmt;

use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use shared::random::Random;

use super::Password;

/// Memory of one hash in KiB. With the passes and lanes below it is what OWASP's Password Storage Cheat Sheet asks of
/// argon2id at least.
pub const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
pub const PASSES: u32 = 2;
/// Lanes: one core makes a hash.
pub const LANES: u32 = 1;

/// What a stored hash may ask for at most: 256 MiB and ten passes. One that asks for more was not made here, and would
/// take the function's memory or time.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 10;

/// The hash could not be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashingFailed {
    /// argon2 refused its input.
    #[error("the password could not be hashed")]
    Argon2(#[from] argon2::password_hash::Error),
    /// The thread stopped before the end.
    #[error("the hashing of a password was stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

/// The argon2id hash of a password as a PHC string. It does not print.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes `password` with a salt of 128 bits and the present parameters. Takes a core for about 25 ms.
    pub fn of(password: &Password, random: &Random) -> Result<Self, HashingFailed> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(argon2::password_hash::Error::from)?;
        let argon2id = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let salt: [u8; 16] = random.bytes();
        Ok(Self(argon2id.hash_password_with_salt(password.as_bytes(), &salt)?.to_string()))
    }

    /// Whether `password` is the one that was hashed. Costs one argon2 with the parameters of the hash, also for a
    /// password that nobody can have chosen; nothing for a hash that is no argon2 hash or asks for too much (it is
    /// logged).
    pub fn verify(&self, password: &Password) -> bool {
        let Some(hash) = parse(&self.0) else {
            tracing::error!("a stored password hash cannot be used");
            return false;
        };
        let matches = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        matches && password.has_allowed_length()
    }

    /// Whether it is weaker than a new one would be, or made in another way: to be replaced at the next log-in.
    pub fn needs_rehash(&self) -> bool {
        let Some(hash) = parse(&self.0) else { return true };
        let is_present = |params: &Params| {
            hash.algorithm == Algorithm::Argon2id.ident()
                && hash.version == Some(Version::V0x13.into())
                && params.m_cost() >= MEMORY_KIB
                && params.t_cost() >= PASSES
        };
        !Params::try_from(&hash).is_ok_and(|params| is_present(&params))
    }

    /// A hash with the present parameters that no password matches: what is checked where there is no user, so that the
    /// answer takes as long. Salt and hash are zeros, which shows that nobody knows a password for it.
    pub fn decoy() -> Self {
        let (salt, hash) = ("A".repeat(22), "A".repeat(43));
        Self(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}"))
    }

    /// The PHC string: for what stores it in another form, and for measurements against plain argon2.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PasswordHash(…)")
    }
}

/// How a hash is made now: argon2id with the present parameters and `salt`, without a hash.
pub(crate) fn recipe(salt: phc::Salt) -> Result<phc::PasswordHash, argon2::password_hash::Error> {
    Ok(phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: Params::new(MEMORY_KIB, PASSES, LANES, None)?.try_into()?,
        salt: Some(salt),
        hash: None,
    })
}

/// A stored PHC string of argon2 that asks for no more than a function can give.
pub(crate) fn parse(text: &str) -> Option<phc::PasswordHash> {
    let hash = phc::PasswordHash::new(text).ok()?;
    Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let params = Params::try_from(&hash).ok()?;
    (params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_PASSES).then_some(hash)
}
