//! `auth.oauth`: tokens for machines (RFC 6749, sections 2.3 and 4.4; RFC 7523), access for applications of others (RFC 6749,
//! section 4.1; RFC 7636), who their users are (OpenID Connect Core 1.0), revocation (RFC 7009) and introspection (RFC 7662),
//! under `/oauth`.
//!
//! These endpoints speak OAuth: forms are sent, and a refusal is the JSON object of RFC 6749, section 5.2, which every
//! OAuth client reads. What is no refusal of theirs (404, 405, 429, 500, 503) is a problem document as everywhere.
//!
//! | whoever sends | gets |
//! |---|---|
//! | a client's credentials | an access token of the client's own |
//! | an authorization code and its verifier, by its client | a session of the application's |
//! | an application's refresh token, by its client | the session's next tokens |
//! | a session's refresh token, and no credentials | the session's next tokens |
//! | a token of a session, and no credentials | the end of the session |
//! | a client's credentials and a token of the same tenant | what the token is good for |
//! | an application's access token with `openid` | who its user is |
//!
//! # The authorization code flow
//! ```text
//! application ── /oauth/authorize ──► page ── the user signs in, and decides at /v1/auth/authorizations ──►
//! application ── POST /oauth/token with code and verifier ──► tokens
//! ```
//! It is safe against:
//!
//! | attack | by |
//! |---|---|
//! | a code that was intercepted or injected (RFC 9700, sections 4.1 and 4.5) | PKCE by S256, for every client; the code is its client's, goes to one redirect URI, lives for a minute |
//! | a code that is used twice | one transaction uses it; a second use ends what was issued for it |
//! | a result sent to a stranger's page | redirect URIs compared as texts; a request with another one is never redirected |
//! | a link that leads to whoever registered a client (RFC 9700, section 4.11.2) | what is wrong with a request is shown with a link, and only who allowed it is sent on; but for `prompt=none` |
//! | a mix-up of servers (RFC 9207) | `iss` in every answer |
//! | a foreign request put before a user (log-in CSRF, session fixation) | no cookie decides anything: who decides holds an access token of their own session, and answers for themselves. The answer goes to the browser that decided and to the client's own address, where it is of no use without the verifier, which is where the request began |
//! | a click that is stolen | the page is in no frame, and has its user sign in first |
//! | an application with a trusted name | an administrator of the tenant has registered it, and it acts there alone |
//! | an application that poses as another one (RFC 8252, section 8.6) | the user is asked each time, unless its redirect URI is `https` |
//! | an application that does more | [`grant`]; a token is held to its scopes, to what may be delegated, and to the user's roles, with each request |
//! | an application that a thief lets in | the user is told by mail |
//! | an application that stays | the user ends it at `/v1/auth/grants`, or by signing out everywhere |

pub mod access_time;
pub mod assertion;
pub mod authorization;
pub mod authorize;
pub mod client;
mod code;
mod form;
pub mod grant;
pub mod id_token;
pub mod introspect;
pub mod keys;
pub mod pkce;
pub mod redirect_uri;
mod refusal;
pub mod revoke;
pub mod token;
pub mod userinfo;

use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub use form::OAuthForm;
pub use refusal::{OAuthError, Refused};

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(authorize::authorize, authorize::authorize_by_form))
        .routes(routes!(token::token))
        .routes(routes!(revoke::revoke))
        .routes(routes!(introspect::introspect))
        .routes(routes!(userinfo::userinfo, userinfo::userinfo_by_post))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let app = App::new(&runtime)?;
        let (router, _) = router().with_state(app).split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}
