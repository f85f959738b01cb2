//! A schedule and its runs as clients see them.

use serde::Serialize;
use shared::time::rfc3339_millis;
use utoipa::ToSchema;

use crate::job::JobId;
use crate::schedule::record::{Schedule, ScheduleId};
use crate::schedule::rules::Editable;
use crate::schedule::run::{Run, Skipped};

/// How many of its next times are shown.
const NEXT_TIMES: usize = 5;

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule, example = json!({
    "id": "schedule_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Nightly export", "cron": "30 2 * * *", "time_zone": "Europe/Berlin",
    "interval_seconds": null, "starts_at": null, "ends_at": null,
    "job": {"type": "export.run", "queue": "default", "payload": {"full": true}, "priority": "low", "max_attempts": 5,
            "backoff": null, "timeout_seconds": 600, "concurrency_key": null, "tags": ["export"], "on_done": null,
            "deliver_to": "https://example.com/jobs"},
    "overlap": "skip", "catch_up": "last", "jitter_seconds": 60, "paused": false,
    "next_times": ["2026-05-05T00:30:00.000Z", "2026-05-06T00:30:00.000Z", "2026-05-07T00:30:00.000Z",
                   "2026-05-08T00:30:00.000Z", "2026-05-09T00:30:00.000Z"],
    "last_tick_at": "2026-05-04T00:30:00.000Z", "last_job_id": "job_01k9z4n2y6e0qv3m8t5w7x9abc",
    "created_at": "2026-05-01T09:30:00.000Z", "created_by": "key_01k9z4n2y6e0qv3m8t5w7x9abc",
    "updated_at": "2026-05-01T09:30:00.000Z",
}))]
pub struct ScheduleView {
    /// Which one.
    #[schema(value_type = String, example = "schedule_01k9z4n2y6e0qv3m8t5w7x9abc")]
    id: ScheduleId,
    /// What is set for it.
    #[serde(flatten)]
    settings: Editable,
    /// The next five times at which it fires, without the jitter. None while it is paused, and after its last.
    #[schema(value_type = Vec<String>, format = DateTime, max_items = 5)]
    next_times: Vec<String>,
    /// The newest tick that was dealt with. That happens up to 150 seconds ahead.
    #[schema(format = DateTime)]
    last_tick_at: Option<String>,
    /// The last job that it made.
    #[schema(value_type = Option<String>)]
    last_job_id: Option<JobId>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// By whom: the id of a user or an API key.
    created_by: String,
    /// When it was last edited.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl ScheduleView {
    /// `schedule`, whose job can be read.
    pub fn of(schedule: &Schedule) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id: schedule.id,
            settings: schedule.editable()?,
            next_times: schedule.next_ticks(NEXT_TIMES).into_iter().map(rfc3339_millis).collect(),
            last_tick_at: schedule.last_tick_at.map(rfc3339_millis),
            last_job_id: schedule.last_job_id,
            created_at: rfc3339_millis(schedule.created_at),
            created_by: schedule.created_by.clone(),
            updated_at: rfc3339_millis(schedule.updated_at),
        })
    }
}

/// What came of a tick of a schedule, or of a run that was asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleRun, example = json!({
    "tick_at": "2026-05-04T00:30:00.000Z", "fired_at": "2026-05-04T00:28:12.345Z",
    "job_id": "job_01k9z4n2y6e0qv3m8t5w7x9abc", "skipped": null, "resumed_at": null,
}))]
pub struct RunView {
    /// The tick; the first of several that were missed together. Null for a run that was asked for.
    #[schema(format = DateTime)]
    tick_at: Option<String>,
    /// When it was dealt with: up to 150 seconds ahead.
    #[schema(format = DateTime)]
    fired_at: String,
    /// The job. It is removed some days after its end.
    #[schema(value_type = Option<String>)]
    job_id: Option<JobId>,
    /// Why there is none: `overlap`, the job before had not ended; `missed`, nothing ran at its time; `refused`, the
    /// job is not acceptable any more. New reasons may come.
    skipped: Option<Skipped>,
    /// Of missed ticks, the one with which the schedule went on: those between were missed as well.
    #[schema(format = DateTime)]
    resumed_at: Option<String>,
}

impl RunView {
    /// `run`.
    pub fn of(run: &Run) -> Self {
        Self {
            tick_at: run.tick_at.map(rfc3339_millis),
            fired_at: rfc3339_millis(run.fired_at),
            job_id: run.job_id,
            skipped: run.skipped,
            resumed_at: run.resumed_at.map(rfc3339_millis),
        }
    }
}

/// The path of a schedule in the API.
pub(super) fn location(id: &ScheduleId) -> String {
    format!("/v2/schedules/{id}")
}
