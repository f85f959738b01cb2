//! An attempt, as the work sees it.

use std::time::Duration;

use shared::id::TenantId;
use tokio::sync::watch;

use super::Failed;
use crate::files::{File, Files};
use crate::job::{Job, JobId, Progress};

/// An attempt, as the work sees it.
#[derive(Debug)]
pub struct Work {
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// Which job.
    pub job_id: JobId,
    /// Who made the job.
    pub created_by: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// How long it may take.
    pub time: Duration,
    pub(super) progress: watch::Sender<Option<Progress>>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Work {
    /// An attempt at `job` that tells of its progress by `progress` and is told to stop by `stop`.
    pub fn new(
        job: &Job,
        time: Duration,
        progress: watch::Sender<Option<Progress>>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let created_by = job.created_by.clone();
        Self { tenant_id: job.tenant_id, job_id: job.id, created_by, attempt: job.attempt, time, progress, stop }
    }

    /// Tells how far it is, from 0 to 1. It is seen with the next heartbeat.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        let progress = Progress { fraction: fraction.clamp(0.0, 1.0), message: Some(message.into()) };
        self.progress.send_replace(Some(progress));
    }

    /// Keeps a file of this job, over what another attempt has kept by this name.
    pub(super) async fn keep(
        &self,
        files: &Files,
        name: String,
        content_type: &'static str,
        content: Vec<u8>,
    ) -> Result<File, Failed> {
        Ok(files.keep(&self.tenant_id, &self.job_id, name, content_type, content).await?)
    }

    /// Ends when the work is asked to stop.
    pub async fn stopped(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
