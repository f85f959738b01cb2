//! `POST /v1/auth/social/{provider}/start`: begin to sign in by a provider.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{ClientNetwork, Document, FieldError, Json, Path, Problem, ProblemType};
use shared::id::TenantId;
use shared::time::Timestamp;
use url::Url;
use utoipa::ToSchema;

use super::ask::ProviderError;
use super::ceremony::{Begun, Intent, kept_under};
use super::provider::{Kind, Provider};
use super::{Social, github};
use crate::one_time::Ticket;

/// What a client sends.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SocialStart)]
pub struct Start {
    /// Where the browser comes back to with the result: one of the addresses that the installation lists, as it is listed.
    #[schema(example = "https://app.example.com/signed-in")]
    redirect_uri: String,
    /// The tenant that the tokens shall name, of those that the user is a member of. Who has no account yet joins it, where
    /// its settings allow that.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    /// Whether the account of the provider shall be linked to the user who is signed in (`/v1/auth/identities`), instead of
    /// signing in.
    #[serde(default)]
    link: bool,
}

/// What a client does next.
#[derive(Debug, Serialize, ToSchema)]
pub struct SocialLogIn {
    /// Where the browser goes.
    #[schema(example = "https://accounts.google.com/o/oauth2/v2/auth?response_type=code&…")]
    authorization_url: String,
    /// Keep it where only this client has it (not in a URL), and send it with the code that comes back.
    #[schema(example = "tf_ot_…")]
    binding: String,
    /// Until when the browser must be back.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    expires_at: Timestamp,
}

/// Begin to sign in by a provider.
///
/// Send the browser to `authorization_url`. It comes back to `redirect_uri` with `code`, which is good for ten minutes and
/// once, together with `binding`: at `/v1/auth/exchange`. Or it comes back with `error`: `access_denied` (the person or the
/// provider refused), `provider_unavailable` (it does not answer as it should: try again), `provider_error` (it refused what
/// it was asked), `invalid_response` (what it answered must not be believed).
#[utoipa::path(
    post, path = "/v1/auth/social/{provider}/start", operation_id = "start_social_log_in", tag = "auth",
    params(("provider" = String, Path, example = "google")),
    request_body(content = Start, example = json!({"redirect_uri": "https://app.example.com/signed-in"})),
    responses(
        (status = 200, description = "Where the browser goes", body = SocialLogIn),
        (status = 404, description = "not-found: there is no such provider here", body = Document, content_type = "application/problem+json"),
        (status = 422, description = "validation: the redirect_uri is not listed", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = 503, description = "provider-unavailable", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn start(
    State(social): State<Social>,
    network: ClientNetwork,
    Path(name): Path<String>,
    Json(given): Json<Start>,
) -> Result<Json<SocialLogIn>, Problem> {
    let provider = social.providers.get(&name).ok_or_else(Problem::not_found)?;
    if !social.redirect_uris.allow(&given.redirect_uri) {
        let fault = FieldError::new("/redirect_uri", "not_listed", "is not one of the installation's redirect URIs");
        return Err(Problem::validation(vec![fault]));
    }
    social.throttle.admit_network(network).await?;
    let endpoint = social.authorization_endpoint(provider).await.map_err(|error| unavailable(&name, error))?;
    let intent = if given.link { Intent::Link } else { Intent::SignIn };
    let (state, binding) = (Ticket::draw(&social.random), Ticket::draw(&social.random));
    let begun = Begun::new(provider, given.redirect_uri, given.tenant_id, intent, &binding, &social.random);
    let authorization_url = social.authorization_url(&endpoint, provider, &begun, &state)?;
    let one_time = begun.one_time(social.clock.now())?;
    social.accounts.put_ticket(&kept_under(&state), &one_time).await?;
    Ok(Json(SocialLogIn { authorization_url, binding: binding.expose(), expires_at: one_time.expires_at }))
}

impl Social {
    async fn authorization_endpoint(&self, provider: &Provider) -> Result<String, ProviderError> {
        match provider.kind {
            Kind::Oidc => Ok(self.open_id.metadata(provider).await?.authorization_endpoint.clone()),
            Kind::Github => Ok(github::authorization_endpoint(provider)),
        }
    }

    /// The request of RFC 6749, section 4.1.1, with RFC 7636 and the nonce of OpenID Connect.
    fn authorization_url(
        &self,
        endpoint: &str,
        provider: &Provider,
        begun: &Begun,
        state: &Ticket,
    ) -> Result<String, Problem> {
        let mut url = Url::parse(endpoint).map_err(Problem::internal)?;
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &self.callback_url(provider))
            .append_pair("scope", &provider.scope)
            .append_pair("state", &state.expose())
            .append_pair("code_challenge", &begun.challenge())
            .append_pair("code_challenge_method", "S256");
        if provider.kind == Kind::Oidc {
            query.append_pair("nonce", &begun.nonce);
        }
        drop(query);
        Ok(url.into())
    }
}

fn unavailable(provider: &str, error: ProviderError) -> Problem {
    let detail = format!("{provider} does not answer as it should: try again later, or sign in another way");
    Problem::new(ProblemType::ProviderUnavailable, detail).caused_by(error).retry_after(30)
}
