//! Hashes of passwords: argon2id (RFC 9106) as PHC strings
//! (<https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md>).
//!
//! A hash takes a core for about 20 ms and 19 MiB. So handlers make and check them by [`on_a_core`], off the async
//! executor and no more at once than there are cores, and the memory is kept for the next one ([`memory`]). What a
//! password may be is each service's own rule.

mod cores;
mod memory;

use std::fmt;

use argon2::password_hash::Error;
use argon2::password_hash::phc::{self, Output, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

pub use self::cores::on_a_core;
use crate::random::Random;

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
    Argon2(#[from] Error),
    /// The thread stopped before the end.
    #[error("the hashing of a password was stopped")]
    Stopped(#[from] tokio::task::JoinError),
}

/// How a hash is made: algorithm, parameters and salt, a PHC string without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe(phc::PasswordHash);

impl Recipe {
    /// The present parameters and a salt of 128 bits.
    pub fn draw(random: &Random) -> Result<Self, HashingFailed> {
        Ok(Self(recipe(&random.bytes())?))
    }

    /// A stored recipe of argon2 that asks for no more than a function can give; a hash in it is left out.
    pub fn parse(text: &str) -> Option<Self> {
        parse(text).map(|hash| Self(phc::PasswordHash { hash: None, ..hash }))
    }

    /// The hash of `secret`. Takes a core for about 20 ms.
    pub fn hash(&self, secret: &[u8]) -> Result<Output, HashingFailed> {
        Ok(compute(&self.0, secret)?)
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The argon2id hash of a password as a PHC string. It does not print.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes `password` with a salt of 128 bits and the present parameters. Takes a core for about 20 ms.
    pub fn of(password: &[u8], random: &Random) -> Result<Self, HashingFailed> {
        let recipe = Recipe::draw(random)?;
        let hash = Some(recipe.hash(password)?);
        Ok(Self(phc::PasswordHash { hash, ..recipe.0 }.to_string()))
    }

    /// Whether `password` is the one that was hashed, compared in constant time. Costs one argon2 with the parameters of
    /// the hash; nothing for a hash that is no argon2 hash or asks for too much (it is logged).
    pub fn matches(&self, password: &[u8]) -> bool {
        let Some(stored) = parse(&self.0) else {
            tracing::error!("a stored password hash cannot be used");
            return false;
        };
        let computed = compute(&stored, password).ok();
        // The comparison of two outputs takes the same time wherever they differ.
        computed.is_some() && computed == stored.hash
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

/// A stored PHC string of argon2 that asks for no more than a function can give.
fn parse(text: &str) -> Option<phc::PasswordHash> {
    let hash = phc::PasswordHash::new(text).ok()?;
    Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let params = Params::try_from(&hash).ok()?;
    (params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_PASSES).then_some(hash)
}

/// The present parameters with `salt`.
fn recipe(salt: &[u8; 16]) -> Result<phc::PasswordHash, Error> {
    Ok(phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: Params::new(MEMORY_KIB, PASSES, LANES, None)?.try_into()?,
        salt: Some(Salt::new(salt)?),
        hash: None,
    })
}

/// What `secret` hashes to by the recipe in `hash`.
fn compute(hash: &phc::PasswordHash, secret: &[u8]) -> Result<Output, Error> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = hash.version.map(Version::try_from).transpose()?;
    let params = Params::try_from(hash)?;
    let salt = hash.salt.as_ref().ok_or(Error::SaltInvalid)?;
    let (blocks, length) = (params.block_count(), params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN));
    let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
    let mut computed = [0; Output::MAX_LENGTH];
    let computed = computed.get_mut(..length).ok_or(Error::OutputSize)?;
    memory::with_blocks(blocks, |blocks| argon2.hash_password_into_with_memory(secret, salt, computed, blocks))?;
    Ok(Output::new(computed)?)
}

#[cfg(test)]
#[path = "password_hash/tests.rs"]
mod tests;
