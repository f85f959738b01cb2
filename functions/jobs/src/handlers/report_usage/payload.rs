//! What is asked of `report.usage`, and its rules.

use jiff::Unit;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use shared::http::FieldError;
use shared::time::Timestamp;

/// The most days of one report.
const MOST_DAYS: i32 = 92;

/// Which jobs are counted, and how.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payload {
    /// The first day, in UTC.
    pub(super) from: Date,
    /// The last day: up to 91 days later.
    pub(super) to: Date,
    /// What has a row of its own; without any, there is one row.
    #[serde(default)]
    pub(super) group_by: Vec<Group>,
    /// How it is written.
    pub(super) format: Format,
}

/// What rows can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Group {
    /// The day on which a job was made, in UTC.
    Day,
    /// Its type.
    Type,
    /// Its queue.
    Queue,
    /// Where it stands when the report is made.
    State,
}

impl Group {
    /// The name of its column.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Type => "type",
            Self::Queue => "queue",
            Self::State => "state",
        }
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// An object with `rows`.
    Json,
    /// A header and a line for each row (RFC 4180).
    Csv,
}

/// From the beginning of the first day to the end of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    from: Timestamp,
    before: Timestamp,
}

impl Range {
    /// The first moment of it, and the first after it.
    pub(super) const fn times(self) -> (Timestamp, Timestamp) {
        (self.from, self.before)
    }

    /// How much of it is before `at`: 0 to 1.
    pub(super) fn share_before(self, at: Timestamp) -> f64 {
        let passed = at.duration_since(self.from).as_secs_f64() / self.before.duration_since(self.from).as_secs_f64();
        passed.clamp(0.0, 1.0)
    }
}

impl Payload {
    /// The time that it is about.
    pub(super) fn range(&self) -> Result<Range, FieldError> {
        let wrong = |detail: &str| FieldError::new("/to", "out_of_range", detail.to_owned());
        if self.to < self.from {
            return Err(wrong("must not be before from"));
        }
        let days = self.from.until((Unit::Day, self.to)).map_or(i32::MAX, |span| span.get_days());
        if days >= MOST_DAYS {
            return Err(wrong("there may be 92 days from the first to the last"));
        }
        let begins = |day: Date| day.to_zoned(TimeZone::UTC).map(|at| at.timestamp());
        let before = self.to.tomorrow().and_then(begins);
        match (begins(self.from), before) {
            (Ok(from), Ok(before)) => Ok(Range { from, before }),
            _ => Err(wrong("is beyond all time")),
        }
    }

    pub(super) fn faults(&self) -> Vec<FieldError> {
        let mut faults: Vec<_> = self.range().err().into_iter().collect();
        for (index, group) in self.group_by.iter().enumerate() {
            if self.group_by.iter().take(index).any(|before| before == group) {
                faults.push(FieldError::new(format!("/group_by/{index}"), "duplicate", "is there already"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn payload(from: &str, to: &str, group_by: &str) -> Payload {
        let text = format!(r#"{{"from": "{from}", "to": "{to}", "group_by": {group_by}, "format": "csv"}}"#);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn both_days_are_in_the_report() {
        let range = payload("2026-05-04", "2026-05-04", "[]").range().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(range.times(), (at("2026-05-04T00:00:00Z"), at("2026-05-05T00:00:00Z")));
        assert!((range.share_before(at("2026-05-04T06:00:00Z")) - 0.25).abs() < 1e-9);
        assert!(range.share_before(at("2026-05-03T00:00:00Z")).abs() < f64::EPSILON);
    }

    #[test]
    fn a_report_has_at_most_92_days() {
        let faults = |from, to| payload(from, to, "[]").faults().len();
        assert_eq!(faults("2026-01-01", "2026-04-02"), 0);
        assert_eq!(faults("2026-01-01", "2026-04-03"), 1);
        assert_eq!(faults("2026-01-02", "2026-01-01"), 1);
        assert_eq!(faults("9999-12-30", "9999-12-31"), 1);
        assert_eq!(faults("-009999-01-01", "9999-12-31"), 1);
    }

    #[test]
    fn a_column_is_asked_for_once() {
        let faults = payload("2026-05-04", "2026-05-04", r#"["day", "type", "day"]"#).faults();
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), ["/group_by/2"]);
    }
}
