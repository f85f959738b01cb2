//! What the functions of this service are built from.

use axum::extract::{FromRef, FromRequestParts};
use http::HeaderMap;
use http::request::Parts;
use shared::BoxError;
use shared::dynamo::Dynamo;
use shared::http::idempotency::Idempotency;
use shared::http::{Cursors, Problem, PublicUrl};
use shared::identity::Authenticator;
use shared::lambda::Runtime;
use shared::password_hash::PasswordHash;
use shared::queue::Sender;
use shared::random::Random;
use shared::time::Clock;
use url::Url;

use crate::password::Password;
use crate::store::LinkStore;

/// The state of the API's handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) authenticator: Authenticator,
    pub(crate) links: LinkStore,
    pub(crate) idempotency: Idempotency,
    pub(crate) cursors: Cursors,
    pub(crate) sender: Sender,
    pub(crate) expiries_queue_url: String,
    pub(crate) public_url: PublicUrl,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl App {
    /// Reads `LINKS_TABLE`, `IDEMPOTENCY_TABLE`, `DUE_TABLE`, `EXPIRIES_QUEUE_URL`, `PUBLIC_URL` and what
    /// [`Authenticator::new`] reads.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let links_table: String = reader.required("LINKS_TABLE");
        let idempotency_table: String = reader.required("IDEMPOTENCY_TABLE");
        let due_table: String = reader.required("DUE_TABLE");
        let expiries_queue_url: String = reader.required("EXPIRIES_QUEUE_URL");
        let public_url = PublicUrl::new(reader.optional("PUBLIC_URL"));
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let authenticator = Authenticator::new(runtime)?;
        Ok(Self {
            cursors: Cursors::new(authenticator.store().clone()),
            authenticator,
            links: LinkStore::new(dynamo.clone(), links_table),
            idempotency: Idempotency::new(dynamo.clone(), idempotency_table, runtime.clock.clone()),
            sender: Sender::new(runtime.aws.sqs.clone(), dynamo, due_table, runtime.clock.clone()),
            expiries_queue_url,
            public_url,
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        })
    }

    /// The hash of a password, if there is one.
    pub(crate) async fn hash(&self, password: Option<&Password>) -> Result<Option<PasswordHash>, Problem> {
        let Some(password) = password else { return Ok(None) };
        password.hashed(&self.random).await.map(Some).map_err(Problem::internal)
    }
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.authenticator.clone()
    }
}

impl FromRef<App> for PublicUrl {
    fn from_ref(app: &App) -> Self {
        app.public_url.clone()
    }
}

/// The address under which slugs live, as this request's client sees it: `https://short.example/l/`.
#[derive(Clone, Debug)]
pub struct Base(pub Url);

impl Base {
    /// That of a request with these headers; 400 where [`PublicUrl::of`] refuses them.
    pub fn of(public_url: &PublicUrl, headers: &HeaderMap) -> Result<Self, Problem> {
        public_url.of(headers)?.join("/l/").map(Self).map_err(Problem::internal)
    }

    /// The address of a slug.
    pub fn short_url(&self, slug: &crate::slug::Slug) -> String {
        format!("{}{slug}", self.0)
    }
}

impl<S> FromRequestParts<S> for Base
where
    S: Send + Sync,
    PublicUrl: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Self::of(&PublicUrl::from_ref(state), &parts.headers)
    }
}
