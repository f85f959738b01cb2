//! Ending access tokens before they expire: what can be revoked, and the copy of the list that each process keeps.
//!
//! A revocation is written twice, in one transaction with whatever ends the session ([`super::store`]): under its own
//! key, which a sensitive route asks at once, and into one list, which every process reads again each
//! [`REFRESHED_EVERY`]. So it holds everywhere within [`super::authenticate::MAX_STALENESS`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::authenticate::{MAX_STALENESS, shared_problem};
use super::principal::{Principal, PrincipalKind};
use super::store::IdentityStore;
use crate::cache::Cache;
use crate::dynamo::DynamoError;
use crate::http::Problem;
use crate::id::TenantId;
use crate::time::{Clock, SignedDuration, Timestamp};

/// How long a revocation is kept: longer than any access token of ours lives.
pub const KEPT: SignedDuration = SignedDuration::from_mins(15);

/// How old the copy of the list may get before it is read again. With the lag of DynamoDB's reads it stays under
/// [`MAX_STALENESS`].
const REFRESHED_EVERY: SignedDuration = SignedDuration::from_secs(15);

/// How much of the list is read again each time: by so much may a writer's clock be slow, or its write late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);

/// How long after its time a revocation is written at the latest, and by how much writers' clocks differ: a token that was
/// begun meanwhile may hold what was there before.
const WRITTEN_WITHIN: SignedDuration = SignedDuration::from_secs(2);

/// How long the reading of the list may take, so that an outage is answered and not waited for.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whose access tokens are refused from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// All of one session.
    Session(String),
    /// All that a user got so far, in whichever tenant.
    User(String),
    /// All that a user got so far in one tenant.
    Member {
        /// The tenant.
        tenant: TenantId,
        /// The user.
        user: String,
    },
    /// All that an OAuth client got so far, for itself or for users.
    Client(String),
    /// All that anyone got so far in a tenant.
    Tenant(TenantId),
}

/// The key under which it is stored.
impl fmt::Display for Revoked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(session) => write!(formatter, "session#{session}"),
            Self::User(user) => write!(formatter, "user#{user}"),
            Self::Member { tenant, user } => write!(formatter, "member#{tenant}#{user}"),
            Self::Client(client) => write!(formatter, "client#{client}"),
            Self::Tenant(tenant) => write!(formatter, "tenant#{tenant}"),
        }
    }
}

impl Revoked {
    /// All by which the token of `principal` may be revoked.
    pub(super) fn of(principal: &Principal) -> Vec<Self> {
        let (tenant, user) = (principal.tenant, &principal.subject);
        let mut all = vec![Self::Tenant(tenant)];
        all.extend(principal.session.clone().map(Self::Session));
        all.extend(principal.client.clone().map(Self::Client));
        if principal.kind == PrincipalKind::User {
            all.push(Self::User(user.clone()));
            all.push(Self::Member { tenant, user: user.clone() });
        }
        all
    }

    /// Whether its revocation at `at` ends a token that holds what it says as of `as_of`. A session does not come back.
    pub(super) fn ends(&self, as_of: Option<Timestamp>, at: Timestamp) -> bool {
        matches!(self, Self::Session(_)) || as_of.is_none_or(|as_of| as_of <= at + WRITTEN_WITHIN)
    }
}

/// Whether what a program was given at `made_at` (an API key, an OAuth client) ended with its tenant.
pub fn ended_with_tenant(made_at: Timestamp, tenant_ended_at: Option<Timestamp>) -> bool {
    tenant_ended_at.is_some_and(|ended_at| made_at <= ended_at + WRITTEN_WITHIN)
}

/// As of when a token holds what it says, whose issuing began at `begun` and read, after that, records of which the last was
/// changed at `changed`. It outlives the revocation that was written with that change, and no later one.
pub fn as_of(begun: Timestamp, changed: Timestamp) -> Timestamp {
    begun.max(changed + WRITTEN_WITHIN + SignedDuration::from_millis(1))
}

/// When a record changes, and what was given by it is revoked: now, and later than its change before, also by another clock. So
/// it ends what was given between the two ([`as_of`]).
pub fn after(changed: Timestamp, now: Timestamp) -> Timestamp {
    now.max(changed + SignedDuration::from_millis(1))
}

/// The list of revocations as this process knows it. It holds what was revoked in [`KEPT`], some 100 bytes each. Clones
/// share one.
#[derive(Clone, Debug)]
pub(super) struct Denylist {
    store: IdentityStore,
    clock: Clock,
    copies: Cache<(), Arc<Copied>>,
    /// The last copy, to which the next reading adds.
    last: Arc<Mutex<Option<Arc<Copied>>>>,
}

#[derive(Debug)]
pub(super) struct Copied {
    /// When its reading began.
    read_at: Timestamp,
    /// The latest revocation in it, by its writer's clock.
    newest: Option<Timestamp>,
    entries: HashMap<String, Timestamp>,
}

impl Copied {
    /// Whether the token of `principal` is revoked.
    pub(super) fn denies(&self, principal: &Principal) -> bool {
        let denies = |revoked: &Revoked| {
            self.entries.get(&revoked.to_string()).is_some_and(|at| revoked.ends(principal.as_of, *at))
        };
        !self.entries.is_empty() && Revoked::of(principal).iter().any(denies)
    }
}

impl Denylist {
    pub(super) fn new(store: IdentityStore, clock: Clock) -> Self {
        let copies = Cache::new(1, REFRESHED_EVERY, clock.clone());
        Self { store, clock, copies, last: Arc::default() }
    }

    /// The list, at most [`MAX_STALENESS`] old. When it cannot be read, a copy that is younger than that does; after
    /// that nobody is let in, as anybody may have been revoked.
    pub(super) async fn copy(&self) -> Result<Arc<Copied>, Problem> {
        let error = match self.copies.get_or_load((), self.read()).await {
            Ok(copy) => return Ok(copy),
            Err(error) => error,
        };
        let young = |copy: &Arc<Copied>| self.clock.now().duration_since(copy.read_at) < MAX_STALENESS;
        let Some(copy) = self.last().filter(young) else { return Err(shared_problem(error)) };
        tracing::warn!(error = crate::telemetry::chain(&*error), "the list of revocations was not read");
        Ok(copy)
    }

    fn last(&self) -> Option<Arc<Copied>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads what the last copy lacks.
    async fn read(&self) -> Result<Arc<Copied>, DynamoError> {
        let (read_at, last) = (self.clock.now(), self.last());
        let oldest = read_at - KEPT;
        let mut entries = last.as_ref().map(|last| last.entries.clone()).unwrap_or_default();
        let mut newest = last.as_ref().and_then(|last| last.newest);
        // A writer whose clock is ahead must not hide those that come after it.
        let seen = last.and_then(|last| last.newest.map(|newest| newest.min(last.read_at)));
        let from = seen.map_or(oldest, |seen| oldest.max(seen - OVERLAP));
        let found = tokio::time::timeout(TIMEOUT, self.store.revocations_since(from)).await;
        for (at, key) in found.map_err(|elapsed| DynamoError::Unavailable(elapsed.into()))?? {
            newest = newest.max(Some(at));
            let known = entries.entry(key).or_insert(at);
            *known = at.max(*known);
        }
        entries.retain(|_, at| *at >= oldest);
        let copy = Arc::new(Copied { read_at, newest, entries });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy.clone());
        Ok(copy)
    }
}
