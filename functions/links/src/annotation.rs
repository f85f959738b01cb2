//! What its owner writes about a link: a title, a note and tags. Visitors see none but the title.

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};

use shared::refusal::Refusal;
use shared::text::check_length;

/// Checks a text's length in characters and that it has no control characters but those of `allowed`. That it does not turn
/// the direction of text is looked at when it is written ([`crate::rules`]): what was kept before stays readable.
fn checked(text: &str, longest: usize, allowed: &[char]) -> Result<String, Refusal> {
    // White space at the ends is a slip of the hand: it is cut off and not refused.
    let text = text.trim();
    if text.chars().any(|character| character.is_control() && !allowed.contains(&character)) {
        return Err(Refusal::new("control_character", "must not have control characters"));
    }
    check_length(text, longest)?;
    Ok(text.to_owned())
}

/// Defines a text type: its name, the most characters, and the control characters that it may have.
macro_rules! text_type {
    ($(#[doc = $doc:literal])* $name:ident, $longest:literal, $allowed:expr, $example:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refusal;

            fn try_from(text: String) -> Result<Self, Refusal> {
                checked(&text, $longest, $allowed).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .min_length(Some(1))
                    .max_length(Some($longest))
                    .examples([$example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

text_type! {
    /// What a link is called: one line of 1 to 200 characters.
    Title, 200, &[], "Spring sale"
}
text_type! {
    /// Anything about a link: 1 to 2,000 characters, line breaks and tabs among them.
    Note, 2000, &['\n', '\r', '\t'], "For the newsletter of 4 May"
}
text_type! {
    /// A word to find links by: 1 to 50 characters. Case counts.
    Tag, 50, &[], "newsletter"
}

/// At most 20 different tags in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Tag>", into = "Vec<Tag>")]
pub struct Tags(Vec<Tag>);

impl Tags {
    const MOST: usize = 20;

    /// The tags.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.0.iter()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a Tag;
    type IntoIter = std::slice::Iter<'a, Tag>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl TryFrom<Vec<Tag>> for Tags {
    type Error = Refusal;

    fn try_from(tags: Vec<Tag>) -> Result<Self, Refusal> {
        if tags.len() > Self::MOST {
            return Err(Refusal::new("too_many", format!("may have at most {} tags", Self::MOST)));
        }
        let mut sorted: Vec<&Tag> = tags.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Err(Refusal::new("duplicate", "must not have the same tag twice"));
        }
        Ok(Self(tags))
    }
}

impl From<Tags> for Vec<Tag> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

impl utoipa::PartialSchema for Tags {
    fn schema() -> RefOr<Schema> {
        ArrayBuilder::new()
            .items(<Tag as utoipa::PartialSchema>::schema())
            .max_items(Some(Self::MOST))
            .unique_items(true)
            .into()
    }
}

impl utoipa::ToSchema for Tags {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(Title::try_from("  Ünïcode \n".to_owned()).unwrap().as_str(), "Ünïcode");
        assert!(Title::try_from("ü".repeat(200)).is_ok());
        assert_eq!(Title::try_from("ü".repeat(201)).unwrap_err().code, "too_long");
        assert!(Note::try_from("x".repeat(2000)).is_ok());
        assert_eq!(Note::try_from("x".repeat(2001)).unwrap_err().code, "too_long");
        assert_eq!(Tag::try_from("x".repeat(51)).unwrap_err().code, "too_long");
        assert_eq!(Tag::try_from("  ".to_owned()).unwrap_err().code, "empty");
    }

    #[test]
    fn only_a_note_has_lines() {
        assert_eq!(Title::try_from("a\nb".to_owned()).unwrap_err().code, "control_character");
        assert_eq!(Note::try_from("a\r\n\tb".to_owned()).unwrap().as_str(), "a\r\n\tb");
        assert_eq!(Note::try_from("a\0b".to_owned()).unwrap_err().code, "control_character");
    }

    #[test]
    fn tags_are_few_and_different() {
        let read = |json: &str| serde_json::from_str::<Tags>(json).map_err(|error| error.to_string());
        let tags = read(r#"[" b ","a","B"]"#).unwrap();
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["b", "a", "B"]);
        assert!(read(r#"["a"," a"]"#).unwrap_err().starts_with("duplicate: "));
        let many =
            |count: usize| serde_json::to_string(&(0..count).map(|n| n.to_string()).collect::<Vec<_>>()).unwrap();
        assert!(read(&many(20)).is_ok());
        assert!(read(&many(21)).unwrap_err().starts_with("too_many: "));
    }
}
