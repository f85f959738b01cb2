//! `GET /oauth/authorize`, `POST /oauth/authorize`: where an application sends its user's browser (RFC 6749, section 4.1.1).
//! By both methods, as OpenID Connect Core 1.0, section 3.1.2.1, asks.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{HeaderValue, LOCATION, REFERRER_POLICY};
use http::{StatusCode, Uri};
use shared::http::{ClientNetwork, Document, Problem, ProblemType, body_within};
use url::Url;
use url::form_urlencoded::{self, Serializer};
use utoipa::{IntoParams, ToSchema};

use super::authorization::{self, AuthorizationRequest, Denied, is_silent};
use super::client::{Client, ClientId};
use super::form::{LIMIT, is_form};
use super::id_token;
use super::redirect_uri::{answer, location, shown_host};
use crate::app::App;
use crate::pages;

/// The page that asks the user, where the owner has none.
const PAGE: &str = "/auth/authorize";
/// The longest `login_hint` that is passed on: that of an address.
const LONGEST_HINT: usize = 254;

/// The parameters, for the description. Others are not looked at.
#[derive(Debug, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[schema(as = AuthorizationRequest)]
#[allow(dead_code)] // it describes the query and the form, which are read parameter by parameter
pub struct AuthorizeParameters {
    /// `code`.
    response_type: String,
    /// Who asks.
    client_id: String,
    /// Where the answer goes: one of the client's.
    redirect_uri: String,
    /// The SHA-256 of the verifier, base64url (RFC 7636).
    code_challenge: String,
    /// `S256`.
    code_challenge_method: String,
    /// Scopes separated by spaces, within the client's; all of them without it. `openid`, `email` and `profile` (OpenID Connect)
    /// are any client's to ask for. Beside `openid`, what is no scope here is ignored.
    scope: Option<String>,
    /// Returned as it is.
    state: Option<String>,
    /// For the id token (OpenID Connect).
    nonce: Option<String>,
    /// `consent` asks also for what was agreed to before, `login` takes a new sign-in alone. `none` is always answered with
    /// `login_required`: there is no sign-in of the browser's. Other values are not looked at.
    prompt: Option<String>,
    /// How many seconds ago the user may have signed in.
    max_age: Option<u32>,
    /// The address with which the user probably signs in, up to 254 bytes: the page begins with it.
    login_hint: Option<String>,
    /// An id token that the client had of the user who is expected: one that has expired is taken, too. When another user
    /// signs in, the answer is `login_required`.
    id_token_hint: Option<String>,
}

