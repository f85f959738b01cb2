//! Rules for texts that people write and others read.

/// Whether `character` has no place in a line of text: control characters, and those that turn the direction of the text
/// around them (Unicode UAX #9), by which a line can look like another one.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}')
        || matches!(character, '\u{2066}'..='\u{2069}' | '\u{feff}')
}
