//! `auth.discovery`: where a client or a resource server finds the public keys and the endpoints.
//!
//! | route | what it tells |
//! |---|---|
//! | `GET /.well-known/jwks.json` | the keys that verify access tokens (RFC 7517) |
//! | `GET /.well-known/oauth-authorization-server` | the authorization server's metadata (RFC 8414) |
//! | `GET /.well-known/openid-configuration` | the same document, for clients that look there (RFC 8414, section 5) |
//!
//! RFC 8414 has the issuer be the URL that the metadata is found under. It is, where there is a public URL, as in the local
//! stack: then all functions have that as their `TOKEN_ISSUER`. A deployment without one has the text `tenfold`, which is
//! the `iss` of its tokens; a client that compares it with the URL refuses the document.
//!
//! # Calls
//! One read of half a unit for the keys; none for the metadata.

mod metadata;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde::Serialize;
use shared::config::ConfigError;
use shared::dynamo::Dynamo;
use shared::http::{Document, ETag, Preconditions, Problem, PublicUrl, Tagged};
use shared::identity::store::IdentityStore;
use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::metadata::Metadata;

/// Builds the function. It reads `IDENTITY_TABLE`, `TOKEN_ISSUER` and `PUBLIC_URL`, which may be absent.
pub fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let router = router(Installation::new(&runtime)?);
        Ok(Function::http(&runtime, router))
    })
}

/// The routes, with what they answer from.
fn router(installation: Installation) -> Router {
    endpoints().with_state(installation).split_for_parts().0
}

/// The description of the routes.
pub fn description() -> utoipa::openapi::OpenApi {
    endpoints().into_openapi()
}

fn endpoints() -> OpenApiRouter<Installation> {
    OpenApiRouter::new()
        .routes(routes!(jwks))
        .routes(routes!(oauth_authorization_server))
        .routes(routes!(openid_configuration))
}

/// What the endpoints answer from.
#[derive(Clone, Debug)]
struct Installation {
    identity: IdentityStore,
    issuer: String,
    public_url: PublicUrl,
}

impl Installation {
    fn new(runtime: &Runtime) -> Result<Self, ConfigError> {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("IDENTITY_TABLE");
        let issuer = reader.required("TOKEN_ISSUER");
        let public_url = PublicUrl::new(reader.optional("PUBLIC_URL"));
        reader.finish()?;
        let identity = IdentityStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table, runtime.random.clone());
        Ok(Self { identity, issuer, public_url })
    }

    fn metadata(&self, headers: &HeaderMap) -> Result<Metadata, Problem> {
        Metadata::new(&self.issuer, &self.public_url.of(headers)?).map_err(Problem::internal)
    }
}

/// The public keys.
///
/// They verify access tokens, by the `kid` in the token's header. A key is here for an hour before it signs, and until
/// its last token has expired; a compromised one is gone at once.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "jwks", tag = "discovery",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "A JSON Web Key Set (RFC 7517)", body = serde_json::Value, headers(("ETag" = String)), example = json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "use": "sig", "alg": "EdDSA",
        }]})),
        (status = 304, description = "The client has it"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn jwks(State(installation): State<Installation>, conditions: Preconditions) -> Result<Response, Problem> {
    public(&conditions, &installation.identity.key_set().await?)
}

/// The authorization server's metadata.
///
/// RFC 8414, OpenID Connect Discovery 1.0. The issuer is the deployment's public URL, where it has one.
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", operation_id = "oauth_authorization_server", tag = "discovery",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The metadata", body = Metadata, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn oauth_authorization_server(
    State(installation): State<Installation>,
    conditions: Preconditions,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    public(&conditions, &installation.metadata(&headers)?)
}

/// The authorization server's metadata at its other path.
///
/// For clients that speak OpenID Connect: a code whose scope has `openid` is exchanged for an id token as well.
#[utoipa::path(
    get, path = "/.well-known/openid-configuration", operation_id = "openid_configuration", tag = "discovery",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The metadata", body = Metadata, headers(("ETag" = String))),
        (status = 304, description = "The client has it"),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
async fn openid_configuration(
    State(installation): State<Installation>,
    conditions: Preconditions,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    public(&conditions, &installation.metadata(&headers)?)
}

/// A document that is the same for everybody, and may be kept for five minutes.
fn public<T: Serialize>(conditions: &Preconditions, document: &T) -> Result<Response, Problem> {
    let etag = ETag::of_bytes(&serde_json::to_vec(document).map_err(Problem::internal)?);
    let mut response = Tagged::unless_known(conditions, etag, document).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
