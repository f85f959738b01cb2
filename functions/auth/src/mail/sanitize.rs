//! Words that users choose (their name, what a device calls itself, the label of a factor) made harmless for a mail.
//!
//! Mail is sent in our name, so nobody may use it to carry a text of their own to somebody else. What a user chose
//! stays on its line, is short, shows in the order in which it is stored, and is nothing that a mail program turns into
//! a link.

use shared::mail::one_line;
use shared::text::is_invisible;

/// The most characters of a user's words that are repeated.
const LONGEST: usize = 80;

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
