//! The time zone of a schedule: a name of the IANA database, which is compiled in, so that every function computes the
//! same times wherever it runs.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};
use shared::refusal::Refusal;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone of the IANA database, as `Europe/Berlin` or `UTC`. Read without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// The name in the case of the database.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Its rules.
    pub const fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = Refusal;

    fn from_str(name: &str) -> Result<Self, Refusal> {
        let known = DATABASE.get(name).ok().filter(|zone| !zone.is_unknown());
        let detail = "is not a time zone of the IANA database, as Europe/Berlin or UTC";
        known.map(Self).ok_or_else(|| Refusal::new("unknown_time_zone", detail))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl TryFrom<String> for Zone {
    type Error = Refusal;

    fn try_from(name: String) -> Result<Self, Refusal> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

impl utoipa::PartialSchema for Zone {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).examples(["Europe/Berlin"]).into()
    }
}

impl utoipa::ToSchema for Zone {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_zone_is_read_in_any_case_and_kept_in_that_of_the_database() {
        for (text, name) in [
            ("UTC", "UTC"),
            ("utc", "UTC"),
            ("europe/BERLIN", "Europe/Berlin"),
            ("America/Argentina/Buenos_Aires", "America/Argentina/Buenos_Aires"),
            ("US/Eastern", "US/Eastern"),
            ("Etc/GMT+5", "Etc/GMT+5"),
        ] {
            let zone: Zone = text.parse().unwrap();
            assert_eq!(zone.to_string(), name);
            assert_eq!(serde_json::to_string(&zone).unwrap(), format!("{name:?}"));
            assert_eq!(name.parse::<Zone>().unwrap(), zone);
        }
        assert_eq!("UTC".parse::<Zone>().unwrap(), Zone::UTC);
    }

    #[test]
    fn what_is_no_name_of_the_database_is_refused() {
        for text in
            ["", " ", "CEST", "+02:00", "UTC+2", "EST5EDT4,M3.2.0,M11.1.0", "Etc/Unknown", "../etc/passwd", "Mars"]
        {
            assert_eq!(text.parse::<Zone>().unwrap_err().code, "unknown_time_zone", "{text:?}");
        }
    }
}