/// Ask a user for access.
///
/// Sends the browser to the page that asks the user, and from there to `redirect_uri` with `code`, `state` and `iss` (RFC
/// 9207), or with `error`. A client or redirect URI that is not registered gets a page, and is sent nowhere. What is wrong
/// otherwise gets a page with a link to `redirect_uri` and the `error` (RFC 9700, section 4.11.2); with `prompt=none` the
/// browser is sent there at once. Every client uses PKCE with `S256`.
#[utoipa::path(
    get, path = "/oauth/authorize", operation_id = "oauth_authorize", tag = "oauth",
    params(AuthorizeParameters),
    responses(
        (status = 303, description = "To the page that asks; with prompt=none, with an error to the client", headers(("Location" = String))),
        (status = 400, description = "A page: the client or its redirect URI is not registered, or the request is wrong otherwise", body = String, content_type = "text/html"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn authorize(State(app): State<App>, network: ClientNetwork, uri: Uri) -> Result<Response, Problem> {
    begin(&app, network, uri.query().unwrap_or_default().as_bytes()).await
}

/// Ask a user for access, by a form.
///
/// The same with the parameters in a form of up to 16 KiB: what an application's page submits. A query is not looked at.
#[utoipa::path(
    post, path = "/oauth/authorize", operation_id = "oauth_authorize_by_form", tag = "oauth",
    request_body(content = AuthorizeParameters, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "To the page that asks; with prompt=none, with an error to the client", headers(("Location" = String))),
        (status = 400, description = "A page: the client or its redirect URI is not registered, or the request is wrong otherwise", body = String, content_type = "text/html"),
        (status = 415, description = "unsupported-media-type: it is no form", body = Document, content_type = "application/problem+json"),
        (status = 429, description = "rate-limited", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn authorize_by_form(
    State(app): State<App>,
    network: ClientNetwork,
    AuthorizeForm(form): AuthorizeForm,
) -> Result<Response, Problem> {
    begin(&app, network, &form).await
}

/// A form as it was sent.
#[derive(Debug)]
pub struct AuthorizeForm(Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for AuthorizeForm {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        if !is_form(request.headers()) {
            let detail = "send application/x-www-form-urlencoded";
            return Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
        }
        Ok(Self(body_within(request, LIMIT).await?.to_vec()))
    }
}

/// Keeps what the parameters ask for, and sends the browser to the page where it is decided. What is wrong is shown, and told
/// to the client when its user follows the link: whoever registers a client must not have a link of ours that leads to them by
/// itself (RFC 9700, section 4.11.2). With `prompt=none` nothing may be shown.
async fn begin(app: &App, network: ClientNetwork, parameters: &[u8]) -> Result<Response, Problem> {
    let (parameters, repeated) = read(parameters);
    let get = |name: &str| parameters.get(name).filter(|_| !repeated.iter().any(|twice| twice == name));
    let client_id: Option<ClientId> = get("client_id").and_then(|id| id.parse().ok());
    let client = match client_id {
        Some(id) => app.accounts.client(&id).await?,
        None => None,
    };
    let Some(client) = client else { return Ok(pages::unknown_application()) };
    let redirect_uri = get("redirect_uri").filter(|uri| client.redirects_to(uri));
    let Some(redirect_uri) = redirect_uri else { return Ok(pages::unknown_redirect_uri()) };
    let request = if repeated.is_empty() {
        AuthorizationRequest::read(&parameters, &client, redirect_uri, app.clock.now())
    } else {
        Err(Denied::new("invalid_request", "a parameter is there twice"))
    };
    let request = match request {
        Ok(request) => {
            app.throttle.admit_visit(network).await?;
            app.expecting(request, &client, get("id_token_hint")).await?
        }
        denied => denied,
    };
    match request {
        Ok(request) => {
            let now = app.clock.now();
            let id = authorization::keep_request(&app.accounts, &request, now, &app.random).await?;
            let page = app.consent_url.as_ref().map_or(PAGE, Url::as_str);
            let page = answer(page, &[("request", &id.expose())]);
            see_other(&with_hint(page, get("login_hint")))
        }
        Err(Denied { error, description }) => {
            let mut members = vec![("error", error), ("error_description", &description)];
            members.extend(get("state").map(|state| ("state", state.as_str())));
            members.push(("iss", app.signer.issuer()));
            let back = answer(redirect_uri, &members);
            if is_silent(get("prompt").map(String::as_str)) {
                see_other(&back)
            } else {
                Ok(pages::wrong_request(error, &shown_host(redirect_uri), &back))
            }
        }
    }
}

/// The page's address with the user's: in the fragment, which no server sees, and only where there is none.
fn with_hint(page: String, hint: Option<&String>) -> String {
    match hint.filter(|hint| (1..=LONGEST_HINT).contains(&hint.len()) && !page.contains('#')) {
        // A script reads it as it reads a query.
        Some(hint) => format!("{page}#{}", Serializer::new(String::new()).append_pair("login_hint", hint).finish()),
        None => page,
    }
}

impl App {
    /// The request with the user whom `hint` names. A hint that names nobody for sure is refused: nothing else makes sure
    /// that no other user is taken for the one who is meant (OpenID Connect Core 1.0, section 3.1.2.1).
    async fn expecting(
        &self,
        request: AuthorizationRequest,
        client: &Client,
        hint: Option<&String>,
    ) -> Result<Result<AuthorizationRequest, Denied>, Problem> {
        let Some(hint) = hint.filter(|hint| !hint.is_empty()) else { return Ok(Ok(request)) };
        let keys = self.accounts.identity().key_set().await?;
        let expected = id_token::user_of(hint, &keys, self.signer.issuer(), &client.id);
        Ok(expected.map(|user| AuthorizationRequest { expected_user: Some(user), ..request }))
    }
}

/// The parameters of a query or form, and the names of those that are there twice (RFC 6749, section 3.1).
fn read(encoded: &[u8]) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut parameters, mut repeated) = (BTreeMap::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(encoded) {
        if parameters.insert(name.to_string(), value.into_owned()).is_some() {
            repeated.push(name.into_owned());
        }
    }
    (parameters, repeated)
}

/// Sends the browser on. The page there does not learn the URL of this one.
fn see_other(to: &str) -> Result<Response, Problem> {
    let to = location(to).map_err(Problem::internal)?;
    let referrer = (REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok((StatusCode::SEE_OTHER, [(LOCATION, to), referrer]).into_response())
}
