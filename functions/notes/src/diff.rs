//! What changed between two revisions.

use std::time::Duration;

use similar::TextDiff;

use crate::note::Revision;

/// The lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// After so long the differences are told more coarsely.
const PATIENCE: Duration = Duration::from_millis(500);

/// The names of the fields that differ.
pub fn changed(from: &Revision, to: &Revision) -> Vec<&'static str> {
    [
        ("title", from.title != to.title),
        ("content", from.content != to.content),
        ("format", from.format != to.format),
        ("tags", from.tags != to.tags),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// The contents' difference in the unified format; empty when there is none.
pub fn unified(from: &Revision, to: &Revision) -> String {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(from.content.as_str(), to.content.as_str());
    let header = |revision: &Revision| format!("revision {}", revision.version);
    diff.unified_diff().context_radius(CONTEXT).header(&header(from), &header(to)).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::note::Format;
    use crate::text::{MOST_CONTENT_BYTES, Tags};
    use shared::time::Timestamp;

    fn revision(version: i64, content: &str) -> Revision {
        Revision {
            version,
            title: "a".to_owned().try_into().unwrap(),
            content: content.to_owned().try_into().unwrap(),
            format: Format::Text,
            tags: Tags::default(),
            created_at: Timestamp::UNIX_EPOCH,
            created_by: "user_1".to_owned(),
        }
    }

    #[test]
    fn a_changed_line_is_shown_with_its_neighbours() {
        let (from, to) = (revision(1, "a\nb\nc\n"), revision(2, "a\nB\nc\n"));
        assert_eq!(unified(&from, &to), "--- revision 1\n+++ revision 2\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!(changed(&from, &to), ["content"]);
        assert_eq!(unified(&from, &from), "");
        assert!(changed(&from, &from).is_empty());
        assert!(unified(&from, &revision(3, "a")).contains("\\ No newline at end of file"));
    }

    #[test]
    fn the_largest_contents_that_share_nothing_are_compared_within_bounds() {
        let lines = |offset: usize| {
            let lines: String =
                (0..).map(|line| format!("{}\n", line * 2 + offset)).take(MOST_CONTENT_BYTES / 8).collect();
            lines.chars().take(MOST_CONTENT_BYTES).collect::<String>()
        };
        let text = unified(&revision(1, &lines(0)), &revision(2, &lines(1)));
        assert!(text.len() > MOST_CONTENT_BYTES && text.len() < 4 * MOST_CONTENT_BYTES, "{}", text.len());
    }
}
