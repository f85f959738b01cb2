//! The texts of a note: title, content, tags. What exists is valid.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use shared::refusal::Refusal;
use shared::text::line;
use unicode_normalization::UnicodeNormalization as _;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};

/// The most bytes of a note's content, in UTF-8.
pub const MOST_CONTENT_BYTES: usize = 256 * 1024;

/// The most tags of a note.
pub const MOST_TAGS: usize = 20;

/// The most words of a search.
const MOST_WORDS: usize = 10;

/// How much of a title is sorted by, in characters.
const SORTED_CHARACTERS: usize = 200;

/// Implements serde's conversions and the schema of a text type.
macro_rules! text_type {
    ($name:ident, $description:literal, $shortest:literal, $longest:expr, $example:literal) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
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
                    .description(Some($description))
                    .min_length(Some($shortest))
                    .max_length(Some($longest))
                    .examples([$example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(concat!("Note", stringify!($name)))
            }
        }
    };
}

/// What a note is called: one line of 1 to 200 characters, without control or direction characters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Title(String);
text_type!(Title, "One line, without control or direction characters.", 1, 200, "Groceries");

impl TryFrom<String> for Title {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        line(&text, 200).map(|title| Self(title.to_owned()))
    }
}

/// What a note says: up to 256 KiB of UTF-8, without control characters but line breaks and tabs. Text of any direction
/// is fine: it is nobody's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Content(String);
text_type!(
    Content,
    "At most 262144 bytes of UTF-8, without control characters but line breaks and tabs.",
    0,
    MOST_CONTENT_BYTES,
    "- milk\n- bread"
);

impl TryFrom<String> for Content {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        if text.len() > MOST_CONTENT_BYTES {
            return Err(Refusal::new("too_long", format!("may have at most {MOST_CONTENT_BYTES} bytes of UTF-8")));
        }
        if text.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\r' | '\t')) {
            return Err(Refusal::new("control_character", "must not have control characters but line breaks and tabs"));
        }
        Ok(Self(text))
    }
}

/// A word to find notes by: 1 to 50 characters without commas. It is kept in lower case and in Unicode's form NFKC, so
/// that what looks the same is the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);
text_type!(Tag, "A word without commas. It is kept in lower case.", 1, 50, "home");

