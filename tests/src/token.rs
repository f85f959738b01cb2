//! Access tokens that no log-in issued: for tests of what a token may do, and of services that read no account.

use auth::session::SessionId;
use auth::signer::Signer;
use auth::user::UserId;
use shared::id::TenantId;
use shared::identity::token::{ACCESS_TOKEN_LIFETIME, Claims};
use shared::lambda::Runtime;
use shared::random::Random;
use shared::time::Timestamp;

use crate::stack;

/// The `iss` of the stack's tokens: its URL.
///
/// # Panics
/// When the stack does not start.
pub fn issuer() -> String {
    stack().url().to_owned()
}

/// Signs with the stack's own keys.
///
/// # Panics
/// When the stack does not start.
pub fn signer() -> Signer {
    Signer::new(&Runtime::new("auth.api", stack().environment("auth.api").unwrap()).unwrap()).unwrap()
}

/// What a log-in with a password at `now` would sign for a new user without a role: what is done to it is no other test's
/// business.
pub fn claims(tenant: TenantId, now: Timestamp, random: &Random) -> Claims {
    Claims {
        iss: issuer(),
        aud: "tenfold-api".to_owned(),
        sub: UserId::new(now, random).to_string(),
        client_id: "tenfold".to_owned(),
        tid: tenant,
        sid: Some(SessionId::new(now, random).to_string()),
        auth_time: Some(now.as_second()),
        acr: None,
        amr: vec!["pwd".to_owned()],
        roles: Vec::new(),
        permissions: None,
        scope: "*".to_owned(),
        iat: now.as_second(),
        as_of: now.as_millisecond(),
        exp: now.as_second() + ACCESS_TOKEN_LIFETIME.as_secs(),
        jti: "token_1".to_owned(),
    }
}
