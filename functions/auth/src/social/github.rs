//! GitHub: OAuth 2, and its own API for who somebody is.

use http::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::outbound::Outbound;

use super::ask::{ProviderError, ask, form, get};
use super::ceremony::Begun;
use super::identity::{ProvenIdentity, Said};
use super::oidc::bearer;
use super::provider::Provider;

/// The version of the API (<https://docs.github.com/en/rest/about-the-rest-api/api-versions>).
const API_VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28"));

/// The answer of the token endpoint. A refusal has the status of success, too.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    error: Option<String>,
}

/// <https://docs.github.com/en/rest/users/users#get-the-authenticated-user>
#[derive(Deserialize)]
struct Account {
    /// Stays the same when the account is renamed; a freed name can become somebody else's.
    id: u64,
    name: Option<String>,
}

/// <https://docs.github.com/en/rest/users/emails#list-email-addresses-for-the-authenticated-user>
#[derive(Deserialize)]
struct Address {
    email: String,
    primary: bool,
    verified: bool,
}

/// Where the browser goes.
pub fn authorization_endpoint(provider: &Provider) -> String {
    format!("{}/login/oauth/authorize", provider.issuer)
}

/// What GitHub calls itself, should it name itself in what the browser brings back (RFC 9207).
pub fn issuer_parameter(provider: &Provider) -> String {
    format!("{}/login/oauth", provider.issuer)
}

/// Who signed in, by the code that the browser brought back.
pub async fn prove(
    outbound: &Outbound,
    provider: &Provider,
    begun: &Begun,
    code: &str,
    callback: &str,
) -> Result<ProvenIdentity, ProviderError> {
    let secret = provider.client_secret.as_ref().map(|secret| ("client_secret", secret.expose()));
    let fields = [
        ("client_id", provider.client_id.as_str()),
        ("code", code),
        ("redirect_uri", callback),
        ("code_verifier", begun.verifier.as_str()),
    ];
    let fields: Vec<_> = fields.into_iter().chain(secret).collect();
    let url = format!("{}/login/oauth/access_token", provider.issuer);
    let answer: Answer = ask(outbound, form(&url, &fields)).await?;
    if let Some(error) = answer.error {
        return Err(ProviderError::of_code(&error));
    }
    let token = bearer(&answer.access_token.ok_or(ProviderError::Unreadable("a token"))?)?;
    let account: Account = tell(outbound, &format!("{}/user", provider.api_url), &token).await?;
    let addresses: Vec<Address> = tell(outbound, &format!("{}/user/emails", provider.api_url), &token).await?;
    let primary = addresses.into_iter().find(|address| address.primary && address.verified);
    let said = Said {
        subject: account.id.to_string(),
        email_verified: primary.is_some(),
        email: primary.map(|address| address.email),
        name: account.name,
    };
    ProvenIdentity::of(provider, said).ok_or(ProviderError::NotAcceptable("the subject is not one"))
}

async fn tell<T: DeserializeOwned>(outbound: &Outbound, url: &str, token: &HeaderValue) -> Result<T, ProviderError> {
    let mut request = get(url);
    let (name, version) = API_VERSION;
    request.headers.insert(name, version);
    request.headers.insert(AUTHORIZATION, token.clone());
    request.headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    ask(outbound, request).await
}
