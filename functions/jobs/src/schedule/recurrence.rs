//! When a schedule fires: by the calendar or at a fixed distance. Everything here is a function of its arguments, so
//! that two schedulers that look at the same schedule see the same ticks.

use std::time::Duration;

use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use shared::refusal::Refusal;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use super::cron::Cron;
use super::time_zone::Zone;

/// The rule by which a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Recurrence {
    /// By the calendar.
    Cron {
        /// The times.
        expression: Cron,
        /// On whose clocks.
        time_zone: Zone,
    },
    /// At the anchor and every so many seconds after it, whatever the clocks show.
    Every {
        /// The distance.
        seconds: Period,
        /// The first tick, which the others are counted from.
        #[schema(value_type = String, format = DateTime)]
        anchor: Timestamp,
    },
}

impl Recurrence {
    /// The first tick that is later than `after`; `None` when there is none before the end of the calendar.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron { expression, time_zone } => expression.next_after(after, time_zone),
            Self::Every { seconds, anchor } => seconds.next_after(after, *anchor),
        }
    }

    /// The first `count` ticks after `after`, oldest first.
    pub fn next(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        self.ticks(after).take(count).collect()
    }

    /// The ticks after `since`, up to and with `until`: the oldest `most` of them.
    pub fn missed(&self, since: Timestamp, until: Timestamp, most: usize) -> Missed {
        let mut due = self.ticks(since).take_while(|tick| *tick <= until);
        let times = due.by_ref().take(most).collect();
        Missed { times, cut: due.next().is_some() }
    }

    fn ticks(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(after), |tick| self.next_after(*tick))
    }
}

/// Ticks that have passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Oldest first.
    pub times: Vec<Timestamp>,
    /// Whether there are more, later than these.
    pub cut: bool,
}

/// A distance between ticks: a minute to 366 days, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Period(u32);

impl Period {
    const SHORTEST: u32 = 60;
    const LONGEST: u32 = 366 * 86_400;

    /// In seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    fn next_after(self, after: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        if after < anchor {
            return Some(anchor);
        }
        let period = i128::from(self.0) * 1_000_000_000;
        let passed = (after.as_nanosecond() - anchor.as_nanosecond()) / period;
        Timestamp::from_nanosecond(anchor.as_nanosecond() + (passed + 1) * period).ok()
    }
}

impl TryFrom<u32> for Period {
    type Error = Refusal;

    fn try_from(seconds: u32) -> Result<Self, Refusal> {
        if (Self::SHORTEST..=Self::LONGEST).contains(&seconds) {
            return Ok(Self(seconds));
        }
        let detail = format!("must be from {} to {} seconds", Self::SHORTEST, Self::LONGEST);
        Err(Refusal::new("out_of_range", detail))
    }
}

impl From<Period> for u32 {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl utoipa::PartialSchema for Period {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int32)))
            .minimum(Some(Self::SHORTEST))
            .maximum(Some(Self::LONGEST))
            .examples([300])
            .into()
    }
}

impl ToSchema for Period {}

/// How long after its tick a schedule fires, up to and with `most`, in whole milliseconds: the same at every call,
/// evenly spread over the schedules and ticks.
pub fn jitter(schedule_id: &str, tick: Timestamp, most: Duration) -> Duration {
    let mut context = Context::new(&SHA256);
    context.update(&tick.as_nanosecond().to_be_bytes());
    context.update(schedule_id.as_bytes());
    let digest = context.finish();
    let number = digest.as_ref().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let choices = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    Duration::from_millis(number % choices)
}

#[cfg(test)]
#[path = "recurrence_tests.rs"]
mod tests;
