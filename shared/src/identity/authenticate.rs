//! From a credential to its [`Principal`].

use http::HeaderMap;

use super::api_key::{ApiKey, ApiKeyId, InvalidApiKey};
use super::credential::{Credential, invalid_token};
use super::permission::Scopes;
use super::principal::{Principal, PrincipalKind};
use super::revocation::{Denylist, ended_with_tenant};
use super::store::{ApiKeyRecord, Charge, IdentityStore, USE_NOTED_EVERY};
use super::token::{InvalidToken, KeySet, Verifier};
use crate::BoxFuture;
use crate::cache::Cache;
use crate::config::ConfigError;
use crate::dynamo::{Dynamo, DynamoError};
use crate::http::{ClientAddress, Problem, ProblemType};
use crate::id::TenantId;
use crate::lambda::{Deferred, Runtime};
use crate::time::{Clock, SignedDuration, Timestamp};

/// How long after its revocation an API key, an access token, or a token's signing key may still be accepted.
pub const MAX_STALENESS: SignedDuration = SignedDuration::from_secs(30);

/// How often the key set is read again for a token with an unknown key, at most.
const KEY_SET_RETRY: SignedDuration = SignedDuration::from_secs(5);

/// What a verification may rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// What the process remembers, for at most [`MAX_STALENESS`].
    Remembered,
    /// What the table says at this moment.
    AtOnce,
}

/// Verifies credentials. Cheap to clone; clones share their caches.
#[derive(Clone, Debug)]
pub struct Authenticator {
    store: IdentityStore,
    verifier: Verifier,
    clock: Clock,
    deferred: Deferred,
    api_keys: Cache<ApiKeyId, Option<ApiKeyRecord>>,
    /// When the tenants of API keys ended, if they did.
    ended: Cache<TenantId, Option<Timestamp>>,
    key_sets: Cache<(), KeySet>,
    /// The same, for a token whose key the older copy lacks.
    fresh_key_sets: Cache<(), KeySet>,
    denylist: Denylist,
    noted_uses: Cache<ApiKeyId, ()>,
}

impl Authenticator {
    /// Reads `IDENTITY_TABLE`, `TOKEN_ISSUER` and `TOKEN_AUDIENCE`.
    pub fn new(runtime: &Runtime) -> Result<Self, ConfigError> {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("IDENTITY_TABLE");
        let issuer: String = reader.required("TOKEN_ISSUER");
        let audience: String = reader.required("TOKEN_AUDIENCE");
        reader.finish()?;
        let clock = runtime.clock.clone();
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let store = IdentityStore::new(dynamo, table, runtime.random.clone());
        Ok(Self {
            verifier: Verifier::new(issuer, audience),
            deferred: runtime.deferred.clone(),
            api_keys: Cache::new(10_000, MAX_STALENESS, clock.clone()),
            ended: Cache::new(10_000, MAX_STALENESS, clock.clone()),
            key_sets: Cache::new(1, MAX_STALENESS, clock.clone()),
            fresh_key_sets: Cache::new(1, KEY_SET_RETRY, clock.clone()),
            denylist: Denylist::new(store.clone(), clock.clone()),
            noted_uses: Cache::new(10_000, USE_NOTED_EVERY, clock.clone()),
            clock,
            store,
        })
    }

    /// The identity table.
    pub const fn store(&self) -> &IdentityStore {
        &self.store
    }

