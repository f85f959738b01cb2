//! `GET /v1/auth/social/{provider}/callback`: where the provider sends the browser.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION, REFERRER_POLICY};
use serde::Deserialize;
use shared::http::{ClientNetwork, Document, Path, Problem, Query};
use utoipa::IntoParams;

use super::ask::ProviderError;
use super::ceremony::{Begun, Proven, kept_under, void};
use super::identity::ProvenIdentity;
use super::provider::{Kind, Provider};
use super::redirect_uris::location;
use super::{Social, github};
use crate::one_time::Ticket;

/// What the browser brings (RFC 6749, section 4.1.2; RFC 9207). Providers add more, which is not looked at.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Callback {
    /// The provider's code.
    code: Option<String>,
    /// What the start gave to the provider.
    state: Option<String>,
    /// The provider's issuer.
    iss: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// Come back from a provider.
///
/// The browser is sent on to the client's `redirect_uri` with `code` or `error` (see the start). Only a `state` that is not
/// known, was used, or is too old gets an answer of its own.
#[utoipa::path(
    get, path = "/v1/auth/social/{provider}/callback", operation_id = "finish_social_log_in", tag = "auth",
    params(("provider" = String, Path, example = "google"), Callback),
    responses(
        (status = 303, description = "To the redirect_uri", headers(("Location" = String))),
        (status = 400, description = "invalid-one-time-token: the state is void", body = Document, content_type = "application/problem+json"),
        (status = 404, description = "not-found: there is no such provider here", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn callback(
    State(social): State<Social>,
    network: ClientNetwork,
    Path(name): Path<String>,
    Query(given): Query<Callback>,
) -> Result<Response, Problem> {
    let provider = social.providers.get(&name).ok_or_else(Problem::not_found)?;
    social.throttle.admit_visit(network).await?;
    let state = given.state.as_deref().ok_or_else(void)?;
    let begun = Begun::take(&social.accounts, state, social.clock.now()).await?;
    match social.proven(provider, &begun, &given).await {
        Ok(identity) => {
            let proven = Proven { identity, tenant_id: begun.tenant_id, intent: begun.intent, binding: begun.binding };
            let code = Ticket::draw(&social.random);
            social.accounts.put_ticket(&kept_under(&code), &proven.one_time(social.clock.now())?).await?;
            back(&begun.redirect_uri, "code", &code.expose())
        }
        Err(error) => {
            tracing::warn!(provider = name, error = shared::telemetry::chain(&error), "a provider proved nobody");
            back(&begun.redirect_uri, "error", error.code())
        }
    }
}

impl Social {
    /// Whom the provider proves. Nothing is sent to a provider before it is known that the answer is its own.
    async fn proven(
        &self,
        provider: &Provider,
        begun: &Begun,
        given: &Callback,
    ) -> Result<ProvenIdentity, ProviderError> {
        if begun.provider != provider.name || begun.issuer != provider.issuer {
            return Err(ProviderError::NotAcceptable("the log-in was begun with another provider"));
        }
        let (issuer, names_itself) = match provider.kind {
            Kind::Oidc => {
                let metadata = self.open_id.metadata(provider).await?;
                (provider.issuer.clone(), metadata.authorization_response_iss_parameter_supported)
            }
            Kind::Github => (github::issuer_parameter(provider), false),
        };
        if given.iss.as_ref().is_some_and(|named| *named != issuer) {
            return Err(ProviderError::NotAcceptable("the answer is another issuer's"));
        }
        // Before it is asked for its name: some providers leave that out here, and an error is sent to nobody.
        if let Some(error) = &given.error {
            return Err(ProviderError::of_code(error));
        }
        if names_itself && given.iss.is_none() {
            return Err(ProviderError::NotAcceptable("the answer does not name its issuer"));
        }
        let code = given.code.as_deref().ok_or(ProviderError::NotAcceptable("there is no code"))?;
        let callback = self.callback_url(provider);
        match provider.kind {
            Kind::Oidc => self.open_id.prove(provider, begun, code, &callback).await,
            Kind::Github => github::prove(&self.outbound, provider, begun, code, &callback).await,
        }
    }
}

/// Sends the browser on. The page there does not learn the URL of this one, which had the provider's code.
fn back(redirect_uri: &str, name: &str, value: &str) -> Result<Response, Problem> {
    let referrer = (REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location(redirect_uri, name, value)?), referrer]).into_response())
}
