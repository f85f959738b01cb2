//! What a line is that one person writes and another reads: the one rule for names, titles, tags and mail.
//!
//! What a client sends is refused where it [`is_unprintable`]; by [`line`], or where the length and the characters are
//! looked at apart, by [`check_length`] and [`check_printable`]. So the codes are the same in each field. A mail leaves out
//! what [`is_invisible`], which is more: blanks without width and tags belong to how some languages and flags are written, so
//! they are no reason to refuse.

use crate::refusal::Refusal;

/// A line as it is kept: without the blanks at its ends, which are a slip of the hand, of 1 to `longest` characters.
///
/// # Errors
/// Those of [`check_length`] and [`check_printable`].
pub fn line(text: &str, longest: usize) -> Result<&str, Refusal> {
    let text = text.trim();
    check_length(text, longest)?;
    check_printable(text)?;
    Ok(text)
}

/// Refuses a text that has not 1 to `longest` characters.
///
/// # Errors
/// `empty` or `too_long`.
pub fn check_length(text: &str, longest: usize) -> Result<(), Refusal> {
    match text.chars().count() {
        0 => Err(Refusal::new("empty", "must not be empty")),
        length if length > longest => Err(Refusal::new("too_long", format!("may have at most {longest} characters"))),
        _ => Ok(()),
    }
}

/// Refuses a line that could look like another one, or like several.
///
/// # Errors
/// `control_character`.
pub fn check_printable(text: &str) -> Result<(), Refusal> {
    if text.chars().any(is_unprintable) {
        return Err(Refusal::new("control_character", "must not have control or text direction characters"));
    }
    Ok(())
}

/// Whether `character` turns the direction of the text around it, by which a line can look like another one (Unicode
/// UAX #9, `Bidi_Control`).
pub const fn turns_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether `character` has no place in a line of text: it controls something, ends the line, turns the direction of the
/// text around it, or is the byte order mark.
pub fn is_unprintable(character: char) -> bool {
    character.is_control() || turns_direction(character) || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether `character` formats and has no picture (Unicode, general category Cf), but for the joiners that scripts and
/// emoji need.
pub const fn is_invisible(character: char) -> bool {
    turns_direction(character)
        || matches!(
            character,
            '\u{ad}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_blanks_at_its_ends_and_some_characters() {
        for (text, read) in [
            (" Zoë van der Meer \n", Ok("Zoë van der Meer")),
            ("李小龍李小龍李小龍李小龍李小龍李", Ok("李小龍李小龍李小龍李小龍李小龍李")),
            (" \t", Err("empty")),
            ("12345678901234567", Err("too_long")),
            ("a\nb", Err("control_character")),
            ("a\0b", Err("control_character")),
            ("\u{202e}abc", Err("control_character")),
        ] {
            assert_eq!(line(text, 16).map_err(|refusal| refusal.code), read, "{text:?}");
        }
    }

    #[test]
    fn what_hides_or_turns_text_is_unprintable_and_what_scripts_need_is_not() {
        for bad in
            ['\0', '\n', '\u{7f}', '\u{85}', '\u{61c}', '\u{200f}', '\u{202e}', '\u{2028}', '\u{2069}', '\u{feff}']
        {
            assert!(is_unprintable(bad), "{bad:?}");
        }
        for good in [' ', 'ü', '李', '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{e0067}', '👩'] {
            assert!(!is_unprintable(good), "{good:?}");
        }
        // A line of a mail without what is invisible has nothing left that would be refused, but what is blank in it.
        let left = |character: &char| is_unprintable(*character) && !is_invisible(*character);
        assert!(('\0'..=char::MAX).filter(left).all(|character| character.is_control() || character.is_whitespace()));
    }
}
