//! The authorization code flow between its requests (RFC 6749, section 4.1): the request that waits for its user, and the
//! code that waits for its client.
//!
//! ```text
//! GET /oauth/authorize ──► request   10 minutes, decided once
//!        a user allows ──► code      60 seconds, used once; and a session that has no tokens yet
//!     POST /oauth/token ──► used      an hour: a second use of the code ends the session
//! ```
//!
//! The session is there from the decision on, so that whatever ends sessions (signing out everywhere, a new password, the
//! end of the grant) ends one whose code is still on its way.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use shared::http::Problem;
use shared::identity::Scopes;
use shared::random::Random;
use shared::time::{SignedDuration, Timestamp};

use super::client::{Client, ClientId};
use super::grant;
use super::pkce::Challenge;
use super::refusal::describable;
use crate::one_time::{OneTime, Purpose, Ticket, TicketHash};
use crate::session::SessionId;
use crate::store::{AccountStore, Write};
use crate::user::UserId;

/// How long a code is good for.
pub const CODE_LIFETIME: SignedDuration = SignedDuration::from_secs(60);
/// How long it is remembered that a code was used.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);
/// The longest `state` and `nonce`, in bytes.
const LONGEST_TEXT: usize = 4096;

/// A request that a user is to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client_id: ClientId,
    /// Where the answer goes: one of the client's, as the request has it.
    pub redirect_uri: String,
    /// The client's own, returned as it is.
    pub state: Option<String>,
    /// What for.
    pub scopes: Scopes,
    /// What the code's verifier must make.
    pub challenge: Challenge,
    /// What the id token must repeat.
    pub nonce: Option<String>,
    /// Whether the user is to be asked whatever they agreed to before (`prompt=consent`).
    pub asks_again: bool,
    /// Since when the user must have proved themselves (`prompt=login`, `max_age`).
    pub authenticated_since: Option<Timestamp>,
    /// The only user who is wanted (`id_token_hint`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_user: Option<UserId>,
}

/// A code that was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationCode {
    /// Whose it is.
    pub client_id: ClientId,
    /// Where it was sent.
    pub redirect_uri: String,
    /// What its verifier must make.
    pub challenge: Challenge,
    /// What the id token must repeat.
    pub nonce: Option<String>,
    /// Who let the client in.
    pub user_id: UserId,
    /// The session that waits for it.
    pub session_id: SessionId,
}

/// A code that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedCode {
    /// Whose session.
    pub user_id: UserId,
    /// What was issued for it.
    pub session_id: SessionId,
}

/// Why a request gets no code, as its client is told (RFC 6749, section 4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The code, for programs.
    pub error: &'static str,
    /// What is wrong, for people.
    pub description: String,
}

impl Denied {
    /// A refusal.
    pub fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: describable(description) }
    }
}

