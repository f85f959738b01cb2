//! How schedules are made and edited: what a client may set, and the rules that concern several fields or the time. The
//! rules of single fields are in their types.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::id::TenantId;
use shared::refusal::{Fault, Refusal};
use shared::time::{Timestamp, to_millisecond};
use utoipa::ToSchema;

use super::cron::Cron;
use super::record::{CatchUp, Overlap, Schedule, ScheduleId};
use super::recurrence::{Period, Recurrence};
use super::template::Template;
use super::time_zone::Zone;
use crate::name::ScheduleName;
use crate::payload::INLINE;

/// The longest jitter in seconds.
const LONGEST_JITTER_SECONDS: u32 = 3600;

/// What a client sets of a schedule, to make one or, by a merge patch, to edit one.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSchedule)]
pub struct Editable {
    /// What it is called.
    pub name: ScheduleName,
    /// The times at which it fires. Either this or `interval_seconds`.
    #[serde(default)]
    pub cron: Option<Cron>,
    /// On whose clocks `cron` is read. Without it, UTC.
    #[serde(default)]
    pub time_zone: Option<Zone>,
    /// It fires at `starts_at` (or when it was made) plus any multiple of this: 60 seconds to 366 days.
    #[serde(default)]
    pub interval_seconds: Option<Period>,
    /// Before this it does not fire.
    #[serde(default, serialize_with = "shared::time::millis_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// After this it does not fire. Must be in the future when it is set.
    #[serde(default, serialize_with = "shared::time::millis_or_null")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// The job that it makes each time.
    pub job: Template,
    /// What it does at a tick when the job of the one before has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// What becomes of ticks that were missed because nothing ran.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Each job begins up to so many seconds after its tick, so that many schedules do not begin at once: 0 to 3,600.
    /// How many is the same for the same tick.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3600)]
    pub jitter_seconds: u32,
    /// Whether it does not fire at all. What would have fired meanwhile is not made up for.
    #[serde(default)]
    pub paused: bool,
}

/// Who makes a schedule, and when.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The new schedule's id.
    pub id: ScheduleId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Who makes it.
    pub created_by: String,
    /// When.
    pub now: Timestamp,
}

impl Editable {
    /// A new schedule, if every rule is kept. What the job itself has to keep is for the caller to check.
    pub fn into_schedule(self, origin: Origin) -> Result<Schedule, Vec<Fault>> {
        self.build(None, origin)
    }

    fn build(self, before: Option<&Schedule>, origin: Origin) -> Result<Schedule, Vec<Fault>> {
        let now = to_millisecond(origin.now);
        let mut faults = self.faults();
        if before.is_none_or(|before| self.ends_at != before.ends_at) && self.ends_at.is_some_and(|end| end <= now) {
            faults.push(Refusal::new("in_the_past", "must be in the future").at("/ends_at"));
        }
        let name = self.name.kept();
        if let Err(refusal) = &name
            && before.is_none_or(|before| self.name != before.name)
        {
            faults.push(refusal.clone().at("/name"));
        }
        let created_at = before.map_or(now, |before| before.created_at);
        let Some(recurrence) = self.recurrence(created_at) else {
            faults.push(Refusal::new("missing_field", "give cron or interval_seconds").at("/cron"));
            return Err(faults);
        };
        let mut schedule = Schedule {
            id: origin.id,
            tenant_id: origin.tenant_id,
            name: name.unwrap_or(self.name),
            recurrence,
            starts_at: self.starts_at.map(to_millisecond),
            ends_at: self.ends_at.map(to_millisecond),
            job: self.job.text(before),
            overlap: self.overlap,
            catch_up: self.catch_up,
            jitter_seconds: self.jitter_seconds,
            paused: self.paused,
            next_at: None,
            last_tick_at: before.and_then(|before| before.last_tick_at),
            last_job_id: before.and_then(|before| before.last_job_id),
            created_at,
            created_by: origin.created_by,
            updated_at: now,
            revision: before.map_or(0, |before| before.revision) + 1,
        };
        // An edit of anything else forgets no tick that was missed.
        let same = before.filter(|before| before.fires_as(&schedule));
        schedule.next_at = same.map_or_else(|| schedule.first_tick(now), |before| before.next_at);
        if same.is_none() && faults.is_empty() && !schedule.paused && schedule.next_at.is_none() {
            let pointer = if schedule.ends_at.is_some() { "/ends_at" } else { "/starts_at" };
            faults.push(Refusal::new("never_fires", "leaves no time at which it fires").at(pointer));
        }
        if faults.is_empty() { Ok(schedule) } else { Err(faults) }
    }

