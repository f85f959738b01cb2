//! `jobs.export`: what the export of a tenant has of jobs. See [`shared::export`].
//!
//! # Calls
//! A read for each MB of jobs, one for each payload over 4 KB, and one for each hundred of the rest; one at least for the runs
//! of each schedule.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde::Serialize;
use serde_json::Value;
use shared::dynamo::{Dynamo, Item};
use shared::events::export::JOBS;
use shared::export::{Exporter, PartWriter, Source, Step};
use shared::id::TenantId;
use shared::lambda::{Function, QueueSettings, Runtime};
use shared::time::{Clock, Timestamp};
use shared::{BoxError, BoxFuture};

use crate::api::queues::view::QueueView;
use crate::api::schedules::view::{RunView, ScheduleView};
use crate::job::Job;
use crate::payload::{Payload, Payloads};
use crate::schedule::record::{Schedule, ScheduleId};
use crate::store::{JobStore, PARTITIONS, StoreError};
use crate::view::JobView;

/// What is read at once of small records.
const PAGE: usize = 100;

/// Schedules that are read at once: each may have as many runs as there are minutes in 30 days.
const SCHEDULES: usize = 10;

/// Payloads that are read from the bucket at the same time, of 5 MB at most each.
const CONCURRENCY: usize = 4;

/// How long a message stays invisible without a sign of life.
const LEASE: Duration = Duration::from_mins(1);

/// After what the next page of a step follows.
type Written = Result<Option<String>, BoxError>;

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

/// Where a page of jobs begins.
#[derive(Default)]
struct Place {
    partition: u32,
    start: Option<Item>,
}

impl Place {
    /// As it stands where an export goes on.
    fn text(self) -> Result<String, BoxError> {
        let start: Option<Value> = self.start.map(serde_dynamo::from_item).transpose()?;
        Ok(serde_json::to_string(&(self.partition, start))?)
    }

    fn read(text: &str) -> Result<Self, BoxError> {
        let (partition, start): (u32, Option<Value>) = serde_json::from_str(text)?;
        Ok(Self { partition, start: start.map(serde_dynamo::to_item).transpose()? })
    }
}

impl Jobs {
    async fn jobs(&self, tenant: &TenantId, after: Option<String>, files: &mut PartWriter) -> Written {
        let Place { partition, start } = match after {
            Some(after) => Place::read(&after)?,
            None => Place::default(),
        };
        let all = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let span = self.store.made_between(tenant, partition, all, start).await?;
        let views: Vec<_> = span.jobs.into_iter().map(|job| self.view(job)).collect();
        let mut views = stream::iter(views).buffered(CONCURRENCY);
        while let Some(view) = views.next().await {
            files.write("jobs", &view?).await?;
        }
        match span.next {
            None if partition + 1 == PARTITIONS => Ok(None),
            None => Ok(Some(Place { partition: partition + 1, start: None }.text()?)),
            start => Ok(Some(Place { partition, start }.text()?)),
        }
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

    async fn queues(&self, tenant: &TenantId, after: Option<String>, files: &mut PartWriter) -> Written {
        let part = self.store.queues(tenant, after.as_deref(), PAGE).await?;
        for queue in &part.records {
            files.write("queues", &QueueView::of(queue)).await?;
        }
        Ok(part.records.last().map(|last| last.name.to_string()))
    }

    async fn schedules(&self, tenant: &TenantId, after: Option<String>, files: &mut PartWriter) -> Written {
        let after: Option<ScheduleId> = after.map(|after| after.parse()).transpose()?;
        let part = self.store.schedules(tenant, after.as_ref(), SCHEDULES).await?;
        for schedule in &part.records {
            files.write("schedules", &ScheduleView::of(schedule)?).await?;
            self.write_runs(tenant, schedule, files).await?;
        }
        Ok(part.records.last().map(|last| last.id.to_string()))
    }

    async fn write_runs(&self, tenant: &TenantId, schedule: &Schedule, files: &mut PartWriter) -> Result<(), BoxError> {
        let mut after: Option<String> = None;
        loop {
            let runs = self.store.runs(tenant, &schedule.id, after.as_deref(), PAGE).await?;
            for kept in &runs {
                let record = RunRecord { schedule_id: schedule.id, run: RunView::of(&kept.run) };
                files.write("schedule_runs", &record).await?;
            }
            let Some(last) = runs.last() else { return Ok(()) };
            after = Some(last.place.clone());
        }
    }
}

impl Source for Jobs {
    const PART: &'static str = JOBS;

    fn steps(&self) -> &'static [Step] {
        &[
            Step { name: "jobs", files: &["jobs"] },
            Step { name: "queues", files: &["queues"] },
            Step { name: "schedules", files: &["schedules", "schedule_runs"] },
        ]
    }

    async fn page(
        &self,
        tenant: &TenantId,
        step: &'static str,
        after: Option<String>,
        files: &mut PartWriter,
    ) -> Result<Option<String>, BoxError> {
        match step {
            "jobs" => self.jobs(tenant, after, files).await,
            "queues" => self.queues(tenant, after, files).await,
            _ => self.schedules(tenant, after, files).await,
        }
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
