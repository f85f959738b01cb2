//! Texts on one line, with nothing in them that does not show.

use crate::text::is_invisible;

/// `text` on one line of at most `longest` characters (and an ellipsis when it was longer), without control characters
/// and without those that are invisible or change the direction of what follows.
pub fn one_line(text: &str, longest: usize) -> String {
    let visible: String = text
        .chars()
        .filter(|character| !is_invisible(*character))
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let mut line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(longest) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_breaks_and_no_tricks() {
        for (text, line) in [
            ("  Ada \t Lovelace ", "Ada Lovelace"),
            ("Ada\r\nBcc: eve@example.org", "Ada Bcc: eve@example.org"),
            ("a\u{2028}b\u{2029}c\u{85}d\0e", "a b c d e"),
            ("\u{202e}gnp.exe\u{2066}\u{200f}\u{61c}", "gnp.exe"),
            ("Zoë 👩\u{200d}💻", "Zoë 👩\u{200d}💻"),
            ("", ""),
        ] {
            assert_eq!(one_line(text, 80), line, "{text:?}");
        }
        assert_eq!(one_line("ääää", 3), "äää…");
    }
}
