//! Jobs that depend on others: how they hear of an end. However many they are, they are told while there is time; the sweeper
//! tells the others, as the ended job keeps its place in the index until all have heard.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use shared::telemetry::chain;
use shared::time::to_millisecond;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::job::{Job, JobId, ParentFailure, Phase};
use crate::store::StoreError;
use crate::view::ParentView;

/// Jobs that are read at once under the one that they depend on.
const PAGE: usize = 100;

/// Jobs that are told, or read, at the same time.
const CONCURRENCY: usize = 8;

/// For how long whoever ends a job tells those that depend on it: a part of the time of a request, or of what a worker keeps
/// back.
const AT_THE_END: Duration = Duration::from_secs(4);

/// Whether there is time to tell one more.
pub(crate) type HasTime<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// How often a job is told that is changed by others at the same time. Those who end together what it waits for hold each
/// other up once: all but the last take their parent off its set whatever the others do.
const RACES: usize = 8;

impl Engine {
    /// Tells those that depend on an ended job; what fails, or would take long, is left to the sweeper.
    pub async fn tell_family_or_leave(&self, parent: &Job) {
        let until = Instant::now() + AT_THE_END;
        match self.tell_family(parent.clone(), &|| Instant::now() < until).await {
            Ok(true) => {}
            Ok(false) => tracing::info!(job_id = %parent.id, "many wait for a job: some were left to the sweeper"),
            Err(error) => {
                tracing::warn!(job_id = %parent.id, error = chain(&error), "those who wait for a job were left to the sweeper");
            }
        }
    }

    /// Tells those that depend on an ended job, while there is time; false when some are left. Whom that cancels has ended
    /// too, and its own are told.
    pub async fn tell_family(&self, parent: Job, has_time: HasTime<'_>) -> Result<bool, StoreError> {
        let mut ended = VecDeque::from([parent]);
        while let Some(parent) = ended.pop_front() {
            loop {
                if !has_time() {
                    return Ok(false);
                }
                let children = self.jobs.children(&parent.tenant_id, &parent.id, PAGE).await?;
                if children.is_empty() {
                    self.jobs.family_told(&parent).await?;
                    break;
                }
                ended.extend(self.tell_children(&children, &parent, has_time).await?);
            }
        }
        Ok(true)
    }

    /// The same for some of them. Answers those that this cancels.
    async fn tell_children(
        &self,
        children: &[JobId],
        parent: &Job,
        has_time: HasTime<'_>,
    ) -> Result<Vec<Job>, StoreError> {
        let each: Vec<_> = children.iter().map(|child| self.tell_child(child, parent, has_time)).collect();
        // When one is not told, the others hear of it all the same.
        let told: Vec<_> = stream::iter(each).buffer_unordered(CONCURRENCY).collect().await;
        told.into_iter().filter_map(Result::transpose).collect()
    }

    /// The same for one of them, for good.
    async fn tell_child(&self, child: &JobId, parent: &Job, has_time: HasTime<'_>) -> Result<Option<Job>, StoreError> {
        if !has_time() {
            return Ok(None);
        }
        let cancelled = self.tell(child, parent).await?;
        self.jobs.told(&parent.tenant_id, &parent.id, child).await?;
        Ok(cancelled)
    }

    /// Tells one job of the end of another that it depends on. Answers the job if that cancelled it.
    pub async fn tell(&self, child: &JobId, parent: &Job) -> Result<Option<Job>, StoreError> {
        for attempt in 0..RACES {
            let Some(job) = self.jobs.get(&parent.tenant_id, child).await? else { return Ok(None) };
            if job.phase != Phase::Waiting || !job.waits_for.contains(&parent.id) {
                return Ok(if attempt > 0 { self.told_already(job).await } else { None });
            }
            let now = self.clock.now();
            let cancels = parent.phase != Phase::Succeeded && job.on_parent_failure == ParentFailure::Cancel;
            let done = if cancels {
                self.cancel_waiting(&job, now).await
            } else {
                self.jobs.unblock(&job, &parent.id, job.ready_at.max(to_millisecond(now))).await
            };
            match done {
                Ok(()) if cancels => {
                    return Ok(Some(Job { phase: Phase::Cancelled, waits_for: BTreeSet::new(), ..job }));
                }
                Ok(()) => {
                    if job.waits_for.len() == 1 {
                        let ready_at = job.ready_at.max(to_millisecond(now));
                        self.dispatch_or_leave(&Job { ready_at, waits_for: BTreeSet::new(), ..job }).await;
                    }
                    return Ok(None);
                }
                Err(StoreError::Stale | StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }

    /// What follows when a job turns out to have heard of an end as it was to be told: by somebody else, or by a write
    /// whose answer was lost. What comes after that write does no harm when it is done twice.
    async fn told_already(&self, job: Job) -> Option<Job> {
        if job.phase == Phase::Waiting && job.waits_for.is_empty() && job.parked.is_none() {
            self.dispatch_or_leave(&job).await;
        }
        Some(job).filter(|job| job.phase == Phase::Cancelled && job.has_children)
    }

    /// Looks whether the jobs that a blocked one waits for have ended, and nobody told.
    pub async fn ask_parents(&self, job: &Job, has_time: HasTime<'_>) -> Result<(), StoreError> {
        for id in &job.waits_for {
            match self.jobs.get(&job.tenant_id, id).await? {
                Some(parent) if parent.phase.is_end() => drop(self.tell_family(parent, has_time).await?),
                Some(_) => {}
                // It ended so long ago that it is not kept any more.
                None => {
                    let gone = Job { id: *id, phase: Phase::Succeeded, ..job.clone() };
                    self.tell(&job.id, &gone).await?;
                }
            }
        }
        Ok(())
    }

    /// What came of the jobs that `job` depends on.
    pub async fn parents(&self, job: &Job) -> Result<Vec<ParentView>, StoreError> {
        let now = self.clock.now();
        let reads: Vec<_> = job.depends_on.iter().map(|id| self.jobs.get(&job.tenant_id, id)).collect();
        let parents: Vec<_> = stream::iter(reads).buffered(CONCURRENCY).try_collect().await?;
        Ok(parents.into_iter().flatten().map(|parent| ParentView::of(&parent, now)).collect())
    }
}
