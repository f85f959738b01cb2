//! A provider that speaks OpenID Connect: all but its issuer is discovered.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Deserialize;
use serde_json::Value;
use shared::config::Secret;
use shared::outbound::{Outbound, Request};
use shared::time::Clock;
use url::form_urlencoded::byte_serialize;

use super::ask::{ProviderError, Published, ask, form, get};
use super::ceremony::Begun;
use super::identity::{ProvenIdentity, Said};
use super::provider::Provider;
use crate::foreign_token::{self, Expected, InvalidForeignToken};

/// What a provider says of itself (OpenID Connect Discovery 1.0, section 3; RFC 8414; RFC 9207).
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    issuer: String,
    /// Where the browser goes.
    pub authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether it names itself in what the browser brings back (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// The answer of a token endpoint.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// The claims of an id token. Signature, issuer, audience and times are verified before they are read.
#[derive(Deserialize)]
struct IdToken {
    azp: Option<String>,
    nonce: Option<String>,
    #[serde(flatten)]
    person: Person,
}

/// The claims about a person, in an id token or of the userinfo endpoint.
#[derive(Deserialize)]
struct Person {
    sub: String,
    email: Option<String>,
    /// Some providers write it as a text.
    email_verified: Option<Value>,
    name: Option<String>,
}

/// Asks OpenID providers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OpenId {
    outbound: Outbound,
    metadata: Published<Metadata>,
    key_sets: Published<JwkSet>,
    clock: Clock,
}

impl OpenId {
    /// A client that knows nothing yet.
    pub fn new(outbound: Outbound, clock: Clock) -> Self {
        Self { outbound, metadata: Published::new(clock.clone()), key_sets: Published::new(clock.clone()), clock }
    }

    /// What the provider says of itself.
    pub async fn metadata(&self, provider: &Provider) -> Result<Arc<Metadata>, ProviderError> {
        let url = format!("{}/.well-known/openid-configuration", provider.issuer.trim_end_matches('/'));
        self.metadata
            .get(&url, async {
                let metadata: Metadata = ask(&self.outbound, get(&url)).await?;
                self.check(&metadata, provider)?;
                Ok(metadata)
            })
            .await
    }

    /// OpenID Connect Discovery 1.0, section 4.3; and only addresses that may be asked.
    fn check(&self, metadata: &Metadata, provider: &Provider) -> Result<(), ProviderError> {
        if metadata.issuer != provider.issuer {
            return Err(ProviderError::NotAcceptable("the metadata is another issuer's"));
        }
        let endpoints = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        for endpoint in endpoints.into_iter().chain(&metadata.userinfo_endpoint) {
            self.outbound.check(&get(endpoint))?;
        }
        Ok(())
    }

    /// Who signed in, by the code that the browser brought back.
    pub async fn prove(
        &self,
        provider: &Provider,
        begun: &Begun,
        code: &str,
        callback: &str,
    ) -> Result<ProvenIdentity, ProviderError> {
        let metadata = self.metadata(provider).await?;
        let request = token_request(&metadata, provider, begun, code, callback)?;
        let tokens: Tokens = ask(&self.outbound, request).await?;
        let id_token = self.verify(&metadata, provider, &tokens.id_token).await?;
        check_claims(&id_token, provider, begun)?;
        let mut person = id_token.person;
        if let (None, Some(endpoint), Some(access_token)) =
            (&person.email, &metadata.userinfo_endpoint, tokens.access_token)
        {
            let mut request = get(endpoint);
            request.headers.insert(AUTHORIZATION, bearer(&access_token)?);
            let told: Person = ask(&self.outbound, request).await?;
            // OpenID Connect Core 1.0, section 5.3.2.
            if told.sub != person.sub {
                return Err(ProviderError::NotAcceptable("the userinfo endpoint tells of somebody else"));
            }
            person = told;
        }
        ProvenIdentity::of(provider, person.into()).ok_or(ProviderError::NotAcceptable("the subject is not one"))
    }

    /// The claims of a token that the provider's keys verify. A key that is not known is looked for once: it may be new.
    async fn verify(&self, metadata: &Metadata, provider: &Provider, token: &str) -> Result<IdToken, ProviderError> {
        let url = &metadata.jwks_uri;
        let audiences = [provider.client_id.as_str()];
        let expected = Expected { issuer: &provider.issuer, audiences: &audiences, now: self.clock.now() };
        let keys = self.key_sets.get(url, self.key_set(url)).await?;
        match foreign_token::verify(token, &keys, expected) {
            Err(InvalidForeignToken::UnknownKey) => {
                let keys = self.key_sets.load(url, self.key_set(url)).await?;
                Ok(foreign_token::verify(token, &keys, expected)?)
            }
            verified => Ok(verified?),
        }
    }

    /// The provider's keys; those of a kind that is not known here are left out (RFC 7517, section 5).
    async fn key_set(&self, url: &str) -> Result<JwkSet, ProviderError> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<Value>,
        }
        let Keys { keys } = ask(&self.outbound, get(url)).await?;
        Ok(JwkSet { keys: keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()).collect() })
    }
}

/// The request of RFC 6749, section 4.1.3, with RFC 7636. The client proves itself as the provider has it.
fn token_request(
    metadata: &Metadata,
    provider: &Provider,
    begun: &Begun,
    code: &str,
    callback: &str,
) -> Result<Request, ProviderError> {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", callback),
        ("code_verifier", begun.verifier.as_str()),
    ];
    let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
    // Without a list it is client_secret_basic.
    let takes = |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
    let basic = methods.is_none() || takes("client_secret_basic") || !takes("client_secret_post");
    match &provider.client_secret {
        Some(secret) if basic => {
            let mut request = form(&metadata.token_endpoint, &fields);
            request.headers.insert(AUTHORIZATION, basic_credentials(&provider.client_id, secret)?);
            return Ok(request);
        }
        Some(secret) => fields.extend([("client_id", provider.client_id.as_str()), ("client_secret", secret.expose())]),
        None => fields.push(("client_id", provider.client_id.as_str())),
    }
    Ok(form(&metadata.token_endpoint, &fields))
}

/// RFC 6749, section 2.3.1: both are encoded as in a form first.
fn basic_credentials(client_id: &str, secret: &Secret) -> Result<HeaderValue, ProviderError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    header(&format!("Basic {}", STANDARD.encode(credentials)))
}

/// An access token of a provider's (RFC 6750, section 2.1).
pub fn bearer(access_token: &str) -> Result<HeaderValue, ProviderError> {
    header(&format!("Bearer {access_token}"))
}

fn header(text: &str) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::try_from(text).map_err(|_| ProviderError::NotAcceptable("a token has no form"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// What OpenID Connect Core 1.0, section 3.1.3.7, asks of an id token beyond what every token of others is asked for.
fn check_claims(token: &IdToken, provider: &Provider, begun: &Begun) -> Result<(), ProviderError> {
    if token.azp.as_ref().is_some_and(|party| *party != provider.client_id) {
        return Err(ProviderError::NotAcceptable("the id token was issued to another client"));
    }
    if token.nonce.as_ref() != Some(&begun.nonce) {
        return Err(ProviderError::NotAcceptable("the id token is of another log-in"));
    }
    Ok(())
}

impl From<Person> for Said {
    fn from(person: Person) -> Self {
        let verified = person.email_verified.is_some_and(|verified| verified == true || verified == "true");
        Self { subject: person.sub, email: person.email, email_verified: verified, name: person.name }
    }
}

#[cfg(test)]
#[path = "oidc_tests.rs"]
mod tests;
