//! The metadata of the authorization server: what [`crate::oauth`] offers, and where.

use serde::Serialize;
use shared::identity::permission::ALL;
use url::Url;
use utoipa::ToSchema;

use crate::issue::{ONE_FACTOR, TWO_FACTORS};
use crate::oauth::grant::ABOUT_THE_USER;

/// What an id token and `/oauth/userinfo` tell.
const CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "acr",
    "amr",
    "email",
    "email_verified",
    "name",
    "updated_at",
];
/// How a client proves who it is.
const CLIENT: &[&str] = &["client_secret_basic", "client_secret_post", "private_key_jwt"];
/// The same, where whoever holds a token may use it without.
const ANYBODY: &[&str] = &["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
/// How the assertions of `private_key_jwt` are signed: what [`crate::foreign_token`] verifies.
const SIGNATURES: &[&str] = &["EdDSA", "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

/// The metadata of the authorization server (RFC 8414, section 2).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuthorizationServerMetadata, example = json!({
    "issuer": "https://api.example.com",
    "jwks_uri": "https://api.example.com/.well-known/jwks.json",
    "authorization_endpoint": "https://api.example.com/oauth/authorize",
    "token_endpoint": "https://api.example.com/oauth/token",
    "revocation_endpoint": "https://api.example.com/oauth/revoke",
    "introspection_endpoint": "https://api.example.com/oauth/introspect",
    "userinfo_endpoint": "https://api.example.com/oauth/userinfo",
    "scopes_supported": ["openid", "email", "profile", "links:read", "links:write"],
    "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "email", "email_verified", "name"],
    "request_parameter_supported": false,
    "request_uri_parameter_supported": false,
    "claims_parameter_supported": false,
    "acr_values_supported": ["urn:tenfold:aal1", "urn:tenfold:aal2"],
    "ui_locales_supported": ["en"],
    "response_types_supported": ["code"],
    "response_modes_supported": ["query"],
    "code_challenge_methods_supported": ["S256"],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["EdDSA"],
    "authorization_response_iss_parameter_supported": true,
    "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
    "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256", "RS256"],
    "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
    "revocation_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256", "RS256"],
    "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
    "introspection_endpoint_auth_signing_alg_values_supported": ["EdDSA", "ES256", "RS256"],
}))]
#[allow(clippy::struct_excessive_bools)] // the members are the standards'
pub(super) struct Metadata {
    /// The `iss` of every token.
    issuer: String,
    /// The keys that verify them.
    jwks_uri: String,
    /// Where an application sends its user's browser (RFC 6749, section 3.1).
    authorization_endpoint: String,
    /// Where a token is asked for (RFC 6749, section 3.2).
    token_endpoint: String,
    /// Where a token is given up (RFC 7009).
    revocation_endpoint: String,
    /// Where a token is looked at (RFC 7662).
    introspection_endpoint: String,
    /// Where an application asks who let it in (OpenID Connect Core 1.0, section 5.3).
    userinfo_endpoint: String,
    /// What may be asked for, by an application or by a machine.
    #[schema(value_type = Vec<String>)]
    scopes_supported: Vec<&'static str>,
    /// What an id token and `/oauth/userinfo` tell.
    #[schema(value_type = Vec<String>)]
    claims_supported: &'static [&'static str],
    /// There are no request objects (OpenID Connect Core 1.0, section 6.1).
    request_parameter_supported: bool,
    /// Nor are any fetched (section 6.2).
    request_uri_parameter_supported: bool,
    /// Nor are claims asked for one by one (section 5.5).
    claims_parameter_supported: bool,
    /// What an `acr` may be: one factor, or two. A request does not choose.
    #[schema(value_type = Vec<String>)]
    acr_values_supported: &'static [&'static str],
    /// What the page that asks the user is written in.
    #[schema(value_type = Vec<String>)]
    ui_locales_supported: &'static [&'static str],
    /// What the authorization endpoint answers.
    #[schema(value_type = Vec<String>)]
    response_types_supported: &'static [&'static str],
    /// Where it puts that.
    #[schema(value_type = Vec<String>)]
    response_modes_supported: &'static [&'static str],
    /// How a code is bound to its request (RFC 7636); each must be.
    #[schema(value_type = Vec<String>)]
    code_challenge_methods_supported: &'static [&'static str],
    /// A user has one `sub` for all clients (OpenID Connect Discovery 1.0, section 3).
    #[schema(value_type = Vec<String>)]
    subject_types_supported: &'static [&'static str],
    /// How id tokens are signed.
    #[schema(value_type = Vec<String>)]
    id_token_signing_alg_values_supported: &'static [&'static str],
    /// Its answers name the issuer (RFC 9207).
    authorization_response_iss_parameter_supported: bool,
    /// What the token endpoint takes.
    #[schema(value_type = Vec<String>)]
    grant_types_supported: &'static [&'static str],
    /// How a client proves who it is there; `none` for public clients.
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_methods_supported: &'static [&'static str],
    /// How its assertion may be signed.
    #[schema(value_type = Vec<String>)]
    token_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    /// How a client proves who it is there; `none` for whoever holds the token.
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    /// How its assertion may be signed.
    #[schema(value_type = Vec<String>)]
    revocation_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    /// How a client proves who it is there.
    #[schema(value_type = Vec<String>)]
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    /// How its assertion may be signed.
    #[schema(value_type = Vec<String>)]
    introspection_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
}

impl Metadata {
    /// Of the installation that clients reach at `base`.
    pub(super) fn new(issuer: &str, base: &Url) -> Result<Self, url::ParseError> {
        let at = |path| base.join(path).map(String::from);
        Ok(Self {
            issuer: issuer.to_owned(),
            jwks_uri: at("/.well-known/jwks.json")?,
            authorization_endpoint: at("/oauth/authorize")?,
            token_endpoint: at("/oauth/token")?,
            revocation_endpoint: at("/oauth/revoke")?,
            introspection_endpoint: at("/oauth/introspect")?,
            userinfo_endpoint: at("/oauth/userinfo")?,
            scopes_supported: ABOUT_THE_USER.iter().chain(ALL).copied().collect(),
            claims_supported: CLAIMS,
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
            claims_parameter_supported: false,
            acr_values_supported: &[ONE_FACTOR, TWO_FACTORS],
            ui_locales_supported: &["en"],
            response_types_supported: &["code"],
            response_modes_supported: &["query"],
            code_challenge_methods_supported: &["S256"],
            subject_types_supported: &["public"],
            id_token_signing_alg_values_supported: &["EdDSA"],
            authorization_response_iss_parameter_supported: true,
            grant_types_supported: &["client_credentials", "authorization_code", "refresh_token"],
            token_endpoint_auth_methods_supported: ANYBODY,
            token_endpoint_auth_signing_alg_values_supported: SIGNATURES,
            revocation_endpoint_auth_methods_supported: ANYBODY,
            revocation_endpoint_auth_signing_alg_values_supported: SIGNATURES,
            introspection_endpoint_auth_methods_supported: CLIENT,
            introspection_endpoint_auth_signing_alg_values_supported: SIGNATURES,
        })
    }
}
