//! Writes the jobs of a batch that was found good.
//!
//! Those that name no other of the batch are written first, several at the same time. The others follow one after the other,
//! in their order: what each names has its id by then, and they do not meet at a job that several depend on.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::http::idempotency::{Attempt, Submitted, in_progress};
use shared::http::{Created, Problem, race};
use shared::identity::Principal;

use super::super::made;
use super::{BatchResult, CONCURRENCY, Made, NewBatch, ROUTE};
use crate::app::App;
use crate::dependency::Dependency;
use crate::job::{Job, JobId};
use crate::name::JobRef;
use crate::rules::NewJob;
use crate::store::{Along, InsertError, StoreError};
use crate::view::{JobView, etag, location};

/// One job of a batch.
pub(super) enum Part {
    /// It was made by a request with the same key: what was answered for it.
    Before(Box<RawValue>),
    /// It is to be made.
    New(Box<New>),
}

/// A job that is to be made.
pub(super) struct New {
    pub(super) job: Job,
    pub(super) payload: Box<RawValue>,
    pub(super) attempt: Attempt,
    /// Where it stands in the batch.
    pub(super) place: usize,
}

/// The jobs that were made, by their refs.
type Known<'a> = BTreeMap<&'a JobRef, JobId>;

/// Writes the jobs that `parts` has, one for each of the batch. Answers what came of each, in their order.
pub(super) async fn write(
    app: &App,
    caller: &Principal,
    batch: &Submitted<NewBatch>,
    parts: Vec<Part>,
) -> Vec<BatchResult> {
    let jobs = &batch.body.jobs;
    let all = jobs.iter().zip(parts).enumerate();
    let (later, first): (Vec<_>, Vec<_>) = all.partition(|(_, (new, _))| names_another(new));
    let none = &Known::new();
    let made = |(place, (new, part)): (usize, (_, Part))| async move {
        (place, part.made(app, caller, batch, new, none).await)
    };
    let first: Vec<_> = first.into_iter().map(made).collect();
    let mut results: BTreeMap<usize, BatchResult> = stream::iter(first).buffered(CONCURRENCY).collect().await;
    let made = results.iter().filter_map(|(place, result)| Some((jobs.get(*place)?.reference.as_ref()?, result.id()?)));
    let mut known: Known<'_> = made.collect();
    for (place, (new, part)) in later {
        let result = part.made(app, caller, batch, new, &known).await;
        known.extend(new.reference.as_ref().zip(result.id()));
        results.insert(place, result);
    }
    results.into_values().collect()
}

fn names_another(new: &NewJob) -> bool {
    new.depends_on.iter().any(|dependency| dependency.id().is_none())
}

impl BatchResult {
    /// The job that is there now.
    fn id(&self) -> Option<JobId> {
        #[derive(Deserialize)]
        struct Named {
            id: JobId,
        }
        match self {
            Self::Created { job: Made::Now(job) } | Self::Existing { job } => Some(job.id()),
            Self::Created { job: Made::Before(answer) } => Some(serde_json::from_str::<Named>(answer.get()).ok()?.id),
            Self::Failed { .. } => None,
        }
    }

    fn failed(detail: &str) -> Self {
        Self::Failed { detail: format!("{detail}; send it again") }
    }
}

impl Part {
    async fn made(
        self,
        app: &App,
        caller: &Principal,
        batch: &Submitted<NewBatch>,
        asked: &NewJob,
        known: &Known<'_>,
    ) -> BatchResult {
        match self {
            Self::Before(answer) => BatchResult::Created { job: Made::Before(answer) },
            Self::New(new) => new.insert(app, caller, batch, asked, known).await.unwrap_or_else(|error| {
                tracing::warn!(error = shared::telemetry::chain(&error), "a job of a batch was not written");
                BatchResult::failed("it could not be written")
            }),
        }
    }
}

impl New {
    async fn insert(
        &self,
        app: &App,
        caller: &Principal,
        batch: &Submitted<NewBatch>,
        asked: &NewJob,
        known: &Known<'_>,
    ) -> Result<BatchResult, Problem> {
        let named = |dependency: &Dependency| match dependency {
            Dependency::Job(id) => Some(*id),
            Dependency::Earlier { reference } => known.get(reference).copied(),
        };
        let Some(depends_on) = asked.depends_on.iter().map(named).collect::<Option<Vec<_>>>() else {
            return Ok(BatchResult::failed("a job that it depends on was not made"));
        };
        let (depends_on, engine) = (&depends_on, &app.engine);
        race(&engine.random, || async move {
            let dependencies: Vec<_> = depends_on.iter().copied().map(Dependency::Job).collect();
            // What it depends on may have ended since it was made, or looked at.
            let (waits_for, errors) =
                made::parents(app, caller, &dependencies, self.job.on_parent_failure, &BTreeSet::new()).await?;
            if !errors.is_empty() {
                return Ok(Some(BatchResult::failed("a job that it depends on has ended and did not succeed")));
            }
            self.try_insert(app, batch, &Job { depends_on: depends_on.clone(), waits_for, ..self.job.clone() }).await
        })
        .await
    }

    /// Writes the job and sends it; none when it is to be tried again.
    async fn try_insert(
        &self,
        app: &App,
        batch: &Submitted<NewBatch>,
        job: &Job,
    ) -> Result<Option<BatchResult>, Problem> {
        let engine = &app.engine;
        let created = Created {
            location: location(&job.id),
            etag: etag(job, job.created_at),
            body: JobView::of(job, job.created_at),
        };
        let along = Along { idempotency: self.attempt.record(&created)? };
        app.payloads.keep(job, &self.payload).await?;
        let inserted = engine.jobs.insert(job, along).await;
        if inserted.as_ref().is_err_and(InsertError::is_refusal) {
            app.payloads.discard(job).await;
        }
        match inserted {
            Ok(()) => {
                engine.dispatch_or_leave(job).await;
                Ok(Some(BatchResult::Created { job: Made::Now(Box::new(created.body)) }))
            }
            Err(InsertError::NotUnique(id)) => {
                // Its hold on the key may end at this moment.
                let found = engine.jobs.get(&job.tenant_id, &id).await?;
                Ok(found.map(|job| BatchResult::Existing { job: Box::new(JobView::of(&job, engine.clock.now())) }))
            }
            // Another request with the same key was faster: what it made is this one's, too.
            Err(InsertError::KeyUsed) => {
                match app.idempotency.begin_part(&job.tenant_id, ROUTE, batch, self.place).await? {
                    Ok(_) => Err(in_progress()),
                    Err(answer) => Ok(Some(BatchResult::Created { job: Made::Before(answer) })),
                }
            }
            // A job that it depends on has ended or was changed, or others want the same `unique` key.
            Err(InsertError::Store(StoreError::Stale | StoreError::Conflict)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