impl AuthorizationRequest {
    /// What the parameters of a request ask of a `client` that `redirect_uri` belongs to.
    pub fn read(
        parameters: &BTreeMap<String, String>,
        client: &Client,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Result<Self, Denied> {
        let get = |name: &str| parameters.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let invalid = |description: &str| Denied::new("invalid_request", description);
        for (name, error) in [
            ("request", "request_not_supported"),
            ("request_uri", "request_uri_not_supported"),
            ("registration", "registration_not_supported"),
        ] {
            if get(name).is_some() {
                return Err(Denied::new(error, "the parameters are taken as they are"));
            }
        }
        match get("response_type") {
            Some("code") => {}
            Some(_) => return Err(Denied::new("unsupported_response_type", "offered is code")),
            None => return Err(invalid("response_type is missing")),
        }
        if get("response_mode").is_some_and(|mode| mode != "query") {
            return Err(invalid("the answer goes into the query"));
        }
        if ["state", "nonce"].iter().any(|name| get(name).is_some_and(|text| text.len() > LONGEST_TEXT)) {
            return Err(invalid("state and nonce have up to 4096 bytes"));
        }
        if get("code_challenge_method") != Some("S256") {
            return Err(invalid("code_challenge_method must be S256"));
        }
        let challenge = get("code_challenge").and_then(Challenge::parse);
        let challenge =
            challenge.ok_or_else(|| invalid("code_challenge must be the SHA-256 of a verifier, base64url"))?;
        let scopes = grant::asked(client, get("scope"))
            .map_err(|scope| Denied::new("invalid_scope", format!("the client may not have {scope}")))?;
        if scopes.iter().next().is_none() {
            return Err(Denied::new("invalid_scope", "the scope is empty"));
        }
        let (asks_again, authenticated_since) = prompts(get("prompt"), get("max_age"), now)?;
        Ok(Self {
            client_id: client.id,
            redirect_uri: redirect_uri.to_owned(),
            state: get("state").map(str::to_owned),
            scopes,
            challenge,
            nonce: get("nonce").map(str::to_owned),
            asks_again,
            authenticated_since,
            expected_user: None,
        })
    }

    /// The code that answers it, for a session that was begun.
    pub fn code(&self, user_id: UserId, session_id: SessionId) -> AuthorizationCode {
        AuthorizationCode {
            client_id: self.client_id,
            redirect_uri: self.redirect_uri.clone(),
            challenge: self.challenge.clone(),
            nonce: self.nonce.clone(),
            user_id,
            session_id,
        }
    }
}

/// The values of a `prompt`.
fn prompts_of(prompt: Option<&str>) -> impl Iterator<Item = &str> {
    prompt.unwrap_or_default().split(' ').filter(|one| !one.is_empty())
}

/// Whether no page may be shown: who asks is told at once whatever there is to tell (OpenID Connect Core 1.0, section 3.1.2.1).
pub fn is_silent(prompt: Option<&str>) -> bool {
    prompts_of(prompt).any(|one| one == "none")
}

/// Whether the user is asked again, and since when they must have proved themselves (OpenID Connect Core 1.0, section
/// 3.1.2.1). There is no cookie, so that nobody is signed in before the page says so.
fn prompts(prompt: Option<&str>, max_age: Option<&str>, now: Timestamp) -> Result<(bool, Option<Timestamp>), Denied> {
    let prompts: Vec<_> = prompts_of(prompt).collect();
    if is_silent(prompt) {
        let alone = prompts.len() == 1;
        let error = if alone { "login_required" } else { "invalid_request" };
        return Err(Denied::new(error, "the user has to be asked: prompt cannot be none"));
    }
    let since = match max_age {
        Some(seconds) => {
            let seconds =
                seconds.parse::<u32>().map_err(|_| Denied::new("invalid_request", "max_age is in seconds"))?;
            now.checked_sub(SignedDuration::from_secs(i64::from(seconds))).ok()
        }
        None => None,
    };
    let since = if prompts.contains(&"login") { Some(now) } else { since };
    Ok((prompts.contains(&"consent"), since))
}

/// The names in the tickets.
const REQUEST: &str = "oauth.request";
const CODE: &str = "oauth.code";
const USED: &str = "oauth.used";

/// Keeps a request that waits. Answers its id.
pub async fn keep_request(
    accounts: &AccountStore,
    request: &AuthorizationRequest,
    now: Timestamp,
    random: &Random,
) -> Result<Ticket, Problem> {
    let id = Ticket::draw(random);
    accounts.put_ticket(&id.hash().among_those_of(REQUEST), &one_time(REQUEST, request, now)?).await?;
    Ok(id)
}

/// The request that waits under an id, when it was made, and what uses it up.
pub async fn find_request(
    accounts: &AccountStore,
    id: &Ticket,
    now: Timestamp,
) -> Result<Option<(AuthorizationRequest, Timestamp, Write)>, Problem> {
    let kept_under = id.hash().among_those_of(REQUEST);
    let found = find(accounts, REQUEST, &kept_under, now).await?;
    Ok(found.map(|(request, expires_at)| (request, expires_at, accounts.ticket_used(&kept_under))))
}

/// A code, and the write that keeps it.
pub fn keep_code(
    accounts: &AccountStore,
    code: &AuthorizationCode,
    now: Timestamp,
    random: &Random,
) -> Result<(Ticket, Write), Problem> {
    let ticket = Ticket::draw(random);
    let one_time = OneTime { expires_at: now + CODE_LIFETIME, ..one_time(CODE, code, now)? };
    let write = accounts.ticket_write(&ticket.hash().among_those_of(CODE), &one_time)?;
    Ok((ticket, write))
}

/// What a code that was not used is good for.
pub async fn find_code(
    accounts: &AccountStore,
    code: &Ticket,
    now: Timestamp,
) -> Result<Option<AuthorizationCode>, Problem> {
    let found = find(accounts, CODE, &code.hash().among_those_of(CODE), now).await?;
    Ok(found.map(|(code, _)| code))
}

/// The writes that use a code up, and remember it.
pub fn code_used(
    accounts: &AccountStore,
    ticket: &Ticket,
    code: &AuthorizationCode,
    now: Timestamp,
) -> Result<[Write; 2], Problem> {
    let used = UsedCode { user_id: code.user_id, session_id: code.session_id };
    let one_time = OneTime { expires_at: now + REMEMBERED, ..one_time(USED, &used, now)? };
    let remembered = accounts.ticket_write(&ticket.hash().among_those_of(USED), &one_time)?;
    Ok([accounts.ticket_used(&ticket.hash().among_those_of(CODE)), remembered])
}

/// What was issued for a code that was used.
pub async fn find_used(accounts: &AccountStore, code: &Ticket, now: Timestamp) -> Result<Option<UsedCode>, Problem> {
    Ok(find(accounts, USED, &code.hash().among_those_of(USED), now).await?.map(|(used, _)| used))
}

fn one_time(kind: &str, state: &impl Serialize, now: Timestamp) -> Result<OneTime, Problem> {
    let state = serde_json::to_string(state).map_err(Problem::internal)?;
    Ok(OneTime::new(Purpose::Ceremony { ceremony: kind.to_owned(), state }, now))
}

async fn find<S: DeserializeOwned>(
    accounts: &AccountStore,
    kind: &str,
    kept_under: &TicketHash,
    now: Timestamp,
) -> Result<Option<(S, Timestamp)>, Problem> {
    let Some(one_time) = accounts.ticket(kept_under, now).await? else { return Ok(None) };
    match one_time.purpose {
        Purpose::Ceremony { ceremony, state } if ceremony == kind => {
            Ok(Some((serde_json::from_str(&state).map_err(Problem::internal)?, one_time.expires_at)))
        }
        _ => Ok(None),
    }
}
