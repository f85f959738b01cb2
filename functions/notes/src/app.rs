//! What the functions of this service are built from.

use axum::extract::FromRef;
use shared::BoxError;
use shared::config::Secret;
use shared::http::{Cursors, Problem, ProblemType};
use shared::identity::Authenticator;
use shared::lambda::Runtime;
use shared::postgres::{Postgres, Settings};
use shared::random::Random;
use shared::time::Clock;

use crate::hand_over::HandOver;
use crate::store::NoteStore;

/// The state of the API's handlers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) authenticator: Authenticator,
    notes: Option<NoteStore>,
    pub(crate) cursors: Cursors,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
}

impl App {
    /// Reads `DATABASE_URL`, which may be absent, and what [`HandOver::new`] and [`Authenticator::new`] read.
    pub fn new(runtime: &Runtime) -> Result<Self, BoxError> {
        let (authenticator, hand_over) = (Authenticator::new(runtime)?, HandOver::new(runtime)?);
        Ok(Self {
            cursors: Cursors::new(authenticator.store().clone()),
            authenticator,
            notes: store(runtime)?.map(|notes| notes.with_hand_over(hand_over)),
            clock: runtime.clock.clone(),
            random: runtime.random.clone(),
        })
    }

    /// The tables, where the deployment has Postgres.
    pub(crate) fn notes(&self) -> Result<&NoteStore, Problem> {
        self.notes.as_ref().ok_or_else(|| {
            Problem::new(ProblemType::Unavailable, "notes need Postgres, which this deployment has not")
                .retry_after(3600)
        })
    }
}

/// The tables; none where the deployment has no Postgres. What is told waits for `notes.outbox`.
pub(crate) fn store(runtime: &Runtime) -> Result<Option<NoteStore>, BoxError> {
    let mut reader = runtime.environment.reader();
    let url: Option<Secret> = reader.optional("DATABASE_URL");
    reader.finish()?;
    let Some(url) = url else { return Ok(None) };
    let settings = Settings { max_connections: runtime.concurrency.get(), ..Settings::new(runtime.name, "notes") };
    let postgres = Postgres::new(&url, settings, runtime.random.clone())?;
    Ok(Some(NoteStore::new(postgres, runtime.random.clone())))
}

impl FromRef<App> for Authenticator {
    fn from_ref(app: &App) -> Self {
        app.authenticator.clone()
    }
}
