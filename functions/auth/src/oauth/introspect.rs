//! `POST /oauth/introspect`: what a token is good for at this moment (RFC 7662).

use axum::extract::State;
use serde::Serialize;
use shared::http::{Document, Json};
use shared::identity::{Principal, Scopes};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::form::OAuthForm;
use super::refusal::{Failure, OAuthError};
use crate::app::App;
use crate::audit::Origin;

/// The parameters, for the description.
#[derive(Debug, ToSchema)]
#[allow(dead_code)] // it describes the form, which is read parameter by parameter
pub struct IntrospectionRequest {
    /// An access token or an API key. Nothing is told of a refresh token.
    token: String,
    /// Ignored.
    token_type_hint: Option<String>,
}

/// What is told of a token (RFC 7662, section 2.2). One that is not valid, or another tenant's, is `{"active": false}`.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "active": true, "scope": "links:read", "client_id": "client_01k9z4n2y6e0qv3m8t5w7x9abc",
    "sub": "client_01k9z4n2y6e0qv3m8t5w7x9abc", "tid": "tenant_01k9z4n2y6e0qv3m8t5w7x9abc", "token_type": "Bearer",
    "iss": "https://api.example.com", "aud": "tenfold-api", "iat": 1_778_146_200, "exp": 1_778_146_800,
    "jti": "k3v9q0x7m2c8z5b1n6a4s0d2",
}))]
pub struct Introspection {
    /// Whether it is accepted at this moment; revocations are asked for at once.
    active: bool,
    /// What it may do, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The client that it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Who it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    /// The built-in roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    roles: Vec<String>,
    /// What custom roles grant besides, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    /// The API that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    /// When the user last proved who they are, in seconds since the Unix epoch (RFC 9470, section 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    /// Issued at, in seconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    /// Expires at, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    /// Its own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
}

/// Introspect a token.
///
/// For OAuth clients (by their credentials) of the token's own tenant.
#[utoipa::path(
    post, path = "/oauth/introspect", operation_id = "oauth_introspect", tag = "oauth",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What it is good for", body = Introspection),
        (status = 400, description = "invalid_request", body = OAuthError),
        (status = 401, description = "invalid_client", body = OAuthError),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn introspect(
    State(app): State<App>,
    origin: Origin,
    form: OAuthForm,
) -> Result<Json<Introspection>, Failure> {
    let client = form.client(&app, &origin).await?;
    let found = app.authenticator.introspect(form.required("token")?).await?;
    let found = found.filter(|principal| principal.tenant == client.tenant_id);
    Ok(Json(found.map_or_else(Introspection::default, |principal| app.active(principal))))
}

impl App {
    fn active(&self, principal: Principal) -> Introspection {
        // An API key was issued by nobody for nobody: it has no such claims.
        let is_token = principal.token_id.is_some();
        let joined = |scopes: &Scopes| scopes.iter().collect::<Vec<_>>().join(" ");
        Introspection {
            active: true,
            scope: Some(joined(&principal.scopes)),
            client_id: principal.client,
            sub: Some(principal.subject),
            tid: Some(principal.tenant.to_string()),
            sid: principal.session,
            roles: principal.roles.iter().map(ToString::to_string).collect(),
            permissions: Some(joined(&principal.granted)).filter(|granted| !granted.is_empty()),
            token_type: Some("Bearer"),
            iss: is_token.then(|| self.signer.issuer().to_owned()),
            aud: is_token.then(|| self.signer.audience().to_owned()),
            auth_time: principal.authenticated_at.map(Timestamp::as_second),
            iat: principal.issued_at.map(Timestamp::as_second),
            exp: principal.expires_at.map(Timestamp::as_second),
            jti: principal.token_id,
        }
    }
}
