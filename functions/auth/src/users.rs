//! `auth.users`: what administrators manage, under `/v1/users`, `/v1/roles`, `/v1/tenant`, `/v1/audit`, `/v1/api-keys`
//! and `/v1/oauth-clients`; one file for each endpoint. It cannot sign tokens.
//!
//! Who may give what to whom is said once, in [`authority`]. A change that takes something away ends the access tokens that
//! still have it ([`shared::identity::Revoked`]), in the transaction of the change.

pub mod api_keys;
pub mod audit;
mod authority;
pub mod clients;
mod keyset;
pub mod mail_templates;
pub mod members;
pub(crate) mod race;
pub mod roles;
pub mod tenant;

use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Core;

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter<Core> {
    OpenApiRouter::new()
        .routes(routes!(members::list::list))
        .routes(routes!(members::get::get, members::update::update, members::remove::remove))
        .routes(routes!(members::end_sessions::end_sessions))
        .routes(routes!(roles::list::list, roles::create::create))
        .routes(routes!(roles::get::get, roles::update::update, roles::delete::delete))
        .routes(routes!(tenant::get, tenant::update))
        .routes(routes!(audit::list))
        .routes(routes!(mail_templates::list))
        .routes(routes!(mail_templates::preview))
        .routes(routes!(api_keys::list::list, api_keys::create::create))
        .routes(routes!(api_keys::get::get, api_keys::update::update, api_keys::revoke::revoke))
        .routes(routes!(api_keys::rotate::rotate))
        .routes(routes!(clients::list::list, clients::create::create))
        .routes(routes!(clients::get::get, clients::update::update, clients::delete::delete))
        .routes(routes!(clients::rotate_secret::rotate_secret))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let core = Core::new(&runtime)?;
        let (router, _) = router().with_state(core).split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}
