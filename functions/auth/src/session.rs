//! A session: what a log-in makes, and the family of refresh tokens that keeps it alive.
//!
//! A refresh token is used once: each use makes its successor. What [`Session::judge`] says of one:
//!
//! | presented token | what is done |
//! |---|---|
//! | the newest of the family | it is rotated: its successor is the newest now |
//! | the one before, within [`RACE_WINDOW`] of its use | the same successor again: two tabs, or a client whose answer was lost |
//! | any other of the family | replayed: the session ends (RFC 9700, section 4.14.2) |
//! | one that was made up | refused, and nothing else: ids alone end nobody's session |
//!
//! What tells a token of the family from one that was made up is a text that all of the family have in common.
//!
//! Only hashes are stored. The successor can be answered a second time because it is computed: an HMAC of the presented
//! secret under a random salt that each rotation draws and stores. Whoever reads the table knows salt and hashes, and from
//! these neither secret can be had.

mod refresh_token;

use serde::{Deserialize, Serialize};
use shared::id::{Id, Kind, TenantId};
use shared::random::Random;
use shared::time::{SignedDuration, Timestamp};

pub use self::refresh_token::{InvalidRefreshToken, RefreshToken, TokenHash};
use crate::oauth::client::ClientId;
use crate::oauth::grant::Application;
use crate::tenant::Settings;
use crate::user::UserId;

/// How long after its use a refresh token is answered again with the same successor.
pub const RACE_WINDOW: SignedDuration = SignedDuration::from_secs(10);

/// The kind of a session's id.
#[derive(Debug)]
pub enum SessionKind {}
impl Kind for SessionKind {
    const PREFIX: &'static str = "session";
}
/// The id of a session.
pub type SessionId = Id<SessionKind>;

/// What is stored of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The id: `sid` of its access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// The tenant that its tokens name.
    pub tenant_id: TenantId,
    /// The application that has its tokens; none for the service's own log-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Application>,
    /// Where it was begun, for the user to recognise.
    pub device: Device,
    /// How the user proved themselves: values of RFC 8176 (`pwd`, `otp`, `hwk`, `swk`, `mfa`, …).
    pub methods: Vec<String>,
    /// When the user last proved themselves.
    pub authenticated_at: Timestamp,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its tokens were last refreshed.
    pub last_used_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
    /// When it ends if it is not used.
    pub idle_expires_at: Timestamp,
    /// What all its refresh tokens have in common.
    pub family: TokenHash,
    /// The newest refresh token.
    pub current: TokenHash,
    /// The one before, and what makes its successor from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Rotated>,
    /// Rises with each change; conditions name it.
    pub revision: u64,
}

/// A refresh token that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    hash: TokenHash,
    /// What makes the successor from the token.
    salt: String,
    at: Timestamp,
}

/// Where a session was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What the `User-Agent` says, in short: at most 200 printable characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The network: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// What a presented refresh token is to the session that it names.
#[derive(Debug)]
pub enum Standing {
    /// The newest: to be rotated ([`Session::rotated`]).
    Newest,
    /// Just used: its successor, which is answered again. Nothing is to be stored.
    JustUsed(RefreshToken),
    /// Used before: the session is to be ended.
    Replayed,
    /// The session never had it: somebody made it up.
    Foreign,
    /// The session's time is over.
    Over,
}

/// What begins a session.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Whose it is.
    pub user_id: UserId,
    /// The tenant that its tokens name.
    pub tenant_id: TenantId,
    /// Where from.
    pub device: Device,
    /// How the user proved themselves (RFC 8176).
    pub methods: Vec<String>,
}

impl Session {
    /// Begins a session.
    pub fn begin(new: NewSession, settings: &Settings, now: Timestamp, random: &Random) -> (Self, RefreshToken) {
        let id = SessionId::new(now, random);
        let token = RefreshToken::first(new.user_id, id, random);
        let expires_at = settings.session_ends(now);
        let session = Self {
            id,
            user_id: new.user_id,
            tenant_id: new.tenant_id,
            application: None,
            device: new.device,
            methods: new.methods,
            authenticated_at: now,
            created_at: now,
            last_used_at: now,
            expires_at,
            idle_expires_at: settings.idle_ends(now).min(expires_at),
            family: token.family(),
            current: token.hash(),
            previous: None,
            revision: 1,
        };
        (session, token)
    }

