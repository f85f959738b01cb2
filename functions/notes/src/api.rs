//! `notes.api`: the endpoints under `/v2/notes`, one file each.

pub mod bulk;
mod conditions;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod replace;
pub mod restore;
pub mod revisions;
pub mod settings;
pub mod shares;
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
        .routes(routes!(bulk::bulk))
        .routes(routes!(settings::get::get, settings::put::put))
        .routes(routes!(get::get, replace::replace, update::update, delete::delete))
        .routes(routes!(restore::restore))
        .routes(routes!(revisions::list::list))
        .routes(routes!(revisions::get::get))
        .routes(routes!(revisions::diff::diff))
        .routes(routes!(revisions::restore::restore))
        .routes(routes!(shares::list::list))
        .routes(routes!(shares::get::get, shares::put::put, shares::delete::delete))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let app = App::new(&runtime)?;
        let (router, _) = router().with_state(app).split_for_parts();
        Ok(Function::versioned_http(&runtime, router)?)
    })
}
