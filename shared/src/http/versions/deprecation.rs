//! The registry of what is deprecated: routes, fields and values that still work, and until when.
//!
//! From it come the headers of the answers (`Deprecation`, RFC 9745; `Sunset`, RFC 8594; `Link`), the refusals during a
//! brown-out and after the end, the marks in the OpenAPI document, and the part of the changelog that tells of it.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, LINK};
use jiff::civil::{DateTime, date, datetime};
use jiff::tz::Offset;

use super::Version;
use super::change::Operation;
use crate::http::{FieldError, Problem, ProblemType};
use crate::time::Timestamp;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// All that is deprecated.
pub const DEPRECATIONS: &[Deprecation] = &[
    Deprecation {
        name: "notes-v1",
        version: Version::V1,
        subject: Subject::Family { root: "notes" },
        since: midnight(2026, 11, 1),
        sunset: Some(midnight(2027, 12, 1)),
        brown_outs: &[
            BrownOut { from: datetime(2027, 11, 2, 14, 0, 0, 0), until: datetime(2027, 11, 2, 16, 0, 0, 0) },
            BrownOut { from: datetime(2027, 11, 16, 8, 0, 0, 0), until: datetime(2027, 11, 16, 20, 0, 0, 0) },
        ],
        instead: "use `/v2/notes`",
    },
    Deprecation {
        name: "notes-format-md",
        version: Version::V1,
        subject: Subject::Value { schema: "NoteFormat", value: "md" },
        since: midnight(2026, 11, 1),
        sunset: Some(midnight(2027, 6, 1)),
        brown_outs: &[],
        instead: "send the format `markdown`",
    },
    Deprecation {
        name: "links-not-before",
        version: Version::V1,
        subject: Subject::Field { schemas: &["NewLink", "Editable", "Link"], property: "not_before" },
        since: midnight(2026, 11, 1),
        sunset: None,
        brown_outs: &[],
        instead: "use `starts_at` of `/v2/links`",
    },
    Deprecation {
        name: "links-stats-v1",
        version: Version::V1,
        subject: Subject::Route { method: "GET", template: "/links/{id}/stats" },
        since: midnight(2026, 11, 1),
        sunset: Some(midnight(2027, 12, 1)),
        brown_outs: &[],
        instead: "use `GET /v2/links/{id}/stats`",
    },
];

const fn midnight(year: i16, month: i8, day: i8) -> DateTime {
    date(year, month, day).at(0, 0, 0, 0)
}

/// One thing that is deprecated.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    /// Its name in the changelog and in the usage.
    pub name: &'static str,
    /// The version that has it.
    pub version: Version,
    /// What it is.
    pub subject: Subject,
    /// Since when, in UTC.
    pub since: DateTime,
    /// From when on it does not work any more, if that is known.
    pub sunset: Option<DateTime>,
    /// When it is switched off before that, so that whoever still uses it notices in time.
    pub brown_outs: &'static [BrownOut],
    /// What to do instead: the end of a sentence, in Markdown.
    pub instead: &'static str,
}

/// What a deprecation is about.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// All operations whose path begins with the version and this segment.
    Family {
        /// The segment.
        root: &'static str,
    },
    /// One operation.
    Route {
        /// Its method.
        method: &'static str,
        /// Its path behind the version.
        template: &'static str,
    },
    /// A field. The change that replaces it says when a request has it.
    Field {
        /// The schemas that have it.
        schemas: &'static [&'static str],
        /// Its name.
        property: &'static str,
    },
    /// A value of a field. The change that replaces it says when a request has it.
    Value {
        /// The schema of the field.
        schema: &'static str,
        /// The value.
        value: &'static str,
    },
}

/// A time in which something deprecated is switched off, in UTC.
#[derive(Clone, Copy, Debug)]
pub struct BrownOut {
    /// The beginning.
    pub from: DateTime,
    /// The end.
    pub until: DateTime,
}

/// Whether something deprecated works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Works,
    /// It is switched off until then.
    OffUntil(Timestamp),
    Ended,
}

/// The moment that a date in UTC is.
pub fn moment(at: DateTime) -> Timestamp {
    Offset::UTC.to_timestamp(at).unwrap_or(Timestamp::MAX)
}

impl Deprecation {
    /// Whether an operation as such is deprecated by it.
    pub fn covers(&self, version: Version, operation: &Operation<'_>) -> bool {
        version == self.version
            && match self.subject {
                Subject::Family { root } => operation.segments.first() == Some(&root),
                Subject::Route { method, template } => operation.is(method, template),
                Subject::Field { .. } | Subject::Value { .. } => false,
            }
    }

