//! `auth.social`: signing in by another provider, Google, GitHub or any that speaks OpenID Connect, under
//! `/v1/auth/social`.
//!
//! ```text
//! client ── start ──► authorization_url and binding        kept under `state`: verifier, nonce, provider, hash of binding
//! browser ── provider ── callback ──► redirect_uri?code=…  the provider is asked, and what it proves kept under `code`
//! client ── /v1/auth/exchange (code, binding) ──► tokens   auth.api; or /v1/auth/identities, to link
//! ```
//!
//! This function asks strangers' servers, so it can do little itself: it reads and writes one-time tickets of its own, and knows
//! neither users nor the keys that sign tokens. What it is safe against:
//!
//! | attack | by |
//! |---|---|
//! | a code that was intercepted, or injected (RFC 9700, section 4.5) | PKCE by S256, always; the nonce in the id token |
//! | a callback that is forged, replayed, or of another's log-in | `state`: 256 bits, good once; the binding, which only the client has that began |
//! | one provider's answer given to another (mix-up; RFC 9207) | `state` names its provider; `iss`; a callback path for each |
//! | a result sent to a stranger's page | redirect URIs compared as texts with a list |
//! | tokens in URLs, histories and logs | the URL has a ticket that is good once, and only with the binding |
//! | an id token that is forged, old, or for somebody else | RS256 and its like by the provider's own keys; issuer, audience, times, nonce |
//! | somebody else's account by an address that is not theirs | only addresses that the provider has verified count; an account that is there is linked by who signed in to it otherwise |
//! | the network behind this deployment | [`shared::outbound`] |
//!
//! A provider in the configuration is trusted in one thing: that it has verified the addresses of which it says so. One that
//! lies makes accounts with others' addresses, and gets into none that is there.

pub mod ask;
pub mod callback;
pub mod ceremony;
pub mod github;
pub mod identity;
pub mod list;
pub mod oidc;
pub mod provider;
pub mod redirect_uris;
pub mod start;

use shared::config::Secret;
use shared::dynamo::Dynamo;
use shared::lambda::{Function, Runtime};
use shared::limits::DynamoLimiter;
use shared::outbound::{Outbound, Settings};
use shared::random::Random;
use shared::time::Clock;
use shared::{BoxError, BoxFuture};
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::oidc::OpenId;
use self::provider::{Provider, Providers};
use self::redirect_uris::RedirectUris;
use crate::store::AccountStore;
use crate::throttle::Throttle;

/// The state of the handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Social {
    accounts: AccountStore,
    throttle: Throttle,
    providers: Providers,
    redirect_uris: RedirectUris,
    outbound: Outbound,
    open_id: OpenId,
    public_url: Option<Url>,
    clock: Clock,
    random: Random,
}

impl Social {
    /// Reads `ACCOUNTS_TABLE`, `LIMITS_TABLE`, `SOCIAL_PROVIDERS`, `APP_REDIRECT_URIS`, `PUBLIC_URL` (needed where there is a
    /// provider) and what [`Settings::read`] reads.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let accounts_table: String = reader.required("ACCOUNTS_TABLE");
        let limits_table: String = reader.required("LIMITS_TABLE");
        let providers: Option<Secret> = reader.optional("SOCIAL_PROVIDERS");
        let redirect_uris: Option<String> = reader.optional("APP_REDIRECT_URIS");
        let public_url: Option<Url> = reader.optional("PUBLIC_URL");
        reader.finish()?;
        let settings = Settings::read(&runtime.environment)?;
        let outbound = Outbound::new(settings);
        let providers = match providers {
            Some(_) if public_url.is_none() => return Err("SOCIAL_PROVIDERS needs PUBLIC_URL: set PublicUrl".into()),
            Some(json) => Providers::parse(&json, &outbound)?,
            None => Providers::default(),
        };
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let limiter = DynamoLimiter::new(dynamo.clone(), limits_table, runtime.random.clone());
        let accounts = AccountStore::new(dynamo, accounts_table);
        Ok(Self {
            throttle: Throttle::new(accounts.clone(), limiter, runtime.clock.clone(), runtime.random.clone())?,
            accounts,
            providers,
            redirect_uris: RedirectUris::parse(redirect_uris.as_deref().unwrap_or_default(), settings.allow_loopback)?,
            open_id: OpenId::new(outbound.clone(), runtime.clock.clone()),
            outbound,
            public_url,
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        })
    }

    /// Where the provider sends the browser back to: exactly what is registered there.
    fn callback_url(&self, provider: &Provider) -> String {
        let base = self.public_url.as_ref().map(Url::as_str).unwrap_or_default();
        format!("{}/v1/auth/social/{}/callback", base.trim_end_matches('/'), provider.name)
    }
}

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter<Social> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(start::start)).routes(routes!(callback::callback))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let social = Social::new(&runtime)?;
        let (router, _) = router().with_state(social).split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}
