//! `POST /oauth/token`: tokens for machines, for applications that users let in, and for sessions.

use axum::extract::State;
use http::header::{HeaderName, HeaderValue, PRAGMA};
use serde::Serialize;
use shared::http::{Document, Json, ProblemType};
use shared::identity::token::{ACCESS_TOKEN_LIFETIME, Claims};
use shared::identity::{Scopes, revocation};
use utoipa::ToSchema;

use super::client::{Client, GrantType};
use super::form::OAuthForm;
use super::refusal::{Failure, OAuthError, Refused};
use crate::app::App;
use crate::audit::Origin;
use crate::issue::token_id;
use crate::session::RefreshToken;

/// An answer that no cache keeps, not even an old one (RFC 6749, section 5.1).
type NotKept = ([(HeaderName, HeaderValue); 1], Json<TokenAnswer>);

/// The answer (RFC 6749, section 5.1).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiJ9.eyJpc3MiOiJ0ZW5mb2xkIn0.c2lnbmF0dXJl",
    "token_type": "Bearer", "expires_in": 600, "scope": "links:read links:write",
}))]
pub struct TokenAnswer {
    /// The access token: a JWT (RFC 9068).
    pub access_token: String,
    /// `Bearer`.
    #[schema(example = "Bearer")]
    pub token_type: &'static str,
    /// Seconds that it is good for.
    #[schema(example = 600)]
    pub expires_in: i64,
    /// The next refresh token; none for a machine, which asks for a new access token instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who let the application in (OpenID Connect): with a code whose scope has `openid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// What it may do, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "links:read links:write")]
    pub scope: Option<String>,
}

/// The parameters, for the description.
#[derive(Debug, ToSchema)]
#[allow(dead_code)] // it describes the form, which is read parameter by parameter
pub struct TokenRequest {
    /// `client_credentials`, `authorization_code` or `refresh_token`.
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Scopes separated by spaces, within the client's, or within what the user agreed to; all of them without it. Not for a
    /// code, and not for a session of the service's own log-in.
    scope: Option<String>,
    /// For `authorization_code`.
    code: Option<String>,
    /// For `authorization_code`: the one of the request.
    redirect_uri: Option<String>,
    /// For `authorization_code` (RFC 7636).
    code_verifier: Option<String>,
    /// For `refresh_token`.
    refresh_token: Option<String>,
    /// With `client_secret`, unless the client proves itself by `Authorization: Basic`. Alone for a public client.
    client_id: Option<String>,
    /// See `client_id`.
    client_secret: Option<String>,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`, for `private_key_jwt`.
    client_assertion_type: Option<String>,
    /// The signed assertion: `iss` and `sub` are the client's id, `aud` the issuer, at most five minutes long, `jti` once.
    client_assertion: Option<String>,
}

/// Get a token.
///
/// By client credentials (RFC 6749, section 4.4) for a machine, by a code (section 4.1.3) for an application that a user let
/// in, or by a refresh token (section 6) for its session, or one of the service's own log-in. A client proves itself by
/// `Authorization: Basic`, by `client_id` and `client_secret`, or by `client_assertion`; a public one names itself by
/// `client_id`. A code that comes twice ends the session that was issued for it.
#[utoipa::path(
    post, path = "/oauth/token", operation_id = "oauth_token", tag = "oauth",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token", body = TokenAnswer),
        (status = 400, description = "invalid_request, invalid_grant, invalid_scope, unauthorized_client or unsupported_grant_type", body = OAuthError),
        (status = 401, description = "invalid_client", body = OAuthError),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn token(State(app): State<App>, origin: Origin, form: OAuthForm) -> Result<NotKept, Failure> {
    let answer = match form.required("grant_type")? {
        "client_credentials" => app.machine_token(&form, &origin).await?,
        "authorization_code" => Box::pin(app.code_tokens(&form, &origin)).await?,
        "refresh_token" if form.is_of_application() => Box::pin(app.renewed_tokens(&form, &origin)).await?,
        "refresh_token" => Box::pin(app.session_tokens(&form, &origin)).await?,
        _ => {
            let offered = "offered are client_credentials, authorization_code and refresh_token";
            return Err(Refused::UnsupportedGrantType.because(offered));
        }
    };
    // `Cache-Control: no-store` has every answer.
    Ok(([(PRAGMA, HeaderValue::from_static("no-cache"))], Json(answer)))
}

impl App {
    /// RFC 6749, section 4.4.
    async fn machine_token(&self, form: &OAuthForm, origin: &Origin) -> Result<TokenAnswer, Failure> {
        let begun = self.clock.now();
        let client = form.client(self, origin).await?;
        client.check_grant(GrantType::ClientCredentials)?;
        let scope = scope(&client, form.get("scope"))?;
        let issued = begun.as_second();
        let claims = Claims {
            iss: self.signer.issuer().to_owned(),
            aud: self.signer.audience().to_owned(),
            sub: client.id.to_string(),
            client_id: client.id.to_string(),
            tid: client.tenant_id,
            sid: None,
            roles: Vec::new(),
            permissions: None,
            scope: scope.clone(),
            auth_time: None,
            acr: None,
            amr: Vec::new(),
            iat: issued,
            as_of: revocation::as_of(begun, client.updated_at).as_millisecond(),
            exp: issued + ACCESS_TOKEN_LIFETIME.as_secs(),
            jti: token_id(&self.random),
        };
        Ok(TokenAnswer {
            access_token: self.signer.sign(&claims).await?,
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
            refresh_token: None,
            id_token: None,
            scope: Some(scope),
        })
    }

    /// RFC 6749, section 6, for a session of the service's own log-in.
    async fn session_tokens(&self, form: &OAuthForm, origin: &Origin) -> Result<TokenAnswer, Failure> {
        if form.get("scope").is_some() {
            return Err(Refused::InvalidScope.because("the tokens of a session have its scope: ask for none"));
        }
        let over = || Refused::InvalidGrant.because("the refresh token is not valid (any more)");
        let presented: RefreshToken = form.required("refresh_token")?.parse().map_err(|_| over())?;
        let refreshed = Box::pin(self.refresh(&presented, None, origin)).await;
        let signed_in = refreshed.map_err(|problem| match problem.kind() {
            // Forbidden: the membership was suspended or is gone.
            ProblemType::InvalidRefreshToken | ProblemType::Forbidden => over(),
            _ => Failure::Problem(problem),
        })?;
        Ok(TokenAnswer {
            access_token: signed_in.access_token,
            token_type: "Bearer",
            expires_in: signed_in.expires_in,
            refresh_token: Some(signed_in.refresh_token),
            id_token: None,
            scope: None,
        })
    }
}

/// The scope of a token: what the client asks for, each once, or all that it may have.
fn scope(client: &Client, asked: Option<&str>) -> Result<String, Failure> {
    let Some(asked) = asked else { return Ok(client.scopes.iter().collect::<Vec<_>>().join(" ")) };
    let asked = Scopes::parse(asked);
    let within = asked.within(|permission| client.scopes.grant(permission));
    within.map_err(|scope| Refused::InvalidScope.because(format!("the client may not have {scope}")))?;
    let mut scopes: Vec<_> = asked.iter().collect();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Refused::InvalidScope.because("the scope is empty"));
    }
    Ok(scopes.join(" "))
}
