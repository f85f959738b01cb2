//! What is kept between the requests of a social log-in, each under a one-time ticket.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared::digest::sha256_base64url;
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::random::Random;
use shared::time::Timestamp;

use super::identity::ProvenIdentity;
use super::provider::Provider;
use crate::one_time::{OneTime, Purpose, Ticket, TicketHash};
use crate::store::AccountStore;

/// What the result is for. That of one is no good for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Signing in or up.
    SignIn,
    /// Linking to the account of who is signed in.
    Link,
}

/// A log-in that was begun: kept under `state`.
#[derive(Serialize, Deserialize)]
pub struct Begun {
    /// The provider's name.
    pub provider: String,
    /// Its issuer then.
    pub issuer: String,
    /// Where the browser goes with the result.
    pub redirect_uri: String,
    /// The tenant asked for.
    pub tenant_id: Option<TenantId>,
    /// What it is for.
    pub intent: Intent,
    /// The secret of RFC 7636.
    pub verifier: String,
    /// What the id token must repeat.
    pub nonce: String,
    /// The hash of what the client keeps that began it.
    pub binding: TicketHash,
}

/// A log-in that the provider has proved: kept under the `code` that the client is given.
#[derive(Debug, Serialize, Deserialize)]
pub struct Proven {
    /// Who it is.
    pub identity: ProvenIdentity,
    /// The tenant asked for.
    pub tenant_id: Option<TenantId>,
    /// What it is for.
    pub intent: Intent,
    /// The hash of what the client keeps that began it.
    pub binding: TicketHash,
}

impl Begun {
    /// A log-in by `provider`, with secrets of its own.
    pub fn new(
        provider: &Provider,
        redirect_uri: String,
        tenant_id: Option<TenantId>,
        intent: Intent,
        binding: &Ticket,
        random: &Random,
    ) -> Self {
        Self {
            provider: provider.name.clone(),
            issuer: provider.issuer.clone(),
            redirect_uri,
            tenant_id,
            intent,
            verifier: secret(random),
            nonce: secret(random),
            binding: binding.hash(),
        }
    }

    /// The `code_challenge` by `S256` (RFC 7636, section 4.2).
    pub fn challenge(&self) -> String {
        sha256_base64url(&self.verifier)
    }

    /// What it is kept as.
    pub fn one_time(&self, now: Timestamp) -> Result<OneTime, Problem> {
        one_time(BEGUN, self, now)
    }

    /// The log-in that `state` was given to, which is used up: a second callback finds nothing.
    pub async fn take(accounts: &AccountStore, state: &str, now: Timestamp) -> Result<Self, Problem> {
        let (ticket, begun) = find(accounts, BEGUN, state, now).await?;
        if accounts.use_ticket(&ticket).await? { Ok(begun) } else { Err(void()) }
    }
}

impl Proven {
    /// What it is kept as.
    pub fn one_time(&self, now: Timestamp) -> Result<OneTime, Problem> {
        one_time(PROVEN, self, now)
    }

    /// The result that `code` was given to, for the client that has the `binding` of the start. It is not used up: by
    /// whoever has the code alone it cannot be.
    pub async fn find(
        accounts: &AccountStore,
        code: &str,
        binding: &str,
        intents: &[Intent],
        now: Timestamp,
    ) -> Result<(TicketHash, Self), Problem> {
        let (ticket, proven): (_, Self) = find(accounts, PROVEN, code, now).await?;
        let binding = binding.parse::<Ticket>().map_err(|_| void())?.hash();
        let is_bound = subtle::ConstantTimeEq::ct_eq(binding.as_str().as_bytes(), proven.binding.as_str().as_bytes());
        if bool::from(is_bound) && intents.contains(&proven.intent) { Ok((ticket, proven)) } else { Err(void()) }
    }
}

/// The one answer to a `state`, code or binding that is not good (any more).
pub fn void() -> Problem {
    Problem::new(ProblemType::InvalidOneTimeToken, "it is wrong, was used, or its time is over: sign in again")
}

/// The names in the tickets.
const BEGUN: &str = "social.begun";
const PROVEN: &str = "social.proven";

/// What a `state` or a code is kept under. The role of `auth.social` lets it touch keys with this beginning, and neither
/// other one-time secrets nor anything else of the table.
pub fn kept_under(ticket: &Ticket) -> TicketHash {
    ticket.hash().among_those_of("social")
}

/// 256 random bits in 43 characters.
fn secret(random: &Random) -> String {
    URL_SAFE_NO_PAD.encode(random.bytes::<32>())
}

fn one_time(ceremony: &str, state: &impl Serialize, now: Timestamp) -> Result<OneTime, Problem> {
    let state = serde_json::to_string(state).map_err(Problem::internal)?;
    Ok(OneTime::new(Purpose::Ceremony { ceremony: ceremony.to_owned(), state }, now))
}

async fn find<S: for<'de> Deserialize<'de>>(
    accounts: &AccountStore,
    ceremony: &str,
    ticket: &str,
    now: Timestamp,
) -> Result<(TicketHash, S), Problem> {
    let ticket = kept_under(&ticket.parse().map_err(|_| void())?);
    match accounts.ticket(&ticket, now).await?.map(|one_time| one_time.purpose) {
        Some(Purpose::Ceremony { ceremony: name, state }) if name == ceremony => {
            Ok((ticket, serde_json::from_str(&state).map_err(Problem::internal)?))
        }
        _ => Err(void()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let begun = Begun {
            provider: String::new(),
            issuer: String::new(),
            redirect_uri: String::new(),
            tenant_id: None,
            intent: Intent::SignIn,
            // RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
            nonce: String::new(),
            binding: Ticket::draw(&Random::seeded(1)).hash(),
        };
        assert_eq!(begun.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
