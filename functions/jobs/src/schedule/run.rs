//! What came of each tick of a schedule.

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use shared::time::{SignedDuration, Timestamp, rfc3339_millis};
use utoipa::ToSchema;

use super::record::ScheduleId;
use crate::job::JobId;

/// How long a run is remembered.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Why a tick made no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ScheduleSkipped)]
pub enum Skipped {
    /// The job before had not ended.
    Overlap,
    /// Nothing ran at its time, and it is not made up for.
    Missed,
    /// The job is not acceptable any more.
    Refused,
}

/// A tick that was dealt with, or a run that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Run {
    /// The tick; the first of several that were missed together. None for a run that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub tick_at: Option<Timestamp>,
    /// Of missed ticks, the one with which the schedule went on: those between were missed as well.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub resumed_at: Option<Timestamp>,
    /// When it was dealt with: a job is made up to 150 seconds before its tick.
    #[serde(serialize_with = "shared::time::millis")]
    pub fired_at: Timestamp,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
}

impl Run {
    /// Its place among the runs of the schedule. A tick has one place.
    pub fn place(&self) -> String {
        match (self.tick_at, self.job_id) {
            (None, Some(job_id)) => format!("{}#{job_id}", rfc3339_millis(self.fired_at)),
            (tick_at, _) => rfc3339_millis(tick_at.unwrap_or(self.fired_at)),
        }
    }

    /// When it is forgotten.
    pub fn removed_at(&self) -> Timestamp {
        self.fired_at.checked_add(KEPT).unwrap_or(Timestamp::MAX)
    }
}

/// The id of a tick's job: the tick's time, and a hash of the schedule and the tick where other ids are random (RFC
/// 9562, section 5.7), so that every scheduler makes the same job.
pub fn job_id(schedule: &ScheduleId, tick: Timestamp) -> JobId {
    let mut context = Context::new(&SHA256);
    context.update(schedule.uuid().as_bytes());
    context.update(&tick.as_millisecond().to_be_bytes());
    let digest = context.finish();
    let mut hash = [0; 10];
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    let millis = u64::try_from(tick.as_millisecond()).unwrap_or(0);
    JobId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &hash).into_uuid())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_tick_of_each_schedule_has_a_job_of_its_own_and_always_the_same() {
        let schedule = |number| ScheduleId::from_uuid(uuid::Uuid::from_u128(number));
        let at = |second| Timestamp::from_second(second).unwrap();
        let id = job_id(&schedule(1), at(1_800_000_000));
        assert_eq!(id, job_id(&schedule(1), at(1_800_000_000)));
        assert_ne!(id, job_id(&schedule(2), at(1_800_000_000)));
        assert_ne!(id, job_id(&schedule(1), at(1_800_000_060)));
        assert_eq!((id.uuid().get_version_num(), id.uuid().as_u128() >> 80), (7, 1_800_000_000_000));
        assert!(id.to_string() < job_id(&schedule(1), at(1_800_000_001)).to_string());
    }
}