impl TryFrom<String> for Tag {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        // It is looked at before and after: what is normalised may be longer.
        let text = folded(line(&text, 50)?);
        let text = line(&text, 50)?;
        if text.contains(',') {
            return Err(Refusal::new("comma", "must not have a comma"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// At most 20 tags, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Tag>", into = "Vec<Tag>")]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// As texts.
    pub fn to_texts(&self) -> Vec<String> {
        self.0.iter().map(|tag| tag.0.clone()).collect()
    }

    /// These with `added` and without `removed`.
    ///
    /// # Errors
    /// When these are too many.
    pub fn edited(&self, added: &Self, removed: &Self) -> Result<Self, Refusal> {
        let kept = self.0.iter().chain(&added.0).filter(|tag| !removed.0.contains(tag));
        kept.cloned().collect::<Vec<_>>().try_into()
    }

    /// Tags separated by commas, as a query parameter has them.
    ///
    /// # Errors
    /// When one is not valid, or they are too many.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let tags = text.split(',').map(|tag| tag.to_owned().try_into()).collect::<Result<Vec<Tag>, _>>()?;
        tags.try_into()
    }
}

impl TryFrom<Vec<Tag>> for Tags {
    type Error = Refusal;

    fn try_from(mut tags: Vec<Tag>) -> Result<Self, Refusal> {
        tags.sort_unstable();
        tags.dedup();
        if tags.len() > MOST_TAGS {
            return Err(Refusal::new("too_many", format!("may have at most {MOST_TAGS} tags")));
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
        ArrayBuilder::new().items(<Tag as utoipa::PartialSchema>::schema()).max_items(Some(MOST_TAGS)).into()
    }
}
impl utoipa::ToSchema for Tags {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("NoteTags")
    }
}

/// What is searched for: 1 to 10 words, which a note must all have, each anywhere in its title, content or tags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Words(Vec<String>);

impl Words {
    /// The words as they are searched for.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<String> for Words {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        let text = line(&text, 200)?;
        let words: Vec<_> = folded(text).split_whitespace().map(str::to_owned).collect();
        if (1..=MOST_WORDS).contains(&words.len()) {
            Ok(Self(words))
        } else {
            Err(Refusal::new("out_of_range", format!("has 1 to {MOST_WORDS} words")))
        }
    }
}

/// `text` so that texts which differ in case or in Unicode's ways of writing the same (NFKC) are equal. Accents count.
pub fn folded(text: &str) -> String {
    let mut folded = fold(text);
    // A few characters (ŉ) become a sequence that is composed and folded anew.
    loop {
        let again = fold(&folded);
        if again == folded {
            return folded;
        }
        folded = again;
    }
}

/// By way of upper case, as ß and ς have none of their own; character by character, so that context has no part in it.
fn fold(text: &str) -> String {
    let folded = text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    folded.collect::<String>().nfkc().collect()
}

/// What a search looks through.
pub fn search_text(title: &Title, content: &Content, tags: &Tags) -> String {
    let mut text = folded(title.as_str());
    for part in std::iter::once(folded(content.as_str())).chain(tags.to_texts()) {
        text.push('\n');
        text.push_str(&part);
    }
    text
}

/// What a title is sorted by.
pub fn title_key(title: &Title) -> String {
    folded(title.as_str()).chars().take(SORTED_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Words {
        text.to_owned().try_into().unwrap()
    }

    /// Whether a note with this content is found by these words.
    fn finds(content: &str, searched: &str) -> bool {
        let title = "x".to_owned().try_into().unwrap();
        let text = search_text(&title, &content.to_owned().try_into().unwrap(), &Tags::default());
        words(searched).as_slice().iter().all(|word| text.contains(word))
    }

    #[test]
    fn a_search_knows_no_case_and_one_way_of_writing() {
        for (content, searched) in [
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδος"),
            ("οδός", "ΟΔΌΣ"),
            ("cafe\u{301}", "café"),
            ("ﬁle", "FILE"),
            ("Ｗｉｄｅ", "wide"),
            ("𝐁𝐨𝐥𝐝", "bold"),
            ("東京タワー", "京タ"),
            ("İstanbul", "i\u{307}stanbul"),
            ("100% _sure_", "% _SURE"),
            ("a\nb", "b a"),
        ] {
            assert!(finds(content, searched), "{searched} in {content}");
        }
        assert!(!finds("cafe", "café"), "accents count");
        assert!(!finds("a", "a b"), "all words are asked for");
    }

    #[test]
    fn a_title_is_a_line_that_shows_what_it_is() {
        let read = |text: &str| Title::try_from(text.to_owned()).map_err(|refusal| refusal.code);
        assert_eq!(read("  Ünï \n").unwrap().as_str(), "Ünï");
        assert_eq!(read("").unwrap_err(), "empty");
        assert_eq!(read(&"ü".repeat(201)).unwrap_err(), "too_long");
        for bad in ["a\nb", "a\0b", "a\u{202e}b", "\u{2066}a"] {
            assert_eq!(read(bad).unwrap_err(), "control_character", "{bad:?}");
        }
    }

    #[test]
    fn content_is_bounded_in_bytes_and_has_lines() {
        let read = |text: String| Content::try_from(text).map_err(|refusal| refusal.code);
        assert!(read("x".repeat(MOST_CONTENT_BYTES)).is_ok());
        assert_eq!(read("x".repeat(MOST_CONTENT_BYTES + 1)).unwrap_err(), "too_long");
        assert_eq!(read("ü".repeat(MOST_CONTENT_BYTES / 2 + 1)).unwrap_err(), "too_long");
        assert_eq!(read("a\r\n\tb \u{200f}".to_owned()).unwrap().as_str(), "a\r\n\tb \u{200f}");
        assert_eq!(read("a\0".to_owned()).unwrap_err(), "control_character");
    }

    #[test]
    fn tags_are_normalised_sorted_and_few() {
        let read = |json: &str| serde_json::from_str::<Tags>(json).map_err(|error| error.to_string());
        assert_eq!(read(r#"["Work"," work","ＷＯＲＫ","home"]"#).unwrap().to_texts(), ["home", "work"]);
        assert!(read(r#"["a,b"]"#).unwrap_err().starts_with("comma: "));
        assert!(read(&format!("[\"{}\"]", "x".repeat(51))).unwrap_err().starts_with("too_long: "));
        // It has 18 characters when it is normalised.
        assert!(read("[\"\u{fdfa}\u{fdfa}\u{fdfa}\"]").unwrap_err().starts_with("too_long: "));
        let many = |count: usize| serde_json::to_string(&(0..count).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(read(&many(20).unwrap()).is_ok());
        assert!(read(&many(21).unwrap()).unwrap_err().starts_with("too_many: "));
        let tags = Tags::parse("a,b").unwrap();
        assert_eq!(tags.edited(&Tags::parse("c").unwrap(), &Tags::parse("a").unwrap()).unwrap().to_texts(), ["b", "c"]);
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,40}") {
            let once = folded(&text);
            prop_assert_eq!(folded(&once), once);
        }

        #[test]
        fn a_tag_reads_back_as_itself(text in "\\PC{1,30}") {
            if let Ok(tag) = Tag::try_from(text) {
                prop_assert_eq!(Tag::try_from(tag.as_str().to_owned()), Ok(tag));
            }
        }
    }
}
