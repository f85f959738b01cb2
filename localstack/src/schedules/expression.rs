//! `rate(…)` and `cron(…)` as EventBridge writes them, in UTC
//! (<https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html>).

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// When a schedule fires.
#[derive(Clone, Debug)]
pub enum Expression {
    /// Every so often, counted from the start.
    Rate(SignedDuration),
    /// At the times of a calendar.
    Cron(Box<Cron>),
}

/// Why an expression was refused.
#[derive(Debug, thiserror::Error)]
pub enum ExpressionError {
    /// It is neither `rate(…)` nor `cron(…)`.
    #[error("{0:?} is neither rate(number unit) nor cron(minutes hours day-of-month month day-of-week year)")]
    Form(String),
    /// One of the two day fields must be `?`.
    #[error("{0:?} must have ? as its day of the month or its day of the week, and not as both")]
    Days(String),
    /// A field is wrong.
    #[error("{text:?} is no calendar")]
    Calendar {
        /// The expression.
        text: String,
        /// What is wrong with it.
        source: croner::errors::CronError,
    },
}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let form = || ExpressionError::Form(text.to_owned());
        let (kind, rest) = text.trim().split_once('(').ok_or_else(form)?;
        let inner = rest.strip_suffix(')').ok_or_else(form)?;
        match kind {
            "rate" => rate(inner).map(Self::Rate).ok_or_else(form),
            "cron" => cron(text, inner),
            _ => Err(form()),
        }
    }

    /// The first time to fire that is later than `after`; `None` when there is none (a year that has passed).
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Rate(period) => after.checked_add(*period).ok(),
            Self::Cron(calendar) => {
                let next = calendar.find_next_occurrence(&after.to_zoned(TimeZone::UTC), false).ok()?;
                Some(next.timestamp())
            }
        }
    }
}

/// `1 minute`, `5 minutes`: the unit is in the singular exactly for one.
fn rate(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_once(' ')?;
    let number: i64 = number.parse().ok().filter(|number| (1..=100_000).contains(number))?;
    let seconds = match (unit, number) {
        ("minute", 1) | ("minutes", 2..) => 60,
        ("hour", 1) | ("hours", 2..) => 3_600,
        ("day", 1) | ("days", 2..) => 86_400,
        _ => return None,
    };
    Some(SignedDuration::from_secs(number * seconds))
}

fn cron(text: &str, inner: &str) -> Result<Expression, ExpressionError> {
    let fields: Vec<&str> = inner.split_whitespace().collect();
    let [_, _, day_of_month, _, day_of_week, _] = fields.as_slice() else {
        return Err(ExpressionError::Form(text.to_owned()));
    };
    if (*day_of_month == "?") == (*day_of_week == "?") {
        return Err(ExpressionError::Days(text.to_owned()));
    }
    // AWS has no seconds and numbers the days from 1 = Sunday, as Quartz does.
    let parser = CronParser::builder()
        .seconds(Seconds::Required)
        .year(Year::Required)
        .alternative_weekdays(true)
        .dom_and_dow(true)
        .sloppy_ranges(true)
        .build();
    parser
        .parse(&format!("0 {}", fields.join(" ").replace('?', "*")))
        .map(|calendar| Expression::Cron(Box::new(calendar)))
        .map_err(|source| ExpressionError::Calendar { text: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The next times after `start`, to the minute.
    fn times(expression: &str, start: &str, count: usize) -> Vec<String> {
        let expression = Expression::parse(expression).unwrap();
        let mut at: Timestamp = start.parse().unwrap();
        let mut times = Vec::new();
        for _ in 0..count {
            at = expression.next_after(at).unwrap();
            times.push(at.strftime("%a %F %H:%M:%S").to_string());
        }
        times
    }

    #[test]
    fn rates_count_from_the_start() {
        assert_eq!(times("rate(1 minute)", "2026-01-01T00:00:30Z", 1), ["Thu 2026-01-01 00:01:30"]);
        assert_eq!(times("rate(2 days)", "2026-01-01T00:00:00Z", 1), ["Sat 2026-01-03 00:00:00"]);
    }

    #[test]
    fn days_of_the_week_are_numbered_from_sunday() {
        let weekdays = times("cron(0 10 ? * 2-6 *)", "2026-01-02T11:00:00Z", 2);
        assert_eq!(weekdays, ["Mon 2026-01-05 10:00:00", "Tue 2026-01-06 10:00:00"]);
        assert_eq!(times("cron(0 10 ? * 1 *)", "2026-01-01T00:00:00Z", 1), ["Sun 2026-01-04 10:00:00"]);
        assert_eq!(times("cron(0 10 ? * MON-FRI *)", "2026-01-03T00:00:00Z", 1), ["Mon 2026-01-05 10:00:00"]);
    }

    #[test]
    fn the_special_days_of_aws_are_known() {
        let start = "2026-01-01T00:00:00Z";
        assert_eq!(times("cron(0/15 8 1 * ? *)", start, 2), ["Thu 2026-01-01 08:00:00", "Thu 2026-01-01 08:15:00"]);
        assert_eq!(times("cron(0 0 L * ? *)", start, 2), ["Sat 2026-01-31 00:00:00", "Sat 2026-02-28 00:00:00"]);
        assert_eq!(times("cron(0 0 ? * 6L *)", start, 1), ["Fri 2026-01-30 00:00:00"]);
        assert_eq!(times("cron(0 0 ? * 3#2 *)", start, 1), ["Tue 2026-01-13 00:00:00"]);
        assert_eq!(times("cron(0 0 3W * ? *)", start, 1), ["Fri 2026-01-02 00:00:00"]);
        assert_eq!(times("cron(0 0 1 1 ? 2027-2030)", start, 1), ["Fri 2027-01-01 00:00:00"]);
    }

    #[test]
    fn a_year_that_has_passed_never_fires() {
        let expression = Expression::parse("cron(0 0 1 1 ? 2020)").unwrap();
        assert_eq!(expression.next_after("2026-01-01T00:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn wrong_expressions_are_refused() {
        for text in [
            "rate(1 minutes)",
            "rate(5 minute)",
            "rate(0 minutes)",
            "rate(5 seconds)",
            "every minute",
            "cron(0 10 * * * *)",
            "cron(0 10 ? * ? *)",
            "cron(0 10 * * ?)",
            "cron(0 25 * * ? *)",
            "cron(x 10 * * ? *)",
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
