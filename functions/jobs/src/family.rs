//! Jobs that depend on others: how they hear of an end.

use std::collections::{BTreeSet, VecDeque};

use shared::telemetry::chain;
use shared::time::to_millisecond;

use crate::engine::Engine;
use crate::job::{Job, JobId, ParentFailure, Phase};
use crate::store::StoreError;
use crate::view::ParentView;

/// Jobs that are read at once under the one that they depend on.
const PAGE: usize = 100;

/// How often a job is told that is changed by others at the same time. Those who end together what it waits for hold each
/// other up once: all but the last take their parent off its set whatever the others do.
const RACES: usize = 8;

impl Engine {
    /// Tells those that depend on an ended job; what fails is left to the sweeper.
    pub async fn tell_family_or_leave(&self, parent: &Job) {
        if let Err(error) = self.tell_family(parent.clone()).await {
            tracing::warn!(job_id = %parent.id, error = chain(&error), "those who wait for a job were left to the sweeper");
        }
    }

    /// Tells those that depend on an ended job. Whom that cancels has ended too, and its own are told.
    pub async fn tell_family(&self, parent: Job) -> Result<(), StoreError> {
        let mut ended = VecDeque::from([parent]);
        while let Some(parent) = ended.pop_front() {
            loop {
                let children = self.jobs.children(&parent.tenant_id, &parent.id, PAGE).await?;
                if children.is_empty() {
                    self.jobs.family_told(&parent).await?;
                    break;
                }
                let mut failure = Ok(());
                for child in children {
                    match self.tell_child(&child, &parent).await {
                        Ok(cancelled) => ended.extend(cancelled),
                        // The others hear of it all the same.
                        Err(error) => failure = Err(error),
                    }
                }
                failure?;
            }
        }
        Ok(())
    }

    /// The same for one of them, for good.
    async fn tell_child(&self, child: &JobId, parent: &Job) -> Result<Option<Job>, StoreError> {
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
    pub async fn ask_parents(&self, job: &Job) -> Result<(), StoreError> {
        for id in &job.waits_for {
            match self.jobs.get(&job.tenant_id, id).await? {
                Some(parent) if parent.phase.is_end() => self.tell_family(parent).await?,
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
        let mut parents = Vec::with_capacity(job.depends_on.len());
        for id in &job.depends_on {
            parents.extend(self.jobs.get(&job.tenant_id, id).await?.map(|parent| ParentView::of(&parent, now)));
        }
        Ok(parents)
    }
}
