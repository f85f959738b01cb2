//! The ring of keys that sign access tokens: which one signs, which ones verify, and when that changes.
//!
//! | state | in the public key set | signs | becomes |
//! |---|---|---|---|
//! | next | yes | no | current, when the current key has signed for [`SIGNS_FOR`], and after [`PUBLISHED_BEFORE`] at the earliest |
//! | current | yes | yes | retiring, when the next key takes over |
//! | retiring | yes | no | gone, after [`VERIFIES_FOR`]: by then every token of it has expired |
//!
//! A ring has one current and one next key at all times. So a verifier knows each key before it signs and for as long as
//! a token of it lives; the exceptions are the first ring, and the one after a compromise: whoever has one key may have
//! those beside which it was sealed and kept, so that all are new then, and what the old ones signed is refused on purpose.
//! This module is the rules alone; [`seal`] keeps the private halves secret, and [`vault`] stores the ring.

pub mod seal;
#[cfg(test)]
mod tests;
pub mod vault;

use serde::{Deserialize, Serialize};
use shared::identity::token::{ACCESS_TOKEN_LIFETIME, KeySet, PublicKey};
use shared::time::{SignedDuration, Timestamp};

use crate::seal::Sealed;

/// How long a key is public before it signs. Verifiers read the key set each half minute; foreign ones may keep it for
/// five minutes.
pub const PUBLISHED_BEFORE: SignedDuration = SignedDuration::from_hours(1);

/// How long a key signs.
pub const SIGNS_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long a key stays public after it was told to sign no more: the life of a token, and an hour for the instances
/// that have not heard of it yet and for clocks that disagree.
pub const VERIFIES_FOR: SignedDuration = SignedDuration::from_secs(ACCESS_TOKEN_LIFETIME.as_secs() + 60 * 60);

/// A key pair: the public half, and the private half sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// The public half.
    pub public: PublicKey,
    /// The private half.
    pub sealed: Sealed,
}

/// The key that signs next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The key.
    pub key: KeyPair,
    /// When it was made and published.
    pub created_at: Timestamp,
}

/// The key that signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// The key.
    pub key: KeyPair,
    /// When it was made and published.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub signs_since: Timestamp,
}

/// A key that signs no more. Its private half is forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retiring {
    /// What verifies its last tokens.
    pub public: PublicKey,
    /// When it was made and published.
    pub created_at: Timestamp,
    /// When it began to sign.
    pub signs_since: Timestamp,
    /// When another took over.
    pub retired_at: Timestamp,
}

/// The keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRing {
    /// Signs next.
    pub next: Next,
    /// Signs.
    pub current: Current,
    /// Verify the tokens that they signed. A handful at most: each rotation that keeps the old key is an hour after the
    /// one before.
    pub retiring: Vec<Retiring>,
}

/// Why a rotation is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The clock: it takes place when the current key has signed for [`SIGNS_FOR`].
    Due,
    /// Somebody asked: it takes place now, if the next key has been public for long enough.
    Asked,
    /// Others may have a key: all are new, and what any of the old ones signed is refused from now on.
    Compromised,
}

/// The next key has not been public for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the next key may not sign before {ready_at}, as verifiers may not know it yet; `compromised` does not wait")]
pub struct TooEarly {
    /// When it may.
    pub ready_at: Timestamp,
}

impl KeyRing {
    /// A ring of new keys alone. Its current key signs at once: there is no other.
    pub fn new(now: Timestamp, current: KeyPair, next: KeyPair) -> Self {
        Self {
            next: Next { key: next, created_at: now },
            current: Current { key: current, created_at: now, signs_since: now },
            retiring: Vec::new(),
        }
    }

    /// The ring with all that is due at `now` and all that `reason` demands; of `new` the first is the next key after a
    /// rotation, and both are the ring when the keys before are compromised. None when there is nothing to do.
    pub fn rotate(&self, now: Timestamp, new: [KeyPair; 2], reason: Reason) -> Result<Option<Self>, TooEarly> {
        let [new, other] = new;
        let age = |since: Timestamp| now.duration_since(since);
        let ready = age(self.next.created_at) >= PUBLISHED_BEFORE;
        let mut retiring = self.retiring.clone();
        retiring.retain(|key| age(key.retired_at) < VERIFIES_FOR);
        let rotates = match reason {
            Reason::Due => ready && age(self.current.signs_since) >= SIGNS_FOR,
            Reason::Asked if !ready => {
                let ready_at = self.next.created_at.checked_add(PUBLISHED_BEFORE).unwrap_or(Timestamp::MAX);
                return Err(TooEarly { ready_at });
            }
            Reason::Asked => true,
            Reason::Compromised => return Ok(Some(Self::new(now, other, new))),
        };
        if !rotates {
            let dropped = retiring.len() < self.retiring.len();
            return Ok(dropped.then(|| Self { retiring, ..self.clone() }));
        }
        retiring.push(self.current.retired(now));
        let Next { key, created_at } = self.next.clone();
        let current = Current { key, created_at, signs_since: now };
        Ok(Some(Self { next: Next { key: new, created_at: now }, current, retiring }))
    }

    /// A ring in place of one whose private halves do not open any more: what its current key signed stays valid.
    pub fn replaced(&self, now: Timestamp, current: KeyPair, next: KeyPair) -> Self {
        let mut ring = Self::new(now, current, next);
        ring.retiring.clone_from(&self.retiring);
        ring.retiring.push(self.current.retired(now));
        ring
    }

    /// Whether a rotation for `reason`, meant for the ring whose current key was `kid`, has taken place.
    pub fn is_after(&self, reason: Reason, kid: &str) -> bool {
        match reason {
            Reason::Due | Reason::Asked => self.current.key.public.kid != kid,
            // Another rotation would still have it verify.
            Reason::Compromised => self.public().keys.iter().all(|key| key.kid != kid),
        }
    }

    /// What verifiers know.
    pub fn public(&self) -> KeySet {
        let signing = [&self.current.key.public, &self.next.key.public];
        KeySet { keys: signing.into_iter().chain(self.retiring.iter().map(|key| &key.public)).cloned().collect() }
    }

    /// The states and times of all keys, the next one first, for whoever runs the deployment.
    pub fn status(&self) -> Vec<KeyStatus> {
        let Self { next, current, retiring } = self;
        let status = |state, public: &PublicKey, created_at| KeyStatus {
            kid: public.kid.clone(),
            state,
            created_at,
            signs_since: None,
            retired_at: None,
        };
        let mut all = vec![
            status("next", &next.key.public, next.created_at),
            KeyStatus {
                signs_since: Some(current.signs_since),
                ..status("current", &current.key.public, current.created_at)
            },
        ];
        all.extend(retiring.iter().map(|key| KeyStatus {
            signs_since: Some(key.signs_since),
            retired_at: Some(key.retired_at),
            ..status("retiring", &key.public, key.created_at)
        }));
        all
    }
}

impl Current {
    fn retired(&self, now: Timestamp) -> Retiring {
        let Self { key, created_at, signs_since } = self;
        Retiring { public: key.public.clone(), created_at: *created_at, signs_since: *signs_since, retired_at: now }
    }
}

/// What may be told of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// Its id.
    pub kid: String,
    /// `next`, `current` or `retiring`.
    pub state: &'static str,
    /// When it was made and published.
    pub created_at: Timestamp,
    /// When it began to sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signs_since: Option<Timestamp>,
    /// When another took over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
}
