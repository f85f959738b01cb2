//! What clients send: a form, and a proof of who they are.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, FromRequestParts as _, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use shared::config::Secret;
use shared::http::{ClientNetwork, Problem, body_within};

use super::assertion::{self, ASSERTION_TYPE};
use super::client::{Client, ClientId};
use super::refusal::{Failure, Refused};
use crate::app::App;
use crate::audit::{ANONYMOUS, Action, Origin};
use crate::issue::FIRST_PARTY;

/// The largest form, in bytes.
pub(super) const LIMIT: usize = 16 * 1024;

/// The parameters of a request, each once (RFC 6749, section 3.2), and how the client proves itself.
#[derive(Debug)]
pub struct OAuthForm {
    parameters: BTreeMap<String, Secret>,
    credentials: Option<Credentials>,
    network: ClientNetwork,
}

/// Which client it says it is (none when no client has such an id), and its proof.
#[derive(Debug)]
struct Credentials {
    client_id: Option<ClientId>,
    offered: Offered,
}

#[derive(Debug)]
enum Offered {
    Secret(Secret),
    Assertion(Secret),
}

impl OAuthForm {
    /// A parameter; an empty one counts as absent (RFC 6749, section 3.1).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(Secret::expose).filter(|text| !text.is_empty())
    }

    /// A parameter that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, Failure> {
        self.get(name).ok_or_else(|| Refused::InvalidRequest.because(format!("{name} is missing")))
    }

    /// Whether the client sent credentials of its own.
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// The client that the credentials prove. One answer for a client that is unknown and one that did not prove itself.
    pub async fn client(&self, app: &App, origin: &Origin) -> Result<Client, Failure> {
        let Credentials { client_id, offered } = self.credentials.as_ref().ok_or_else(unproved)?;
        let found = match client_id {
            Some(id) => app.accounts.client(id).await?,
            None => None,
        };
        let found = match found {
            Some(client) if offered.proves(app, &client).await? => return Ok(client),
            found => found,
        };
        // Only failures count: nobody guesses a secret, and the clients of a network are many.
        app.throttle.admit_visit(self.network).await?;
        if let Some(client) = found {
            let (action, now) = (Action::ClientRefused, app.clock.now());
            app.audit_later(origin.record(client.tenant_id, action, ANONYMOUS, now, &app.random).on(client.id)).await;
        }
        Err(unproved())
    }
}

impl OAuthForm {
    /// Whether it names a client that is registered, and not the service's own log-in.
    pub fn is_of_application(&self) -> bool {
        self.has_credentials() || self.get("client_id").is_some_and(|client| client != FIRST_PARTY)
    }

    /// The client that the credentials prove; without any, the public client that the form names, which has none.
    pub async fn client_or_public(&self, app: &App, origin: &Origin) -> Result<Client, Failure> {
        if self.has_credentials() {
            return self.client(app, origin).await;
        }
        let named: Option<ClientId> = self.get("client_id").and_then(|id| id.parse().ok());
        let found = match named {
            Some(id) => app.accounts.client(&id).await?,
            None => None,
        };
        found.filter(Client::is_public).ok_or_else(unproved)
    }
}

impl Offered {
    async fn proves(&self, app: &App, client: &Client) -> Result<bool, Problem> {
        match self {
            Self::Secret(secret) => Ok(client.proof.accepts_secret(secret.expose(), app.clock.now())),
            Self::Assertion(token) => assertion::proves(app, client, token.expose()).await,
        }
    }
}

impl FromRequest<App> for OAuthForm {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &App) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let Ok(network) = ClientNetwork::from_request_parts(&mut parts, state).await;
        if !is_form(&parts.headers) {
            return Err(Refused::InvalidRequest.because("send application/x-www-form-urlencoded"));
        }
        let basic = basic(&parts.headers)?;
        let bytes = body_within(Request::from_parts(parts, body), LIMIT).await;
        let bytes = bytes.map_err(|_| Refused::InvalidRequest.because(format!("a form has up to {LIMIT} bytes")))?;
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(&bytes) {
            if parameters.insert(name.into_owned(), Secret::new(value)).is_some() {
                return Err(Refused::InvalidRequest.because("a parameter is there twice"));
            }
        }
        let credentials = credentials(basic, &parameters)?;
        Ok(Self { parameters, credentials, network })
    }
}

/// The one answer to who is no client, or did not prove to be one.
fn unproved() -> Failure {
    Refused::InvalidClient.because("the client did not prove itself")
}

pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Id and secret of `Authorization: Basic`, each form-encoded (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, Secret)>, Failure> {
    let malformed = || {
        Refused::InvalidClient
            .because("the Authorization header must be Basic with the client's id and secret, or absent")
    };
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let (scheme, encoded) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed());
    }
    let decoded = STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.map(Secret::new).ok_or_else(malformed)?;
    let (id, secret) = decoded.expose().split_once(':').ok_or_else(malformed)?;
    let text = |encoded: &str| {
        let spaced = encoded.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| malformed())
    };
    Ok(Some((text(id)?, Secret::new(text(secret)?))))
}

/// The one way by which a client proves itself: more than one is refused (RFC 6749, section 2.3).
fn credentials(
    basic: Option<(String, Secret)>,
    parameters: &BTreeMap<String, Secret>,
) -> Result<Option<Credentials>, Failure> {
    let get = |name: &str| parameters.get(name).filter(|value| !value.expose().is_empty());
    let named = get("client_id").map(Secret::expose);
    let (client_id, offered) = match (basic, get("client_secret"), get("client_assertion")) {
        (Some((id, secret)), None, None) => (id.parse().ok(), Offered::Secret(secret)),
        (None, Some(secret), None) => {
            let id = named.ok_or_else(|| Refused::InvalidRequest.because("client_id is missing"))?;
            (id.parse().ok(), Offered::Secret(secret.clone()))
        }
        (None, None, Some(assertion)) => {
            if get("client_assertion_type").map(Secret::expose) != Some(ASSERTION_TYPE) {
                return Err(Refused::InvalidClient.because(format!("client_assertion_type must be {ASSERTION_TYPE}")));
            }
            (assertion::claimed_client(assertion.expose()), Offered::Assertion(assertion.clone()))
        }
        (None, None, None) => return Ok(None),
        _ => return Err(Refused::InvalidRequest.because("a client proves itself in one way")),
    };
    // RFC 7521, section 4.2: the parameter may be there beside another credential, and names the same client then.
    if named.is_some_and(|named| named.parse().ok() != client_id) {
        return Err(Refused::InvalidRequest.because("two clients are named"));
    }
    Ok(Some(Credentials { client_id, offered }))
}
