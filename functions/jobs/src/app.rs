//! What the API's handlers are built from.

use axum::extract::FromRef;
use http::Method;
use shared::BoxError;
use shared::dynamo::Dynamo;
use shared::http::Cursors;
use shared::http::idempotency::Idempotency;
use shared::identity::Authenticator;
use shared::lambda::Runtime;
use shared::outbound::{Outbound, Request, Settings};
use shared::refusal::Refusal;

use crate::engine::Engine;
use crate::files::Files;
use crate::payload::Payloads;
use crate::rates::Rates;

/// The state of the API's handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) authenticator: Authenticator,
    pub(crate) engine: Engine,
    pub(crate) payloads: Payloads,
    pub(crate) files: Files,
    pub(crate) rates: Rates,
    pub(crate) idempotency: Idempotency,
    pub(crate) cursors: Cursors,
    pub(crate) outbound: Outbound,
}

impl App {
    /// Reads `IDEMPOTENCY_TABLE` and what [`Engine::new`], [`Payloads::new`], [`Rates::new`] and
    /// [`Authenticator::new`] read.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let mut reader = runtime.environment.reader();
        let idempotency_table: String = reader.required("IDEMPOTENCY_TABLE");
        reader.finish()?;
        let dynamo = Dynamo::new(runtime.aws.dynamo.clone());
        let authenticator = Authenticator::new(runtime)?;
        Ok(Self {
            cursors: Cursors::new(authenticator.store().clone()),
            authenticator,
            engine: Engine::new(runtime)?,
            payloads: Payloads::new(runtime)?,
            files: Files::new(runtime)?,
            rates: Rates::new(runtime)?,
            idempotency: Idempotency::new(dynamo, idempotency_table, runtime.clock.clone()),
            outbound: Outbound::new(Settings::read(&runtime.environment)?),
        })
    }

    /// Refuses a URL that no job could be sent to.
    pub(crate) fn check_url(&self, url: &str) -> Result<(), Refusal> {
        let checked = self.outbound.check(&Request::new(Method::POST, url));
        checked.map_err(|error| Refusal::new(error.code(), error.to_string()))
    }
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.authenticator.clone()
    }
}
