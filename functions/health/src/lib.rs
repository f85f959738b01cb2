//! Whether Tenfold is alive, and whether what it depends on answers.
//!
//! | route | what it tells |
//! |---|---|
//! | `GET /health` | the function runs: its version and uptime, without a look at anything else ([`alive`]) |
//! | `GET /ready` | each dependency, with its latency ([`ready`], [`checks`]) |
//!
//! Both are public, and tell nobody an address or a cause; those are in the log.

pub mod alive;
pub mod app;
pub mod checks;
pub mod ready;

use shared::lambda::{Function, Runtime, Service};
use shared::{BoxError, BoxFuture};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use app::App;

/// The service.
pub static SERVICE: Service = Service { name: "health", functions: &[("health.api", api)] };

fn api(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let (router, _) = router(App::new(&runtime)?).split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}

/// The routes, with what they answer from.
pub fn router(app: App) -> OpenApiRouter {
    endpoints().with_state(app)
}

/// The description of the routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    endpoints().into_openapi()
}

fn endpoints() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(alive::alive)).routes(routes!(ready::ready))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_description_names_both_routes() {
        let document = serde_json::to_value(openapi()).unwrap();
        for (path, id) in [("/health", "health"), ("/ready", "ready")] {
            assert_eq!(document["paths"][path]["get"]["operationId"], id);
        }
        assert!(document["components"]["schemas"]["Report"].is_object());
    }
}
