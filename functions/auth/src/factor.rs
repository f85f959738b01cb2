//! Second factors and passkeys: time-based codes, recovery codes, passkeys.
//!
//! Codes are a second factor after a password or a link by mail. A passkey is both factors at once, as its authenticator
//! verifies the user: it signs in alone, and stands for the second factor as well. Recovery codes are made with a user's
//! first factor and go with the last one.

pub mod passkey;
pub mod recovery;
pub mod totp;

use serde::{Deserialize, Serialize};
use shared::time::{SignedDuration, Timestamp};

use self::recovery::RecoveryCodes;
use crate::seal::Sealed;

/// How long an authenticator app that was begun to be set up can be confirmed.
pub const ENROLMENT_LIFETIME: SignedDuration = SignedDuration::from_mins(15);

/// What a session says of a second factor that was proved in it (RFC 8176: multiple-factor authentication).
pub const MULTI_FACTOR: &str = "mfa";
/// The method of a code of an authenticator app (RFC 8176).
pub const ONE_TIME_PASSWORD: &str = "otp";
/// The method of a recovery code. RFC 8176 has no name for it; this one is Tenfold's own.
pub const RECOVERY: &str = "recovery";

/// An authenticator app that is set up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TotpRecord {
    /// What its codes are made from: a [`totp::TotpSecret`].
    pub secret: Sealed,
    /// The step of the code that was used last: neither it nor one before is accepted again.
    pub last_used_step: u64,
    /// When it was set up.
    pub created_at: Timestamp,
}

/// An authenticator app whose first code has yet to be seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingTotp {
    /// What its codes are made from: a [`totp::TotpSecret`].
    pub secret: Sealed,
    /// Until when it can be confirmed.
    pub expires_at: Timestamp,
}

/// A user's recovery codes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecoveryRecord {
    /// The hashes of those that are left.
    pub codes: RecoveryCodes,
    /// When the set was made: what tells it from another.
    pub created_at: Timestamp,
}
