//! What happens to jobs. A job that succeeds tells nobody but whom its own `on_done` names: there are too many of them.

use serde::{Deserialize, Serialize};

use super::EventData;

/// A job failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDead {
    /// The job.
    pub job_id: String,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// How many attempts were begun.
    pub attempts_begun: u32,
    /// The kind of its last failure.
    pub class: String,
    /// The same for failures of the same kind.
    pub fingerprint: String,
}

impl EventData for JobDead {
    const TYPE: &'static str = "job.dead";
    const SOURCE: &'static str = "jobs";
}

/// A job was called off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCancelled {
    /// The job.
    pub job_id: String,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its queue.
    pub queue: String,
}

impl EventData for JobCancelled {
    const TYPE: &'static str = "job.cancelled";
    const SOURCE: &'static str = "jobs";
}