    /// Begins a session for an application, by a user who has one: it rests on the same proof. It has no tokens before it
    /// is [opened](Self::opened), and ends when that does not happen until `end`.
    pub fn begin_for(
        application: Application,
        tenant_id: TenantId,
        by: &Self,
        end: Timestamp,
        now: Timestamp,
        random: &Random,
    ) -> Self {
        let id = SessionId::new(now, random);
        // Nobody gets this one.
        let token = RefreshToken::first(by.user_id, id, random);
        Self {
            id,
            user_id: by.user_id,
            tenant_id,
            application: Some(application),
            device: by.device.clone(),
            methods: by.methods.clone(),
            authenticated_at: by.authenticated_at,
            created_at: now,
            last_used_at: now,
            expires_at: end,
            idle_expires_at: end,
            family: token.family(),
            current: token.hash(),
            previous: None,
            revision: 1,
        }
    }

    /// The session of an application from its first tokens on.
    pub fn opened(&self, settings: &Settings, now: Timestamp, random: &Random) -> (Self, RefreshToken) {
        let token = RefreshToken::first(self.user_id, self.id, random);
        let expires_at = settings.session_ends(self.created_at);
        let session = Self {
            last_used_at: now,
            expires_at,
            idle_expires_at: settings.idle_ends(now).min(expires_at),
            family: token.family(),
            current: token.hash(),
            revision: self.revision + 1,
            ..self.clone()
        };
        (session, token)
    }

    /// Whether it is that of an application's client, or of the service's own log-in.
    pub fn is_of(&self, client: Option<ClientId>) -> bool {
        self.application.as_ref().map(|application| application.client_id) == client
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at || now >= self.idle_expires_at
    }

    /// As of when its tokens are issued: what they rest on is read later than this, so that whatever was taken away since
    /// ends them.
    pub fn as_of(&self) -> Timestamp {
        self.last_used_at.max(self.authenticated_at)
    }

    /// What `presented`, a token that names this session, is to it.
    pub fn judge(&self, presented: &RefreshToken, now: Timestamp) -> Standing {
        if self.is_over(now) {
            return Standing::Over;
        }
        if !presented.family().matches(&self.family) {
            return Standing::Foreign;
        }
        let hash = presented.hash();
        if hash.matches(&self.current) {
            return Standing::Newest;
        }
        match &self.previous {
            Some(previous) if hash.matches(&previous.hash) && now.duration_since(previous.at) <= RACE_WINDOW => {
                Standing::JustUsed(presented.successor(&previous.salt))
            }
            _ => Standing::Replayed,
        }
    }

    /// The session after the use of its newest token, and that one's successor. A stricter setting holds for sessions that
    /// are there already: none when the time is over by it.
    pub fn rotated(
        &self,
        newest: &RefreshToken,
        settings: &Settings,
        now: Timestamp,
        random: &Random,
    ) -> Option<(Self, RefreshToken)> {
        let expires_at = self.expires_at.min(settings.session_ends(self.created_at));
        if now >= expires_at || now >= settings.idle_ends(self.last_used_at) {
            return None;
        }
        let salt = RefreshToken::salt(random);
        let successor = newest.successor(&salt);
        let session = Self {
            current: successor.hash(),
            previous: Some(Rotated { hash: newest.hash(), salt, at: now }),
            last_used_at: now,
            expires_at,
            idle_expires_at: settings.idle_ends(now).min(expires_at),
            revision: self.revision + 1,
            ..self.clone()
        };
        Some((session, successor))
    }

    /// The session when its tokens are to name another tenant, whose limits it keeps to then; none when it is past them.
    pub fn moved(&self, tenant_id: TenantId, settings: &Settings, now: Timestamp) -> Option<Self> {
        let expires_at = self.expires_at.min(settings.session_ends(self.created_at));
        let idle_expires_at = settings.idle_ends(self.last_used_at).min(expires_at);
        let revision = self.revision + 1;
        (now < idle_expires_at).then(|| Self { tenant_id, expires_at, idle_expires_at, revision, ..self.clone() })
    }

    /// Whether `token` is the newest of the family, or the one before.
    pub fn knows(&self, token: &RefreshToken) -> bool {
        let hash = token.hash();
        hash.matches(&self.current) || self.previous.as_ref().is_some_and(|previous| hash.matches(&previous.hash))
    }

    /// The session after the user proved themselves again, by `methods`.
    pub fn proved_again(self, methods: &[&str], now: Timestamp) -> Self {
        Self { authenticated_at: now, ..self }.proved_as_well(methods)
    }

    /// The session after the user proved another factor by `methods`, and not all that a sign-in asks for.
    pub fn proved_as_well(mut self, methods: &[&str]) -> Self {
        for method in methods {
            if self.methods.iter().all(|known| known != method) {
                self.methods.push((*method).to_owned());
            }
        }
        self.revision += 1;
        self
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
