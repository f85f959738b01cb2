//! `jobs.export`: what the export of a tenant has of jobs. See [`shared::export`].
//!
//! # Calls
//! A read for each MB of jobs, one for each payload over 4 KB, and one for each hundred of the rest; one at least for the runs
//! of each schedule.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde::Serialize;
use shared::dynamo::Dynamo;
use shared::events::export::JOBS;
use shared::export::{Exporter, FileWriter, PartWriter, Source};
use shared::id::TenantId;
use shared::lambda::{Function, QueueSettings, Runtime};
use shared::time::{Clock, Timestamp};
use shared::{BoxError, BoxFuture};

use crate::job::Job;
use crate::payload::{Payload, Payloads};
use crate::queues::view::QueueView;
use crate::schedule::record::{Schedule, ScheduleId};
use crate::schedules::view::{RunView, ScheduleView};
use crate::store::{JobStore, PARTITIONS, StoreError};
use crate::view::JobView;

/// What is read at once of small records.
const PAGE: usize = 100;

/// Payloads that are read from the bucket at the same time, of 5 MB at most each.
const CONCURRENCY: usize = 4;

/// How long a message stays invisible without a sign of life.
const LEASE: Duration = Duration::from_mins(1);

struct Jobs {
    store: JobStore,
    payloads: Payloads,
    clock: Clock,
}

/// What came of a tick of a schedule.
#[derive(Serialize)]
struct RunRecord {
    schedule_id: ScheduleId,
    #[serde(flatten)]
    run: RunView,
}

impl Jobs {
    async fn write_jobs(&self, tenant: &TenantId, file: &mut FileWriter) -> Result<(), BoxError> {
        for partition in 0..PARTITIONS {
            let mut start = None;
            loop {
                let all = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
                let span = self.store.made_between(tenant, partition, all, start).await?;
                let views: Vec<_> = span.jobs.into_iter().map(|job| self.view(job)).collect();
                let mut views = stream::iter(views).buffered(CONCURRENCY);
                while let Some(view) = views.next().await {
                    file.write(&view?).await?;
                }
                start = span.next;
                if start.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A job with its payload, wherever that is; null where the bucket has it no more.
    fn view(&self, job: Job) -> BoxFuture<'_, Result<JobView, BoxError>> {
        Box::pin(async move {
            let view = JobView::of(&job, self.clock.now());
            match &job.payload {
                Payload::Inline(_) => Ok(view),
                Payload::Stored { .. } => match self.payloads.of(&job).await {
                    Ok(payload) => Ok(view.with_payload(payload)),
                    Err(StoreError::NoPayload) => Ok(view),
                    Err(error) => Err(error.into()),
                },
            }
        })
    }

    async fn write_queues(&self, tenant: &TenantId, file: &mut FileWriter) -> Result<(), BoxError> {
        let mut after: Option<String> = None;
        loop {
            let queues = self.store.queues(tenant, after.as_deref(), PAGE).await?;
            for queue in &queues {
                file.write(&QueueView::of(queue)).await?;
            }
            let Some(last) = queues.last() else { return Ok(()) };
            after = Some(last.name.to_string());
        }
    }

    async fn write_schedules(&self, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
        let (mut schedules, mut runs) = (part.file("schedules"), part.file("schedule_runs"));
        let mut after: Option<ScheduleId> = None;
        loop {
            let page = self.store.schedules(tenant, after.as_ref(), PAGE).await?;
            for schedule in &page {
                schedules.write(&ScheduleView::of(schedule)?).await?;
                self.write_runs(tenant, schedule, &mut runs).await?;
            }
            let Some(last) = page.last() else { break };
            after = Some(last.id);
        }
        part.keep(schedules).await?;
        Ok(part.keep(runs).await?)
    }

    async fn write_runs(&self, tenant: &TenantId, schedule: &Schedule, file: &mut FileWriter) -> Result<(), BoxError> {
        let mut after: Option<String> = None;
        loop {
            let runs = self.store.runs(tenant, &schedule.id, after.as_deref(), PAGE).await?;
            for kept in &runs {
                file.write(&RunRecord { schedule_id: schedule.id, run: RunView::of(&kept.run) }).await?;
            }
            let Some(last) = runs.last() else { return Ok(()) };
            after = Some(last.place.clone());
        }
    }
}

impl Source for Jobs {
    const PART: &'static str = JOBS;

    async fn write(&self, tenant: &TenantId, part: &mut PartWriter) -> Result<(), BoxError> {
        let mut jobs = part.file("jobs");
        self.write_jobs(tenant, &mut jobs).await?;
        part.keep(jobs).await?;
        let mut queues = part.file("queues");
        self.write_queues(tenant, &mut queues).await?;
        part.keep(queues).await?;
        self.write_schedules(tenant, part).await
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("JOBS_TABLE");
        reader.finish()?;
        let settings = QueueSettings::read(&runtime.environment, "EXPORT")?.with_lease(LEASE);
        let jobs = Jobs {
            store: JobStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table),
            payloads: Payloads::new(&runtime)?,
            clock: runtime.clock.clone(),
        };
        let exporter = Exporter::new(&runtime, jobs)?;
        Ok(Function::queue(&runtime, settings, exporter))
    })
}
