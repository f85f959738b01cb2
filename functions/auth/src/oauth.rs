//! `auth.oauth`: tokens for machines (RFC 6749, sections 2.3 and 4.4; RFC 7523), revocation (RFC 7009) and introspection
//! (RFC 7662), under `/oauth`.
//!
//! These endpoints speak OAuth: forms are sent, and a refusal is the JSON object of RFC 6749, section 5.2, which every
//! OAuth client reads. What is no refusal of theirs (404, 405, 429, 500, 503) is a problem document as everywhere.
//!
//! | whoever sends | gets |
//! |---|---|
//! | a client's credentials | an access token of the client's own |
//! | a session's refresh token, and no credentials | the session's next tokens |
//! | a token of a session, and no credentials | the end of the session |
//! | a client's credentials and a token of the same tenant | what the token is good for |

pub mod assertion;
pub mod client;
mod form;
pub mod introspect;
pub mod keys;
mod refusal;
pub mod revoke;
pub mod token;

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
        .routes(routes!(token::token))
        .routes(routes!(revoke::revoke))
        .routes(routes!(introspect::introspect))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let app = App::new(&runtime)?;
        let (router, _) = router().with_state(app).split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}
