//! A range of days as the query of a request asks for it.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{FieldError, Problem};
use crate::time::Timestamp;

/// How many days a range without a beginning has.
const USUAL_DAYS: i32 = 30;

/// Which days, in UTC.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Days {
    /// The first day; 29 days before the last when absent.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-01")]
    from: Option<Date>,
    /// The last day; today when absent.
    #[param(value_type = Option<String>, format = Date, example = "2026-11-30")]
    to: Option<Date>,
}

impl Days {
    /// The first and the last day, no more than `most` days in all; today is the day of `now`.
    ///
    /// # Errors
    /// `validation` at `?from` when it is after the last day or before the year 0, whose days have no order as text, or the
    /// range has more days.
    pub fn between(self, most: i32, now: Timestamp) -> Result<(Date, Date), Problem> {
        let to = self.to.unwrap_or_else(|| Offset::UTC.to_datetime(now).date());
        let from = self.from.unwrap_or_else(|| to.saturating_sub((USUAL_DAYS - 1).days()));
        let refused = |code, detail: &str| Problem::validation(vec![FieldError::new("?from", code, detail)]);
        if from.year() < 0 {
            return Err(refused("out_of_range", "must be in the years 0000 to 9999"));
        }
        if from > to {
            return Err(refused("after_the_end", "must not be after `to`"));
        }
        if from.until(to).map_or(i32::MAX, |span| span.get_days()) >= most {
            return Err(refused("too_many_days", &format!("an answer has at most {most} days")));
        }
        Ok((from, to))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn between(from: Option<&str>, to: Option<&str>) -> Result<(String, String), Problem> {
        let day = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let now = "2026-05-04T12:00:00Z".parse().unwrap();
        let (from, to) = Days { from: day(from), to: day(to) }.between(31, now)?;
        Ok((from.to_string(), to.to_string()))
    }

    #[test]
    fn what_is_left_out_is_the_last_thirty_days() {
        let told = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        assert_eq!(between(None, None).ok(), told("2026-04-05", "2026-05-04"));
        assert_eq!(between(None, Some("2024-03-01")).ok(), told("2024-02-01", "2024-03-01"));
        assert_eq!(between(Some("2026-05-04"), None).ok(), told("2026-05-04", "2026-05-04"));
    }

    #[test]
    fn a_range_has_a_direction_and_a_bound() {
        assert!(between(Some("2026-05-05"), None).is_err());
        assert!(between(Some("2026-04-04"), None).is_ok());
        assert!(between(Some("2026-04-03"), None).is_err());
        assert!(between(Some("-009999-01-01"), Some("9999-12-31")).is_err());
        assert!(between(Some("-000002-12-31"), Some("-000001-01-01")).is_err());
        assert!(between(Some("0000-01-01"), Some("0000-01-02")).is_ok());
    }
}
