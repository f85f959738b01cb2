//! Cron expressions of five fields: what clients write into a schedule. The `croner` crate reads them and walks the
//! calendar; this type refuses what that crate lets pass, says which field is wrong, and settles the two questions on
//! which implementations differ as Debian's cron does
//! ([crontab(5)](https://manpages.debian.org/stable/cron/crontab.5.en.html)): how the two day fields go together, and
//! what happens when the clocks change (`daylight_saving`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use serde::{Deserialize, Serialize};
use shared::refusal::Refusal;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::daylight_saving;
use super::time_zone::Zone;

/// Bytes of an expression.
const LONGEST: usize = 256;

/// The calendar repeats after 400 years, and `croner` searches up to the year 5000: what does not fire in between never
/// does.
const LAST_CYCLE: DateTime = date(4600, 1, 1).at(0, 0, 0, 0);

const MACROS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

struct Field {
    name: &'static str,
    values: &'static str,
    names: &'static [&'static str],
}

const DAY_OF_MONTH: usize = 2;
const DAY_OF_WEEK: usize = 4;

const FIELDS: [Field; 5] = [
    Field { name: "minute", values: "0 to 59", names: &[] },
    Field { name: "hour", values: "0 to 23", names: &[] },
    Field {
        name: "day of the month",
        values: "1 to 31, L for the last day, LW for the last weekday, 15W for the weekday next to the 15th",
        names: &[],
    },
    Field {
        name: "month",
        values: "1 to 12 or JAN to DEC",
        names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    },
    Field {
        name: "day of the week",
        values: "0 to 7 (0 and 7 are Sunday) or SUN to SAT, 5L for the last Friday, 1#2 for the second Monday",
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

/// A cron expression that fires at some time: minute, hour, day of the month, month and day of the week, or one of
/// `@hourly`, `@daily` (`@midnight`), `@weekly`, `@monthly`, `@yearly` (`@annually`).
///
/// A day must match both day fields when one of them begins with `*`, and one of the two otherwise. Equal to another
/// that is written the same, but for white space.
#[derive(Clone, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    calendar: Arc<croner::Cron>,
    follows_elapsed_time: bool,
}

impl Cron {
    /// As it was written, with single spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time to fire that is later than `after`, on the clocks of `zone`; `None` when it is beyond the year
    /// 5000.
    pub fn next_after(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        if self.follows_elapsed_time {
            daylight_saving::next_by_elapsed_time(&self.calendar, zone.time_zone(), after)
        } else {
            daylight_saving::next_at_fixed_time(&self.calendar, zone.time_zone(), after)
        }
    }
}

impl FromStr for Cron {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.len() > LONGEST {
            return Err(Refusal::new("too_long", format!("may have at most {LONGEST} characters")));
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let expression = if text.starts_with('@') { expand(&text)? } else { text.as_str() };
        let fields: Vec<&str> = expression.split(' ').filter(|field| !field.is_empty()).collect();
        let Ok([minute, hour, day_of_month, _, day_of_week]) = <[&str; 5]>::try_from(fields.as_slice()) else {
            let detail = "must have 5 fields: minute, hour, day of the month, month, day of the week";
            return Err(Refusal::new("wrong_field_count", format!("{detail}; it has {}", fields.len())));
        };
        for (position, field) in fields.iter().enumerate() {
            check_words(position, field)?;
        }
        let has_star = |field: &str| field.starts_with('*');
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .dom_and_dow(has_star(day_of_month) || has_star(day_of_week))
            .build();
        let calendar = parser.parse(expression).map_err(|_| wrong_field(parser, &fields))?;
        if calendar.find_next_occurrence(&LAST_CYCLE, true).is_err() {
            return Err(Refusal::new("never_fires", "never fires: the months that it names have no such day"));
        }
        let follows_elapsed_time = has_star(minute) || has_star(hour);
        Ok(Self { text, calendar: Arc::new(calendar), follows_elapsed_time })
    }
}

fn expand(text: &str) -> Result<&'static str, Refusal> {
    let found = MACROS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, expression)| *expression).ok_or_else(|| {
        let names: Vec<&str> = MACROS.iter().map(|(name, _)| *name).collect();
        Refusal::new("unknown_macro", format!("begins with @ and is none of {}", names.join(", ")))
    })
}

/// Refuses words that do not belong into the field. `croner` takes names in any field and skips empty items.
fn check_words(position: usize, field: &str) -> Result<(), Refusal> {
    let known = |word: &str| {
        let word = word.to_ascii_uppercase();
        let value = match position {
            DAY_OF_MONTH if word == "L" || word == "LW" => return true,
            DAY_OF_MONTH => word.strip_suffix('W').unwrap_or(&word),
            DAY_OF_WEEK => word.strip_suffix('L').unwrap_or(&word),
            _ => &word,
        };
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        word == "*" || is_number || FIELDS.get(position).is_some_and(|field| field.names.contains(&value))
    };
    if field.split([',', '-', '/', '#']).all(known) { Ok(()) } else { Err(refuse(position, field)) }
}

/// Which field it is that the parser does not take: each is tried with stars for the others.
fn wrong_field(parser: CronParser, fields: &[&str]) -> Refusal {
    for (position, field) in fields.iter().enumerate() {
        let mut alone = ["*"; 5];
        if let Some(place) = alone.get_mut(position) {
            *place = field;
        }
        if parser.parse(&alone.join(" ")).is_err() {
            return refuse(position, field);
        }
    }
    Refusal::new("bad_field", "is not a cron expression")
}

fn refuse(position: usize, text: &str) -> Refusal {
    let Some(field) = FIELDS.get(position) else {
        return Refusal::new("bad_field", "is not a cron expression");
    };
    let (name, values, number) = (field.name, field.values, position + 1);
    let forms = "* for all, lists as 1,2, ranges as 1-5, steps as */2 or 1-5/2";
    Refusal::new("bad_field", format!("has {text:?} as field {number}, the {name}, which takes {values}; {forms}"))
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Debug for Cron {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Cron").field(&self.text).finish()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl TryFrom<String> for Cron {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl utoipa::PartialSchema for Cron {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(LONGEST))
            .examples(["30 9 * * MON-FRI", "@daily"])
            .into()
    }
}

impl utoipa::ToSchema for Cron {}

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;
