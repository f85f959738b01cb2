//! A report as a file.

use std::borrow::Cow;

use serde_json::{Map, Value, json};
use shared::time::{Timestamp, rfc3339_millis};

use super::payload::{Format, Group, Payload};
use super::tally::{Sums, Tally};
use crate::handlers::Failed;

/// The columns after those of the groups.
const SUMS: [&str; 6] = ["jobs", "attempts", "failures", "dead", "work_seconds", "payload_bytes"];

/// The name, the media type and the content of the file.
pub(super) fn write(
    payload: &Payload,
    tally: &Tally,
    now: Timestamp,
) -> Result<(&'static str, &'static str, Vec<u8>), Failed> {
    match payload.format {
        Format::Json => {
            let content = serde_json::to_vec(&document(payload, tally, now));
            let content = content.map_err(|error| Failed::poison("encoding", error.to_string()))?;
            Ok(("usage.json", "application/json", content))
        }
        Format::Csv => Ok(("usage.csv", "text/csv; charset=utf-8", csv(&payload.group_by, tally).into_bytes())),
    }
}

fn numbers(sums: &Sums) -> [Value; 6] {
    #[allow(clippy::cast_precision_loss)] // 2^53 milliseconds are 285,000 years
    let work_seconds = sums.work_millis as f64 / 1000.0;
    [
        sums.jobs.into(),
        sums.attempts.into(),
        sums.failures.into(),
        sums.dead.into(),
        work_seconds.into(),
        sums.payload_bytes.into(),
    ]
}

fn document(payload: &Payload, tally: &Tally, now: Timestamp) -> Value {
    let rows: Vec<_> = tally
        .iter()
        .map(|(cells, sums)| {
            let cells = payload.group_by.iter().zip(cells).map(|(group, cell)| (group.name(), cell.as_str().into()));
            let row: Map<String, Value> = cells
                .chain(SUMS.into_iter().zip(numbers(sums)))
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            row
        })
        .collect();
    json!({
        "from": payload.from.to_string(), "to": payload.to.to_string(), "group_by": payload.group_by,
        "made_at": rfc3339_millis(now), "rows": rows,
    })
}

fn csv(groups: &[Group], tally: &Tally) -> String {
    let header: Vec<_> = groups.iter().map(|group| group.name()).chain(SUMS).map(str::to_owned).collect();
    let mut text = line(header);
    for (cells, sums) in tally.iter() {
        let sums = numbers(sums).map(|number| number.to_string());
        text.push_str(&line(cells.iter().map(|text| cell(text).into_owned()).chain(sums)));
    }
    text
}

fn line(cells: impl IntoIterator<Item = String>) -> String {
    let mut line = cells.into_iter().collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A text that others chose, as RFC 4180 quotes it. A spreadsheet takes for a formula what begins like one: an apostrophe
/// before it says that it is text (<https://owasp.org/www-community/attacks/CSV_Injection>).
fn cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) };
    if text.contains([',', '"', '\r', '\n']) { Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_never_a_formula() {
        for (text, expected) in [
            ("invoice.send", "invoice.send"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+2", "'=1+2"),
            ("-1", "'-1"),
            ("+1", "'+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
    }

    #[test]
    fn without_jobs_there_is_a_header_and_the_sum_of_nothing() {
        assert_eq!(
            csv(&[Group::Day], &Tally::new(&[Group::Day])),
            "day,jobs,attempts,failures,dead,work_seconds,payload_bytes\r\n"
        );
        let all = csv(&[], &Tally::new(&[]));
        assert_eq!(all, "jobs,attempts,failures,dead,work_seconds,payload_bytes\r\n0,0,0,0,0.0,0\r\n");
    }
}
