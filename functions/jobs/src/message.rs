//! What is sent to the worker's queues.

use serde::{Deserialize, Serialize};
use shared::id::TenantId;
use shared::time::Timestamp;

use crate::job::{Job, JobId, Priority};
use crate::name::{JobKey, QueueName};
use crate::schedule::record::ScheduleId;

/// A message to the worker. It says that something may be there to do, and never more: the record decides. So a message
/// that comes twice, late or out of order does no harm.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Message {
    /// A job may be ready.
    Run(Ready),
    /// Parked jobs of a queue may go on: the queue was resumed, or has higher limits.
    Release {
        /// Whose.
        tenant_id: TenantId,
        /// Which queue.
        queue: QueueName,
        /// What they wait for whose turn is over: those of the scopes after this one go on. None: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// The turn of a queue may have come whose jobs wait for its rate.
    Turn {
        /// Whose.
        tenant_id: TenantId,
        /// Which queue.
        queue: QueueName,
        /// Which turn.
        #[serde(serialize_with = "shared::time::millis")]
        at: Timestamp,
    },
    /// A tick of a schedule has come that could not be decided ahead.
    Tick {
        /// Whose.
        tenant_id: TenantId,
        /// Which schedule.
        schedule_id: ScheduleId,
        /// The tick.
        #[serde(serialize_with = "shared::time::millis")]
        tick_at: Timestamp,
    },
}

/// A job that may be ready, with what must be known before it is claimed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Ready {
    /// Whose.
    pub tenant_id: TenantId,
    /// Which one.
    pub job_id: JobId,
    /// In which queue.
    pub queue: QueueName,
    /// What it shares a limit of concurrency with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<JobKey>,
    /// Whether it was parked before: then it may ask the queue's rate for room, though others are parked for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_parked: bool,
}

impl Ready {
    /// The message for `job`.
    pub fn of(job: &Job) -> Self {
        Self {
            tenant_id: job.tenant_id,
            job_id: job.id,
            queue: job.queue.clone(),
            concurrency_key: job.concurrency_key.clone(),
            was_parked: false,
        }
    }

    /// The same when it is let go.
    #[must_use]
    pub fn let_go(&self) -> Self {
        Self { was_parked: true, ..self.clone() }
    }
}

/// The addresses of the worker's queues, one for each priority.
#[derive(Clone, Debug)]
pub struct Levels {
    /// For the high priority.
    pub high: String,
    /// For the normal one.
    pub normal: String,
    /// For the low one.
    pub low: String,
}

impl Levels {
    /// The queue of a priority.
    pub fn of(&self, priority: Priority) -> &str {
        match priority {
            Priority::High => &self.high,
            Priority::Normal => &self.normal,
            Priority::Low => &self.low,
        }
    }
}
