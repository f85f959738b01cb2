//! `links.api`: the endpoints under `/v1/links`, one file each.

pub mod blocklist;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod qr;
mod race;
pub mod stats;
pub mod update;

use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

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
        Ok(Function::http(&runtime, router))
    })
}
