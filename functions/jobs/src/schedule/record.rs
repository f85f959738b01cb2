//! The record of a schedule: when it fires, and which job it makes each time.

use serde::{Deserialize, Serialize};
use shared::http::ETag;
use shared::id::{Id, Kind, TenantId};
use shared::time::Timestamp;
use utoipa::ToSchema;

use super::recurrence::Recurrence;
use crate::job::JobId;
use crate::name::{JobKey, ScheduleName};

/// The kind of a schedule's id.
#[derive(Debug)]
pub enum ScheduleKind {}
impl Kind for ScheduleKind {
    const PREFIX: &'static str = "schedule";
}

/// The id of a schedule.
pub type ScheduleId = Id<ScheduleKind>;

/// What a schedule does at a tick when the job of the one before has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It makes the job, and both run.
    #[default]
    Allow,
    /// It leaves the tick out.
    Skip,
    /// It makes the job, which waits: all its jobs share one `concurrency_key`.
    Queue,
    /// It cancels the job before, and makes the new one.
    CancelPrevious,
}

/// What becomes of ticks that were missed because nothing ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are left out.
    None,
    /// The last of them is made up for.
    #[default]
    Last,
    /// The last 100 of them are made up for.
    All,
}

impl CatchUp {
    /// How many ticks are made up for: the newest.
    pub const fn most(self) -> usize {
        match self {
            Self::None => 0,
            Self::Last => 1,
            Self::All => 100,
        }
    }
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Schedule {
    /// Which one.
    pub id: ScheduleId,
    /// Whose.
    pub tenant_id: TenantId,
    /// What it is called.
    pub name: ScheduleName,
    /// When it fires.
    pub recurrence: Recurrence,
    /// Before this it does not fire.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub starts_at: Option<Timestamp>,
    /// After this it does not fire.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub ends_at: Option<Timestamp>,
    /// The job that it makes, a [`super::template::Template`] as JSON.
    pub job: String,
    /// What it does while the job before has not ended.
    pub overlap: Overlap,
    /// What becomes of missed ticks.
    pub catch_up: CatchUp,
    /// A job begins up to so many seconds after its tick.
    pub jitter_seconds: u32,
    /// Whether it does not fire at all.
    pub paused: bool,
    /// The oldest tick that is not dealt with; none while it is paused, and after its last.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub next_at: Option<Timestamp>,
    /// The newest tick that is dealt with: none at or before it fires again.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub last_tick_at: Option<Timestamp>,
    /// The last job that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_job_id: Option<JobId>,
    /// When it was made.
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was last edited.
    #[serde(serialize_with = "shared::time::millis")]
    pub updated_at: Timestamp,
    /// Grows with each write, also with each tick.
    pub revision: u64,
}

impl Schedule {
    /// Its version.
    pub fn etag(&self) -> ETag {
        ETag::of_version(format_args!("s{}", self.revision))
    }

    /// The first tick later than `after`.
    pub fn tick_after(&self, after: Timestamp) -> Option<Timestamp> {
        let before_start = self.starts_at.and_then(|start| start.checked_sub(MILLISECOND).ok());
        let after = before_start.map_or(after, |before_start| before_start.max(after));
        self.recurrence.next_after(after).filter(|tick| self.ends_at.is_none_or(|end| *tick <= end))
    }

    /// The first tick that is to be dealt with after an edit at `now`: neither one that has passed, nor one that is
    /// dealt with.
    pub fn first_tick(&self, now: Timestamp) -> Option<Timestamp> {
        if self.paused {
            return None;
        }
        self.tick_after(self.last_tick_at.map_or(now, |last| last.max(now)))
    }

    /// The next `count` ticks.
    pub fn next_ticks(&self, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_at, |tick| self.tick_after(*tick)).take(count).collect()
    }

    /// What its jobs share a limit of concurrency with, when they queue up and have no key of their own.
    pub fn concurrency_key(&self) -> Option<JobKey> {
        if self.overlap == Overlap::Queue { format!("schedule:{}", self.id).parse().ok() } else { None }
    }
}

/// Ticks have whole milliseconds.
pub(super) const MILLISECOND: shared::time::SignedDuration = shared::time::SignedDuration::from_millis(1);
