//! Words that users choose (their name, what a device calls itself, the label of a factor) made harmless for a mail.
//!
//! Mail is sent in our name, so nobody may use it to carry a text of their own to somebody else. What a user chose
//! stays on its line, is short, shows in the order in which it is stored, and is nothing that a mail program turns into
//! a link.

/// The most characters of a user's words that are repeated.
const LONGEST: usize = 80;

/// `text` on one line of at most `longest` characters (and an ellipsis when it was longer), without control characters
/// and without those that are invisible or change the direction of what follows.
pub(super) fn one_line(text: &str, longest: usize) -> String {
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

/// A user's words on one line, of which no mail program makes a link.
pub(super) fn words(text: &str) -> String {
    let mut apart = String::with_capacity(text.len());
    let mut characters = text.chars().filter(|character| !is_invisible(*character)).peekable();
    while let Some(character) = characters.next() {
        match character {
            ':' | '/' | '\\' | '@' => apart.push(' '),
            // The full stops that may separate the labels of a domain (UTS #46, section 4.5).
            '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}'
                if characters.peek().is_some_and(|next| next.is_alphabetic()) =>
            {
                apart.push_str(". ");
            }
            other => apart.push(other),
        }
    }
    one_line(&apart, LONGEST)
}

/// Bidirectional controls and other format characters without a picture (Unicode, general category Cf), but for the
/// joiners that scripts and emoji need.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_no_breaks_and_no_tricks() {
        for (text, line) in [
            ("  Ada \t Lovelace ", "Ada Lovelace"),
            ("Ada\r\nBcc: eve@example.org", "Ada Bcc: eve@example.org"),
            ("a\u{2028}b\u{2029}c\u{85}d\0e", "a b c d e"),
            ("\u{202e}gnp.exe\u{2066}\u{200f}", "gnp.exe"),
            ("Zoë 👩\u{200d}💻", "Zoë 👩\u{200d}💻"),
            ("", ""),
        ] {
            assert_eq!(one_line(text, 80), line, "{text:?}");
        }
        assert_eq!(one_line("ääää", 3), "äää…");
    }

    #[test]
    fn words_become_no_link_and_names_stay_names() {
        for (text, harmless) in [
            ("Ada Lovelace", "Ada Lovelace"),
            ("Dr. J.R.R. Tolkien Jr.", "Dr. J. R. R. Tolkien Jr."),
            ("Firefox 128.0 on Linux", "Firefox 128.0 on Linux"),
            ("win at https://evil.example/x?y", "win at https evil. example x?y"),
            ("evil\u{200b}.\u{200b}example", "evil. example"),
            ("evil。example", "evil. example"),
            ("eve@evil.example", "eve evil. example"),
        ] {
            assert_eq!(words(text), harmless, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_words_become_one_short_line_and_stay_as_they_are_the_second_time(text in "\\PC{0,120}|.{0,120}") {
            let once = words(&text);
            prop_assert!(once.chars().count() <= LONGEST + 1);
            prop_assert!(!once.contains([':', '/', '@', '\\']) && !once.chars().any(char::is_control));
            prop_assert_eq!(once.trim(), once.as_str());
            prop_assert_eq!(one_line(&once, LONGEST + 1), once);
        }
    }
}
