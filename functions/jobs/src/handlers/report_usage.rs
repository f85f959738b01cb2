//! `report.usage`: adds up the tenant's jobs of some days, and writes the sums into a file.
//!
//! It counts the jobs that were made in that time and are still kept: one that has ended is removed some days later, as its
//! queue says, and is in no report from then on. It reads them page by page, with one query of 1 MB each, and holds only the
//! sums. Doing it again writes the same file, with what is there then.

mod payload;
mod table;
mod tally;

use std::time::Duration;

use serde::Serialize;
use shared::http::FieldError;
use shared::outbound::Outbound;
use shared::time::{Clock, Timestamp};
use tokio::time::Instant;

use self::payload::{Payload, Range};
use self::tally::Tally;
use super::{Failed, Handler, Work};
use crate::files::{File, Files};
use crate::store::{JobStore, PARTITIONS};

/// The share of its time after which a report gives up: before its time-out, which would not say why.
const SHARE_OF_TIME: f64 = 0.9;

pub(super) struct ReportUsage {
    jobs: JobStore,
    clock: Clock,
    files: Files,
}

/// What was written.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    file: File,
    rows: usize,
    jobs: u64,
}

impl ReportUsage {
    pub(super) const fn new(jobs: JobStore, clock: Clock, files: Files) -> Self {
        Self { jobs, clock, files }
    }

    async fn report(&self, payload: Payload, work: &Work) -> Result<Report, Failed> {
        let range = payload.range().map_err(|fault| Failed::poison("payload", fault.detail))?;
        let now = self.clock.now();
        let time = work.time.mul_f64(SHARE_OF_TIME);
        let tally = self.add_up(&payload, range, now, work, time).await?;
        let (name, content_type, content) = table::write(&payload, &tally, now)?;
        let file = work.keep(&self.files, name.to_owned(), content_type, content).await?;
        Ok(Report { file, rows: tally.rows(), jobs: tally.jobs() })
    }

    async fn add_up(
        &self,
        payload: &Payload,
        range: Range,
        now: Timestamp,
        work: &Work,
        time: Duration,
    ) -> Result<Tally, Failed> {
        let started = Instant::now();
        let mut tally = Tally::new(&payload.group_by);
        for partition in 0..PARTITIONS {
            let mut start = None;
            loop {
                if started.elapsed() >= time {
                    return Err(too_long(&tally, time));
                }
                let span = self.jobs.made_between(&work.tenant_id, partition, range.times(), start).await?;
                for job in &span.jobs {
                    tally.add(job, now)?;
                }
                let Some(last) = span.jobs.last().filter(|_| span.next.is_some()) else { break };
                let share = (f64::from(partition) + range.share_before(last.created_at)) / f64::from(PARTITIONS);
                work.progress(share, format!("has counted {} jobs", tally.jobs()));
                start = span.next;
            }
            work.progress(
                f64::from(partition + 1) / f64::from(PARTITIONS),
                format!("has counted {} jobs", tally.jobs()),
            );
        }
        Ok(tally)
    }
}

fn too_long(tally: &Tally, time: Duration) -> Failed {
    let counted = tally.jobs();
    let message = format!(
        "there are too many jobs for one report: {counted} were counted in {} s, and there are more; ask for fewer days, \
         or give the job a longer timeout_seconds",
        time.as_secs()
    );
    Failed::poison("too_many_jobs", message)
}

impl Handler for ReportUsage {
    const TYPE: &'static str = "report.usage";
    type Payload = Payload;
    type Result = Report;
    const MAKES_FILES: bool = true;

    fn check(payload: &Payload, _outbound: &Outbound) -> Vec<FieldError> {
        payload.faults()
    }

    async fn run(&self, payload: Payload, work: &Work) -> Result<Report, Failed> {
        tokio::select! {
            report = self.report(payload, work) => report,
            () = work.stopped() => Err(Failed::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shared::id::TenantId;
    use shared::random::Random;
    use tokio::sync::watch;

    use super::super::tests::dependencies;
    use super::*;
    use crate::job::JobId;

    /// Runs a report that can take so long and was asked to stop, or not. The table is never reached.
    async fn run(time: Duration, stopped: bool) -> Failed {
        let with = dependencies();
        let (now, random) = (Timestamp::UNIX_EPOCH, Random::seeded(1));
        let (_stop, stop) = watch::channel(stopped);
        let (tenant_id, job_id) = (TenantId::new(now, &random), JobId::new(now, &random));
        let created_by = String::new();
        let work = Work { tenant_id, job_id, created_by, attempt: 1, time, progress: watch::channel(None).0, stop };
        let payload = r#"{"from": "2026-05-04", "to": "2026-05-05", "format": "json"}"#;
        let report = ReportUsage::new(with.jobs, with.clock, with.files);
        let ended = Handler::run(&report, serde_json::from_str(payload).unwrap(), &work).await;
        ended.err().unwrap()
    }

    #[tokio::test]
    async fn a_report_without_time_for_all_jobs_says_so_and_is_not_half_a_one() {
        match run(Duration::ZERO, false).await {
            Failed::Poison(failure) => assert_eq!(failure.class, "too_many_jobs"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_report_stops_when_it_is_asked_to() {
        let ended = run(Duration::from_hours(1), true).await;
        assert!(matches!(ended, Failed::Stopped), "{ended:?}");
    }
}
