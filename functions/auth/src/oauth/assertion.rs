//! `private_key_jwt`: a client proves itself by an assertion that it signs (RFC 7523, sections 2.2 and 3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use shared::digest::sha256_base64url;
use shared::http::Problem;
use shared::time::{SignedDuration, Timestamp};

use super::client::{Client, ClientId, Proof};
use crate::app::App;
use crate::foreign_token::{self, Expected, LEEWAY, NumericDate};

/// The only type of assertion.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest time that an assertion is good for, by the client's clock.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_mins(5);

/// The claims beyond those that every token of others has.
#[derive(Deserialize)]
struct Assertion {
    sub: String,
    exp: NumericDate,
    jti: String,
}

/// Who the assertion says it is from: read before it can be verified, because its key is found by it.
pub fn claimed_client(token: &str) -> Option<ClientId> {
    #[derive(Deserialize)]
    struct Claimed {
        iss: String,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claimed: Claimed = serde_json::from_slice(&payload).ok()?;
    claimed.iss.parse().ok()
}

/// Whether `client` signed `token` for this server. An assertion is taken once.
pub async fn proves(app: &App, client: &Client, token: &str) -> Result<bool, Problem> {
    let Proof::PrivateKeyJwt { keys } = &client.proof else { return Ok(false) };
    let (issuer, now) = (client.id.to_string(), app.clock.now());
    let token_endpoint = app.token_endpoint();
    let mut audiences = vec![app.signer.issuer()];
    audiences.extend(token_endpoint.as_deref());
    let expected = Expected { issuer: &issuer, audiences: &audiences, now };
    let Ok(assertion) = foreign_token::verify::<Assertion>(token, keys.set(), expected) else { return Ok(false) };
    let lasts_too_long = assertion.exp.0.duration_since(now) > LONGEST_LIFE + LEEWAY;
    if assertion.sub != issuer || assertion.jti.is_empty() || lasts_too_long {
        return Ok(false);
    }
    let used = sha256_base64url(format!("{issuer} {}", assertion.jti));
    // By then it is refused for its age, whatever the clocks say.
    let until = assertion.exp.0.checked_add(LEEWAY * 2).unwrap_or(Timestamp::MAX);
    Ok(app.accounts.note_assertion(&used, until).await?)
}
