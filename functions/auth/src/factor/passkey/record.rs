//! What is kept of a passkey.

use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;
use shared::id::{Id, Kind};
use shared::time::Timestamp;
use webauthn_rs::prelude::{AuthenticationResult, Credential, Passkey};

use crate::user::{Name, UserId};

/// The kind of a passkey's id.
#[derive(Debug)]
pub enum PasskeyKind {}
impl Kind for PasskeyKind {
    const PREFIX: &'static str = "passkey";
}
/// The id of a passkey, by which its user manages it. The authenticator has one of its own, the credential id.
pub type PasskeyId = Id<PasskeyKind>;

/// A passkey.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PasskeyRecord {
    /// The id.
    pub id: PasskeyId,
    /// Whose it is.
    pub user_id: UserId,
    /// What the user calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The public key with its counter.
    #[serde(with = "json_text")]
    pub credential: Passkey,
    /// Rises when the credential changes (its counter, or that it is backed up now); conditions name it. An authenticator
    /// that does not count, as those do that synchronise, can be used twice at once.
    pub credential_version: u64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When somebody last signed in with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
    /// When its counter went back, so that there may be a copy of it. It is not accepted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloned_at: Option<Timestamp>,
}

impl PasskeyRecord {
    /// A new passkey.
    pub fn new(id: PasskeyId, user_id: UserId, name: Option<Name>, credential: Passkey, now: Timestamp) -> Self {
        Self {
            id,
            user_id,
            name,
            credential,
            credential_version: 1,
            created_at: now,
            last_used_at: None,
            cloned_at: None,
        }
    }

    /// The hash of the credential id.
    pub fn credential_hash(&self) -> String {
        credential_hash(self.credential.cred_id())
    }

    /// The record after it was used at `now` with this result.
    pub fn used(mut self, result: &AuthenticationResult, now: Timestamp) -> Self {
        if self.credential.update_credential(result) == Some(true) {
            self.credential_version += 1;
        }
        self.last_used_at = Some(now);
        self
    }

    /// Whether its authenticator says that there is a backup of it now.
    pub fn is_backed_up(&self) -> bool {
        Credential::from(self.credential.clone()).backup_state
    }

    /// Where its private key is, in the words of RFC 8176: `hwk` when it cannot leave its authenticator, `swk` when it may
    /// be synchronised. It is what the authenticator says: attestation is not asked for.
    pub fn method(&self) -> &'static str {
        if Credential::from(self.credential.clone()).backup_eligible { "swk" } else { "hwk" }
    }
}

/// The SHA-256 of a credential id, base64url: ids have up to 1,023 bytes.
pub fn credential_hash(id: &[u8]) -> String {
    sha256_base64url(id)
}

/// A value as JSON text: the library's own form, which is nobody else's to look into.
mod json_text {
    use serde::de::{DeserializeOwned, Error as _};
    use serde::ser::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<T: serde::Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(value).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