    /// What is wrong whatever the time.
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut refuse = |is_bad: bool, pointer, code, detail: &'static str| {
            if is_bad {
                faults.push(Refusal::new(code, detail).at(pointer));
            }
        };
        let (has_cron, has_interval) = (self.cron.is_some(), self.interval_seconds.is_some());
        refuse(has_cron && has_interval, "/interval_seconds", "conflict", "give cron or interval_seconds, not both");
        let has_lone_zone = self.time_zone.is_some() && has_interval && !has_cron;
        refuse(has_lone_zone, "/time_zone", "conflict", "an interval has no time zone");
        let ends_first = self.starts_at.zip(self.ends_at).is_some_and(|(start, end)| end <= start);
        refuse(ends_first, "/ends_at", "out_of_range", "must be later than starts_at");
        refuse(self.jitter_seconds > LONGEST_JITTER_SECONDS, "/jitter_seconds", "out_of_range", "must be 0 to 3600");
        let payload = self.job.payload.as_ref().map_or("null", |payload| payload.get());
        refuse(payload.len() > INLINE, "/job/payload", "too_large", "may have at most 4 KB");
        // A merge patch has to be able to take it apart.
        let is_readable = serde_json::from_str::<Value>(payload).is_ok();
        refuse(!is_readable, "/job/payload", "out_of_range", "has a number that is too large, or is nested too deeply");
        faults
    }

    /// When it fires, if it was made at `created_at`.
    fn recurrence(&self, created_at: Timestamp) -> Option<Recurrence> {
        if let Some(expression) = self.cron.clone() {
            let time_zone = self.time_zone.clone().unwrap_or(Zone::UTC);
            return Some(Recurrence::Cron { expression, time_zone });
        }
        let anchor = self.starts_at.map_or(created_at, to_millisecond);
        Some(Recurrence::Every { seconds: self.interval_seconds?, anchor })
    }
}

impl Schedule {
    /// The job that it makes.
    pub fn template(&self) -> Result<Template, serde_json::Error> {
        serde_json::from_str(&self.job)
    }

    /// What a merge patch is applied to.
    pub fn editable(&self) -> Result<Editable, serde_json::Error> {
        let (cron, time_zone, interval_seconds) = match &self.recurrence {
            Recurrence::Cron { expression, time_zone } => (Some(expression.clone()), Some(time_zone.clone()), None),
            Recurrence::Every { seconds, .. } => (None, None, Some(*seconds)),
        };
        Ok(Editable {
            name: self.name.clone(),
            cron,
            time_zone,
            interval_seconds,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            job: self.template()?,
            overlap: self.overlap,
            catch_up: self.catch_up,
            jitter_seconds: self.jitter_seconds,
            paused: self.paused,
        })
    }

    /// The schedule after an edit at `now`, if every rule is kept. When the times change, it goes on with the first
    /// tick that neither has passed nor was dealt with.
    pub fn edited(&self, edited: Editable, now: Timestamp) -> Result<Self, Vec<Fault>> {
        let created_by = self.created_by.clone();
        edited.build(Some(self), Origin { id: self.id, tenant_id: self.tenant_id, created_by, now })
    }

    /// Whether it fires at the same times as another.
    fn fires_as(&self, other: &Self) -> bool {
        let times = |schedule: &Self| (schedule.starts_at, schedule.ends_at, schedule.paused);
        self.recurrence == other.recurrence && times(self) == times(other)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
