//! `links.api`: the endpoints under `/v2/links`, one file each.

pub mod blocklist;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod qr;
pub mod stats;
pub mod update;

use shared::http::Problem;
use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::store::WriteError;

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(blocklist::get, blocklist::put))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(stats::stats))
        .routes(routes!(qr::qr))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let app = App::new(&runtime)?;
        let (router, _) = router().with_state(app).split_for_parts();
        Ok(Function::versioned_http(&runtime, router)?)
    })
}

/// Whether a write was done; not when another request was between our read and it.
fn done(written: Result<(), WriteError>) -> Result<bool, Problem> {
    match written {
        Ok(()) => Ok(true),
        Err(WriteError::Stale | WriteError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
