//! The jobs that a worker has taken, as it gets them: with their payloads and what came of the jobs that they depend on.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use shared::http::Problem;
use shared::telemetry::chain;
use shared::time::Timestamp;

use crate::app::App;
use crate::attempt::{Failure, Outcome};
use crate::job::Job;
use crate::store::StoreError;
use crate::view::JobView;

/// Jobs that are read at the same time.
const CONCURRENCY: usize = 8;

/// How long a job waits that was taken and cannot be shown.
const PUT_BACK: Duration = Duration::from_secs(5);

/// Those of `jobs` that can be shown. The others are put back, unless a worker may have them since an answer before.
pub(super) async fn all(app: &App, jobs: &[Job], is_replay: bool) -> Result<Vec<JobView>, Problem> {
    let now = app.engine.clock.now();
    let each: Vec<_> = jobs.iter().map(|job| one(app, job, now)).collect();
    let shown: Vec<_> = stream::iter(each).buffered(CONCURRENCY).collect().await;
    let (mut views, mut failure) = (Vec::with_capacity(jobs.len()), None);
    for (job, shown) in jobs.iter().zip(shown) {
        match shown {
            Ok(view) => views.push(view),
            // No worker can do it.
            Err(error @ (StoreError::NoPayload | StoreError::Encode(_))) => {
                give_back(app, job, Outcome::poison(Failure::new("payload", error.to_string()))).await;
            }
            Err(error) if is_replay => return Err(error.into()),
            Err(error) => {
                tracing::warn!(job_id = %job.id, error = chain(&error), "a job was put back that could not be shown");
                give_back(app, job, Outcome::Snoozed(PUT_BACK)).await;
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if views.is_empty() => Err(error.into()),
        _ => Ok(views),
    }
}

async fn one(app: &App, job: &Job, now: Timestamp) -> Result<JobView, StoreError> {
    let (payload, parents) = tokio::try_join!(app.payloads.of(job), app.engine.parents(job))?;
    Ok(JobView::of(job, now).with_payload(payload).with_parents(parents))
}

/// Ends the claim. Where that fails, it ends with its lease.
async fn give_back(app: &App, job: &Job, outcome: Outcome) {
    match app.engine.settle(job, outcome).await {
        Ok(_) | Err(StoreError::Stale) => {}
        Err(error) => tracing::warn!(job_id = %job.id, error = chain(&error), "a job was left to the end of its lease"),
    }
}
