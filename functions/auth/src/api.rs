//! `auth.api`: signing up, in and out, under `/v1/auth`, and one's own account at `/v1/me`; one file for each endpoint.

pub mod authorizations;
pub mod credential_owner;
pub mod email;
pub mod exchange;
mod factors;
pub mod grants;
pub mod identities;
pub mod login;
pub mod logout;
pub mod me;
mod offered_factor;
pub mod passkey_ceremony;
pub mod passkey_login;
pub mod passkey_registration;
pub mod passkeys;
pub mod password;
pub mod passwordless;
pub mod recovery_codes;
pub mod refresh;
pub mod second_factor;
pub mod sessions;
pub mod signup;
pub mod step_up;
pub mod totp;

use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(signup::signup))
        .routes(routes!(login::login))
        .routes(routes!(email::verify))
        .routes(routes!(email::resend))
        .routes(routes!(email::change))
        .routes(routes!(password::forgot))
        .routes(routes!(password::reset))
        .routes(routes!(password::change))
        .routes(routes!(passwordless::start))
        .routes(routes!(passwordless::verify))
        .routes(routes!(second_factor::prove))
        .routes(routes!(second_factor::begin_passkey))
        .routes(routes!(exchange::exchange))
        .routes(routes!(passkey_login::begin))
        .routes(routes!(passkey_login::finish))
        .routes(routes!(step_up::step_up))
        .routes(routes!(step_up::begin_passkey))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::logout))
        .routes(routes!(logout::logout_all))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(totp::begin, totp::delete))
        .routes(routes!(totp::confirm))
        .routes(routes!(recovery_codes::get, recovery_codes::create))
        .routes(routes!(passkey_registration::begin))
        .routes(routes!(passkey_registration::finish))
        .routes(routes!(passkeys::list))
        .routes(routes!(passkeys::get, passkeys::update, passkeys::delete))
        .routes(routes!(identities::list, identities::link))
        .routes(routes!(identities::get, identities::unlink))
        .routes(routes!(authorizations::get, authorizations::decide))
        .routes(routes!(grants::list))
        .routes(routes!(grants::delete))
        .routes(routes!(me::get, me::update, me::delete))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let app = App::new(&runtime)?;
        let (router, _) = router().with_state(app).split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}
