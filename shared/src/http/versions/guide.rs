//! What is different between the versions and what is deprecated, as text for people: a part of the changelog.

use std::fmt::Write as _;

use super::FAMILIES;
use super::deprecation::{DEPRECATIONS, Deprecation, Subject};

/// The changes and the deprecations in Markdown. Each heading has the anchor that links lead to.
pub fn markdown() -> String {
    let mut text = String::from(
        "## Versions\n\nNotes, links, jobs, queues and schedules are served as `/v1` and `/v2`. What is not told here is the same in \
         both.\n\n### From v1 to v2\n",
    );
    for change in FAMILIES.iter().flat_map(|family| family.changes) {
        let _ = write!(text, "\n#### {0} {{#{0}}}\n\n{1}\n", change.name(), change.changelog());
    }
    text.push_str("\n### Deprecated\n");
    for deprecation in DEPRECATIONS {
        let _ = write!(text, "\n#### {0} {{#{0}}}\n\n{1}\n", deprecation.name, told(deprecation));
    }
    text
}

fn told(deprecation: &Deprecation) -> String {
    let Deprecation { version, subject, since, sunset, brown_outs, instead, .. } = deprecation;
    let what = match subject {
        Subject::Family { root } => format!("All of `/{version}/{root}`"),
        Subject::Route { method, template } => format!("`{method} /{version}{template}`"),
        Subject::Field { schemas, property } => format!("The field `{property}` ({}) in {version}", schemas.join(", ")),
        Subject::Value { schema, value } => format!("The value `{value}` of {schema} in {version}"),
    };
    let mut text = format!("{what} is deprecated since {}: {instead}.", since.date());
    match sunset {
        Some(sunset) => {
            let _ = write!(text, " It ends on {}.", sunset.date());
        }
        None => text.push_str(" No end is planned."),
    }
    for time in *brown_outs {
        let (day, from, until) = (time.from.date(), time.from.time(), time.until.time());
        let _ = write!(text, " On {day} it is switched off from {from} to {until} UTC.");
    }
    text
}