    /// The clock by which it verifies.
    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The caller that a request's headers prove. A key with credits pays one.
    pub(super) fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
        address: ClientAddress,
        freshness: Freshness,
    ) -> BoxFuture<'a, Result<Principal, Problem>> {
        Box::pin(async move {
            match Credential::of(headers)? {
                Credential::Token(text) => self.by_token(&text, freshness).await,
                Credential::ApiKey(text) => {
                    let record = self.by_api_key(&text, freshness).await?;
                    if !record.allows_from(address) {
                        let detail = "the API key may not be used from this address";
                        return Err(Problem::new(ProblemType::Forbidden, detail));
                    }
                    let record = self.charge(record).await?;
                    self.note_use(record.id).await;
                    Ok(principal_of(record))
                }
            }
        })
    }

    /// The caller that the access token in a request's headers proves, at this moment. An API key is refused unread.
    pub(super) fn access_token<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<Principal, Problem>> {
        Box::pin(async move {
            match Credential::of(headers)? {
                Credential::Token(text) => self.by_token(&text, Freshness::AtOnce).await,
                Credential::ApiKey(_) => Err(invalid_token("an access token is needed, and an API key is none")),
            }
        })
    }

    /// What an access token or an API key in hand proves, none when it is not valid: token introspection (RFC 7662).
    /// Revocations are asked at once; no network is checked and no credit is taken. It fails when a store is down.
    pub fn introspect<'a>(&'a self, credential: &'a str) -> BoxFuture<'a, Result<Option<Principal>, Problem>> {
        Box::pin(async move {
            let found = match Credential::in_bearer(credential) {
                Credential::Token(text) => self.by_token(&text, Freshness::AtOnce).await,
                Credential::ApiKey(text) => self.by_api_key(&text, Freshness::AtOnce).await.map(principal_of),
            };
            match found {
                Ok(principal) => Ok(Some(principal)),
                Err(problem) if problem.kind() == ProblemType::Unauthenticated => Ok(None),
                Err(problem) => Err(problem),
            }
        })
    }

    /// The record of a key that is valid.
    async fn by_api_key(&self, text: &str, freshness: Freshness) -> Result<ApiKeyRecord, Problem> {
        let key: ApiKey = text
            .parse()
            .map_err(|error: InvalidApiKey| invalid_token(&format!("the API key is not valid: {error}")))?;
        let (id, now) = (key.id(), self.clock.now());
        let record = match freshness {
            Freshness::Remembered => {
                self.api_keys.get_or_load(id, self.store.api_key(&id)).await.map_err(shared_problem)?
            }
            Freshness::AtOnce => self.store.api_key_fresh(&id).await?,
        };
        if freshness == Freshness::AtOnce {
            self.api_keys.insert_as_of(id, record.clone(), now).await;
        }
        // One answer for a key that is unknown, wrong, revoked, expired or of a tenant that ended.
        let valid = |record: &ApiKeyRecord| record.hash.matches(&key.hash()) && record.holds_at(now);
        let record = record.filter(valid).ok_or_else(invalid_api_key)?;
        let ended_at = self.ended_at(record.tenant, freshness).await?;
        if ended_with_tenant(record.created_at, ended_at) { Err(invalid_api_key()) } else { Ok(record) }
    }

    /// When the tenant of a key ended, if it did.
    async fn ended_at(&self, tenant: TenantId, freshness: Freshness) -> Result<Option<Timestamp>, Problem> {
        let now = self.clock.now();
        match freshness {
            Freshness::Remembered => {
                let load = self.store.tenant_ended(&tenant, false);
                self.ended.get_or_load(tenant, load).await.map_err(shared_problem)
            }
            Freshness::AtOnce => {
                let ended_at = self.store.tenant_ended(&tenant, true).await?;
                self.ended.insert_as_of(tenant, ended_at, now).await;
                Ok(ended_at)
            }
        }
    }

    /// Takes a credit of a key that has them.
    async fn charge(&self, record: ApiKeyRecord) -> Result<ApiKeyRecord, Problem> {
        if record.credits.is_none() {
            return Ok(record);
        }
        let (id, now) = (record.id, self.clock.now());
        match self.store.take_credit(record, now).await? {
            Charge::Paid(record) => {
                // As fresh as a read.
                self.api_keys.insert_as_of(id, Some(record.clone()), now).await;
                if record.holds_at(now) { Ok(record) } else { Err(invalid_api_key()) }
            }
            Charge::Exhausted(record) => {
                let problem = Problem::new(ProblemType::CreditsExhausted, "the API key has no credits left");
                let wait = record.credits.and_then(|credits| credits.wait_seconds(now));
                Err(match wait {
                    Some(seconds) => problem.retry_after(seconds),
                    None => problem,
                })
            }
            Charge::Gone => Err(invalid_api_key()),
        }
    }

    /// Notes a key's use, off the request's path and not each time.
    async fn note_use(&self, id: ApiKeyId) {
        if self.noted_uses.get(&id).await.is_some() {
            return;
        }
        self.noted_uses.insert(id, ()).await;
        let (store, now) = (self.store.clone(), self.clock.now());
        let note = async move {
            if let Err(error) = store.note_use(&id, now).await {
                tracing::warn!(error = crate::telemetry::chain(&error), "a key's use was not noted");
            }
        };
        self.deferred.defer(Box::pin(note)).await;
    }

    async fn by_token(&self, token: &str, freshness: Freshness) -> Result<Principal, Problem> {
        let now = self.clock.now();
        let keys = self.key_sets.get_or_load((), self.store.key_set()).await.map_err(shared_problem)?;
        let verified = match self.verifier.verify(token, &keys, now) {
            Err(InvalidToken::UnknownKey) => {
                // The key may be newer than our copy of the set.
                let keys = self.fresh_key_sets.get_or_load((), self.store.key_set()).await.map_err(shared_problem)?;
                self.verifier.verify(token, &keys, now)
            }
            verified => verified,
        };
        let refused = || invalid_token("the access token is not valid");
        let principal = verified.map_err(|error| refused().caused_by(error))?;
        let revoked = match freshness {
            Freshness::Remembered => self.denylist.copy().await?.denies(&principal),
            Freshness::AtOnce => self.store.denies(&principal).await?,
        };
        if revoked { Err(refused()) } else { Ok(principal) }
    }
}

fn principal_of(record: ApiKeyRecord) -> Principal {
    Principal {
        tenant: record.tenant,
        subject: record.id.to_string(),
        kind: PrincipalKind::ApiKey,
        roles: Vec::new(),
        granted: Scopes::default(),
        scopes: record.scopes,
        session: None,
        authenticated_at: None,
        client: None,
        token_id: None,
        issued_at: Some(record.created_at),
        as_of: None,
        expires_at: record.expires_at,
        pinned: record.api_version,
    }
}

/// A load's failure that several callers may share.
#[allow(clippy::needless_pass_by_value)] // the form in which a shared load fails
pub(super) fn shared_problem(error: std::sync::Arc<DynamoError>) -> Problem {
    match &*error {
        DynamoError::Unavailable(_) => Problem::unavailable(crate::telemetry::chain(&*error)),
        _ => Problem::internal(crate::telemetry::chain(&*error)),
    }
}

fn invalid_api_key() -> Problem {
    invalid_token("the API key is not valid")
}
