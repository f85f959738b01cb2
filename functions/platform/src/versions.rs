//! `platform.versions`: the versions of the API for those who move from one to the next. What there is and what ends
//! ([`list`]), who of a tenant still uses what is deprecated ([`usage`]), and what becomes of a request ([`preview`]).

pub mod list;
pub mod preview;
pub mod usage;

use axum::extract::FromRef;
use serde::Serialize;
use shared::dynamo::Dynamo;
use shared::http::versions::deprecation::Deprecation;
use shared::http::versions::usage::Usage;
use shared::identity::Authenticator;
use shared::lambda::{Function, Runtime};
use shared::time::Clock;
use shared::{BoxError, BoxFuture};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The state of the handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    authenticator: Authenticator,
    usage: Usage,
    clock: Clock,
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.authenticator.clone()
    }
}

/// The routes, with their descriptions.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list::list)).routes(routes!(usage::usage)).routes(routes!(preview::preview))
}

/// Builds the function. Reads `IDENTITY_TABLE` and what [`Authenticator::new`] reads.
pub fn build(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("IDENTITY_TABLE");
        reader.finish()?;
        let usage = Usage::new(Dynamo::new(runtime.aws.dynamo.clone()), table);
        let app = App { authenticator: Authenticator::new(&runtime)?, usage, clock: runtime.clock.clone() };
        let (router, _) = router().with_state(app).split_for_parts();
        Ok(Function::http(&runtime, router))
    })
}

/// Something that is deprecated.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Deprecation)]
pub struct DeprecationView {
    /// Its name, and its anchor in `/changelog`.
    #[schema(example = "notes-v1")]
    name: &'static str,
    /// The version that has it.
    #[schema(example = "v1")]
    version: &'static str,
    /// Since when.
    #[schema(format = DateTime, example = "2026-11-01T00:00:00.000Z")]
    since: String,
    /// From when on it does not work any more; null while no end is planned.
    #[schema(format = DateTime, example = "2027-12-01T00:00:00.000Z")]
    sunset: Option<String>,
    /// When it is switched off before that.
    brown_outs: Vec<BrownOutView>,
    /// What to do, in Markdown.
    #[schema(example = "use `/v2/notes`")]
    instead: &'static str,
    /// Where to read on.
    #[schema(example = "/changelog#notes-v1")]
    guide: String,
}

/// A time in which something deprecated is switched off.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BrownOut)]
pub struct BrownOutView {
    /// The beginning.
    #[schema(format = DateTime, example = "2027-11-02T14:00:00.000Z")]
    from: String,
    /// The end.
    #[schema(format = DateTime, example = "2027-11-02T16:00:00.000Z")]
    until: String,
}

impl From<&Deprecation> for DeprecationView {
    fn from(deprecation: &Deprecation) -> Self {
        let text = |at| shared::time::rfc3339_millis(shared::http::versions::deprecation::moment(at));
        let brown_outs = deprecation.brown_outs.iter();
        Self {
            name: deprecation.name,
            version: deprecation.version.as_str(),
            since: text(deprecation.since),
            sunset: deprecation.sunset.map(text),
            brown_outs: brown_outs
                .map(|time| BrownOutView { from: text(time.from), until: text(time.until) })
                .collect(),
            instead: deprecation.instead,
            guide: deprecation.guide(),
        }
    }
}
