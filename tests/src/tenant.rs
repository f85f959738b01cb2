//! A tenant of a test's own, and its HTTP client.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use shared::aws::Aws;
use shared::dynamo::Dynamo;
use shared::id::TenantId;
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::store::{ApiKeyRecord, IdentityStore};
use shared::random::Random;
use shared::time::Clock;

use crate::conformance::{Asked, check};
use crate::stack;

/// A tenant with an API key that may do everything.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its API key.
    pub api_key: String,
    http: reqwest::Client,
}

/// The answer to a request, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: bytes::Bytes,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// A header's text; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks the status, and shows the answer when it is another.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        self
    }

    /// Checks that the answer is a whole problem document of this type.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn problem(self, status: u16, slug: &str) -> Value {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let document = answer.json();
        assert_eq!(document["type"], format!("https://tenfold.dev/problems/{slug}"), "{document}");
        assert_eq!(document["status"], status);
        assert_eq!(document["request_id"], answer.header("x-request-id"));
        for member in ["title", "detail", "instance"] {
            assert!(document[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {document}");
        }
        document
    }
}

/// An HTTP client that follows no redirect and asks no proxy of the machine's.
///
/// # Panics
/// When it cannot be built.
#[allow(clippy::disallowed_methods)] // it asks only what the tests start
pub fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.build().expect("a client without TLS can be built")
}

/// A request without a credential. `path` begins with a slash.
pub fn anonymous(method: Method, path: &str) -> reqwest::RequestBuilder {
    client().request(method, format!("{}{path}", stack().url()))
}

/// Sends a request and reads the answer.
///
/// # Panics
/// When there is none.
#[allow(async_fn_in_trait)]
pub trait Ask {
    /// Sends it.
    async fn answer(self) -> Answer;
}

impl Ask for reqwest::RequestBuilder {
    async fn answer(self) -> Answer {
        let (client, request) = self.build_split();
        let request = request.expect("the request can be sent");
        let (method, url) = (request.method().clone(), request.url().clone());
        let sent = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec();
        let response = Box::pin(client.execute(request)).await.expect("the stack answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, body: response.bytes().await.expect("the answer has a body") };
        if stack().url().starts_with(&url.origin().ascii_serialization()) {
            check(&Asked { method: method.as_str(), path: url.path(), body: &sent }, &answer);
        }
        answer
    }
}

impl Tenant {
    /// A new tenant of the shared stack.
    pub async fn new() -> Self {
        let id = TenantId::new(Clock::system().now(), &Random::system());
        Self { id, api_key: Self::key(id, Scopes::all()).await, http: client() }
    }

    /// Another API key of this tenant, with these scopes.
    pub async fn key_with(&self, scopes: &str) -> String {
        Self::key(self.id, Scopes::parse(scopes)).await
    }

    async fn key(tenant: TenantId, scopes: Scopes) -> String {
        let key = ApiKey::generate(KeyMode::Test, Clock::system().now(), &Random::system());
        Self::put_key(&ApiKeyRecord::new(&key, tenant, "test", scopes, "test")).await;
        key.expose().to_owned()
    }

    /// Writes a key's record.
    ///
    /// # Panics
    /// When the identity table does not take it.
    pub async fn put_key(record: &ApiKeyRecord) {
        identity().put_api_key(record).await.expect("the identity table takes a key");
    }

    /// A request with the tenant's key. `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", stack().url())).bearer_auth(&self.api_key)
    }
}

methods!(Tenant);

/// The stack's identity table.
///
/// # Panics
/// When the stack has none.
pub fn identity() -> IdentityStore {
    let environment = stack().environment("links.api").expect("the stack has links.api");
    let aws = Aws::new(&environment).expect("the environment of links.api is complete");
    let table = environment.get("IDENTITY_TABLE").unwrap_or_default().to_owned();
    IdentityStore::new(Dynamo::new(aws.dynamo), table, Random::system())
}
