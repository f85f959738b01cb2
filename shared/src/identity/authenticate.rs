//! From a request's credential to its [`Principal`].

use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::{FromRef, FromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use super::api_key::{ApiKey, ApiKeyId};
use super::permission::Permission;
use super::principal::{Principal, PrincipalKind};
use super::store::{ApiKeyRecord, IdentityStore, USE_NOTED_EVERY};
use super::token::{InvalidToken, KeySet, Verifier};
use crate::cache::Cache;
use crate::config::ConfigError;
use crate::dynamo::{Dynamo, DynamoError};
use crate::http::{Problem, ProblemType, RequestContext};
use crate::lambda::{Deferred, Runtime};
use crate::time::{Clock, SignedDuration};

/// How long after its revocation an API key, or a token's signing key, may still be accepted.
pub const MAX_STALENESS: SignedDuration = SignedDuration::from_secs(30);

/// How often the key set is read again for a token with an unknown key, at most.
const KEY_SET_RETRY: SignedDuration = SignedDuration::from_secs(5);

/// Verifies credentials. Cheap to clone; clones share their caches.
#[derive(Clone, Debug)]
pub struct Authenticator {
    store: IdentityStore,
    verifier: Verifier,
    clock: Clock,
    deferred: Deferred,
    api_keys: Cache<ApiKeyId, Option<ApiKeyRecord>>,
    key_sets: Cache<(), KeySet>,
    /// The same, for a token whose key the older copy lacks.
    fresh_key_sets: Cache<(), KeySet>,
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
        Ok(Self {
            store: IdentityStore::new(dynamo, table, runtime.random.clone()),
            verifier: Verifier::new(issuer, audience),
            deferred: runtime.deferred.clone(),
            api_keys: Cache::new(10_000, MAX_STALENESS, clock.clone()),
            key_sets: Cache::new(1, MAX_STALENESS, clock.clone()),
            fresh_key_sets: Cache::new(1, KEY_SET_RETRY, clock.clone()),
            noted_uses: Cache::new(10_000, USE_NOTED_EVERY, clock.clone()),
            clock,
        })
    }

    /// The identity table.
    pub const fn store(&self) -> &IdentityStore {
        &self.store
    }

    /// The caller that a request's headers prove.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        match credential(headers)? {
            Credential::ApiKey(text) => self.by_api_key(&text).await,
            Credential::Token(text) => self.by_token(&text).await,
        }
    }

    async fn by_api_key(&self, text: &str) -> Result<Principal, Problem> {
        let key: ApiKey = text.parse().map_err(|error: super::api_key::InvalidApiKey| {
            unauthenticated(&format!("the API key is not valid: {error}"))
        })?;
        let id = key.id();
        let record = self.api_keys.get_or_load(id, self.store.api_key(&id)).await.map_err(shared_problem)?;
        let now = self.clock.now();
        // One answer for a key that is unknown, wrong, revoked or expired.
        let refused = || unauthenticated("the API key is not valid");
        let record = record.filter(|record| record.hash.matches(&key.hash())).ok_or_else(refused)?;
        let ended = |at: Option<crate::time::Timestamp>| at.is_some_and(|at| at <= now);
        if ended(record.revoked_at) || ended(record.expires_at) {
            return Err(refused());
        }
        self.note_use(id).await;
        Ok(Principal {
            tenant: record.tenant,
            subject: id.to_string(),
            kind: PrincipalKind::ApiKey,
            roles: Vec::new(),
            scopes: record.scopes,
            session: None,
        })
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

    async fn by_token(&self, token: &str) -> Result<Principal, Problem> {
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
        verified.map_err(|error| unauthenticated("the access token is not valid").caused_by(error))
    }
}

/// A load's failure that several callers may share.
#[allow(clippy::needless_pass_by_value)] // the form in which a shared load fails
fn shared_problem(error: std::sync::Arc<DynamoError>) -> Problem {
    match &*error {
        DynamoError::Unavailable(_) => Problem::unavailable(crate::telemetry::chain(&*error)),
        _ => Problem::internal(crate::telemetry::chain(&*error)),
    }
}

enum Credential {
    ApiKey(String),
    Token(String),
}

/// The one credential of a request.
fn credential(headers: &HeaderMap) -> Result<Credential, Problem> {
    let authorization: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
    let api_key: Vec<_> = headers.get_all("x-api-key").iter().collect();
    let text = |value: &HeaderValue| {
        value.to_str().map(str::to_owned).map_err(|_| unauthenticated("the credential has characters that none has"))
    };
    match (authorization.as_slice(), api_key.as_slice()) {
        ([], []) => Err(unauthenticated("send Authorization: Bearer with an access token or an API key")),
        ([], [key]) => Ok(Credential::ApiKey(text(key)?)),
        ([authorization], []) => {
            let authorization = text(authorization)?;
            let (scheme, token) = authorization.split_once(' ').unwrap_or((&authorization, ""));
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(unauthenticated("the only scheme is Bearer"));
            }
            let token = token.trim().to_owned();
            Ok(if token.starts_with("tf_") { Credential::ApiKey(token) } else { Credential::Token(token) })
        }
        _ => Err(Problem::new(ProblemType::AmbiguousCredentials, "send one credential, in one header")),
    }
}

fn unauthenticated(detail: &str) -> Problem {
    Problem::new(ProblemType::Unauthenticated, detail)
}

/// A caller who may do what `P` names. A handler that takes it cannot be reached otherwise.
#[derive(Clone, Debug)]
pub struct Caller<P> {
    principal: Principal,
    permission: PhantomData<fn() -> P>,
}

impl<P> Deref for Caller<P> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<S, P> FromRequestParts<S> for Caller<P>
where
    S: Send + Sync,
    P: Permission,
    Authenticator: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = Authenticator::from_ref(state).authenticate(&parts.headers).await?;
        if let Some(context) = parts.extensions.get::<RequestContext>() {
            context.note_caller(&principal.tenant, principal.kind.as_str());
        }
        if !principal.may::<P>() {
            return Err(Problem::new(ProblemType::Forbidden, format!("the permission {} is needed", P::NAME)));
        }
        Ok(Self { principal, permission: PhantomData })
    }
}
