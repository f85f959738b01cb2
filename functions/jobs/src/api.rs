//! `jobs.api`: the endpoints under `/v2/jobs`, one file each, with those of [`queues`] and [`schedules`].

pub mod cancel;
pub mod create;
pub mod create_batch;
pub mod file;
pub mod get;
pub mod list;
pub mod made;
pub mod queues;
pub mod reschedule;
pub mod retry;
pub mod schedules;
pub mod signing_key;
pub mod signing_secret;
pub mod work;

use shared::lambda::{Function, Runtime};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(create_batch::create_batch))
        .routes(routes!(signing_secret::get))
        .routes(routes!(signing_secret::rotate))
        .routes(routes!(signing_key::get))
        .routes(routes!(signing_key::rotate))
        .routes(routes!(get::get))
        .routes(routes!(file::file))
        .routes(routes!(cancel::cancel))
        .routes(routes!(retry::retry))
        .routes(routes!(reschedule::reschedule))
        .routes(routes!(work::complete))
        .routes(routes!(work::fail))
        .routes(routes!(work::snooze))
        .routes(routes!(work::heartbeat))
        .routes(routes!(queues::list::list))
        .routes(routes!(queues::get::get, queues::put::put))
        .routes(routes!(queues::lease::lease))
        .routes(routes!(queues::dead::dead))
        .routes(routes!(queues::redrive::redrive))
        .routes(routes!(schedules::list::list, schedules::create::create))
        .routes(routes!(schedules::get::get, schedules::update::update, schedules::delete::delete))
        .routes(routes!(schedules::run::run))
        .routes(routes!(schedules::history::history))
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let app = App::new(&runtime)?;
        let (router, _) = router().with_state(app).split_for_parts();
        Ok(Function::versioned_http(&runtime, router)?)
    })
}