    /// The one called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        DEPRECATIONS.iter().find(|deprecation| deprecation.name == name)
    }

    /// Whether it works at `now`.
    fn state(&self, now: Timestamp) -> State {
        if self.sunset.is_some_and(|end| moment(end) <= now) {
            return State::Ended;
        }
        let brown_out = self.brown_outs.iter().find(|time| moment(time.from) <= now && now < moment(time.until));
        brown_out.map_or(State::Works, |time| State::OffUntil(moment(time.until)))
    }

    /// The page that says what to do.
    pub fn guide(&self) -> String {
        format!("/changelog#{}", self.name)
    }

    /// Refuses it where it is an operation that has ended, or is switched off at `now`.
    pub(super) fn check_route(&self, now: Timestamp) -> Result<(), Problem> {
        let (detail, until) = match self.state(now) {
            State::Works => return Ok(()),
            State::OffUntil(until) => ("this is switched off for some hours, because it will end", Some(until)),
            State::Ended => ("this has ended", None),
        };
        let detail = format!("{detail}: {}", self.instead);
        let mut problem = Problem::new(ProblemType::VersionSunset, detail);
        if let Ok(link) = HeaderValue::try_from(format!("<{}>; rel=\"sunset\"; type=\"text/html\"", self.guide())) {
            problem = problem.header(LINK, link);
        }
        Err(match until {
            None => problem,
            Some(until) => problem.retry_after(until.duration_since(now).as_secs().unsigned_abs()),
        })
    }

    /// The fault of a field or a value at `pointer` that has ended, or is switched off at `now`.
    pub(super) fn check_use(&self, pointer: &str, now: Timestamp) -> Option<FieldError> {
        if self.state(now) == State::Works {
            return None;
        }
        Some(FieldError::new(pointer, "ended", format!("has ended: {} (see {})", self.instead, self.guide())))
    }
}

/// Tells a client of what it uses: since when the first of it is deprecated, when the first ends, and where to read on.
pub(super) fn tell(headers: &mut HeaderMap, used: &[&'static Deprecation]) {
    let since = used.iter().map(|deprecation| moment(deprecation.since)).min();
    let sunset = used.iter().filter_map(|deprecation| deprecation.sunset.map(moment)).min();
    if let Some(since) = since.and_then(|since| HeaderValue::try_from(format!("@{}", since.as_second())).ok()) {
        headers.insert(DEPRECATION, since);
    }
    let date = sunset.map(|sunset| sunset.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(date) = date.and_then(|date| HeaderValue::try_from(date).ok()) {
        headers.insert(SUNSET, date);
    }
    let links =
        used.iter().map(|deprecation| format!("<{}>; rel=\"deprecation\"; type=\"text/html\"", deprecation.guide()));
    // In one line: an answer to API Gateway holds one value of each header.
    let own = headers.get(LINK).and_then(|link| link.to_str().ok()).map(str::to_owned);
    let all: Vec<_> = own.into_iter().chain(links).collect();
    if let Some(all) =
        Some(all.join(", ")).filter(|all| !all.is_empty()).and_then(|all| HeaderValue::try_from(all).ok())
    {
        headers.insert(LINK, all);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_ends_is_told_long_before_and_switched_off_before_its_end() {
        for deprecation in DEPRECATIONS {
            let mut times = vec![deprecation.since];
            times.extend(deprecation.brown_outs.iter().flat_map(|time| [time.from, time.until]));
            times.extend(deprecation.sunset);
            assert!(times.is_sorted(), "{}", deprecation.name);
            if let Some(sunset) = deprecation.sunset {
                let notice = moment(sunset).duration_since(moment(deprecation.since));
                assert!(notice.as_hours() >= 180 * 24, "{}", deprecation.name);
            }
            assert_eq!(DEPRECATIONS.iter().filter(|other| other.name == deprecation.name).count(), 1);
        }
    }

    #[test]
    fn several_are_told_in_one_answer() {
        let used: Vec<_> =
            ["links-not-before", "notes-v1"].iter().map(|name| Deprecation::named(name).unwrap()).collect();
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_static("</v1/links?cursor=a>; rel=\"next\""));
        tell(&mut headers, &used);
        assert_eq!(headers["deprecation"], "@1793491200");
        assert_eq!(headers["sunset"], "Wed, 01 Dec 2027 00:00:00 GMT");
        assert_eq!(
            headers["link"],
            "</v1/links?cursor=a>; rel=\"next\", </changelog#links-not-before>; rel=\"deprecation\"; type=\"text/html\", \
             </changelog#notes-v1>; rel=\"deprecation\"; type=\"text/html\""
        );
        let mut untouched = HeaderMap::new();
        tell(&mut untouched, &[]);
        assert!(untouched.is_empty());
    }

    #[test]
    fn it_works_until_its_end_but_for_the_brown_outs() {
        let notes = Deprecation::named("notes-v1").unwrap();
        let at = |text: &str| notes.check_route(text.parse().unwrap()).map_err(|problem| problem.to_string());
        assert_eq!(at("2027-11-02T13:59:59Z"), Ok(()));
        assert!(at("2027-11-02T14:00:00Z").unwrap_err().contains("switched off for some hours"));
        assert_eq!(at("2027-11-02T16:00:00Z"), Ok(()));
        assert_eq!(at("2027-11-30T23:59:59Z"), Ok(()));
        assert!(at("2027-12-01T00:00:00Z").unwrap_err().contains("this has ended"));
    }
}
