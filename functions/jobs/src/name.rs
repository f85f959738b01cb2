//! The texts by which jobs are sorted and found: a job's type, its queue, its keys and its tags.

use serde::{Deserialize, Serialize};
use shared::refusal::Refusal;
use shared::text::{check_length, check_printable, line};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};

/// Lower-case words of letters, digits, `_` and `-`, joined by dots.
fn dotted(text: &str, longest: usize) -> Result<(), Refusal> {
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    if text.len() > longest {
        return Err(Refusal::new("too_long", format!("may have at most {longest} characters")));
    }
    if text.split('.').all(word) {
        return Ok(());
    }
    Err(Refusal::new("invalid", "is made of a-z, 0-9, _ and -, in words joined by dots"))
}

/// Refuses what no text has that is taken to the letter. Whether people can read it is looked at where it is written, and is
/// no part of the types: what was kept before stays readable.
pub(crate) fn check_no_controls(text: &str, longest: usize) -> Result<(), Refusal> {
    check_length(text, longest)?;
    if text.chars().any(char::is_control) {
        return Err(Refusal::new("control_character", "must not have control characters"));
    }
    Ok(())
}

/// Defines a text type: its name, its rule, the most characters, and an example.
macro_rules! text_type {
    ($(#[doc = $doc:literal])* $name:ident, $rule:ident, $longest:literal, $example:literal) => {
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
                $rule(&text, $longest)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
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
    /// What a job does: `invoice.send`. 1 to 100 characters.
    JobType, dotted, 100, "invoice.send"
}
text_type! {
    /// A queue: 1 to 64 characters.
    QueueName, dotted, 64, "default"
}
text_type! {
    /// What a job is unique by, or what it shares a limit of concurrency with: 1 to 200 characters.
    JobKey, check_no_controls, 200, "customer-4711"
}
text_type! {
    /// What a job is called in its batch: 1 to 64 characters. Nobody else sees it.
    JobRef, check_no_controls, 64, "extract"
}
text_type! {
    /// A word to find jobs by: 1 to 50 characters. Case counts.
    Tag, check_no_controls, 50, "import"
}
text_type! {
    /// What a schedule is called: 1 to 100 characters.
    ScheduleName, check_no_controls, 100, "Nightly export"
}

impl JobType {
    /// The type of the jobs that tell a URL of another job's end.
    pub fn callback() -> Self {
        Self("job.done".to_owned())
    }
}

impl QueueName {
    /// The queue of these jobs.
    pub fn callbacks() -> Self {
        Self("callbacks".to_owned())
    }
}

impl ScheduleName {
    /// The name as it is kept.
    pub fn kept(&self) -> Result<Self, Refusal> {
        line(self.as_str(), 100).map(|name| Self(name.to_owned()))
    }
}

impl Default for QueueName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// At most 10 tags, each once, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Vec<Tag>", into = "Vec<Tag>")]
pub struct Tags(Vec<Tag>);

impl Tags {
    const MOST: usize = 10;

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses tags that could look like others.
    pub fn check(&self) -> Result<(), Refusal> {
        self.0.iter().try_for_each(|tag| check_printable(tag.as_str()))
    }
}

impl TryFrom<Vec<Tag>> for Tags {
    type Error = Refusal;

    fn try_from(tags: Vec<Tag>) -> Result<Self, Refusal> {
        if tags.len() > Self::MOST {
            return Err(Refusal::new("too_many", "there may be at most 10 tags"));
        }
        let each: std::collections::BTreeSet<&Tag> = tags.iter().collect();
        if each.len() < tags.len() {
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
        ArrayBuilder::new().items(Tag::schema()).max_items(Some(Self::MOST)).unique_items(true).into()
    }
}

impl utoipa::ToSchema for Tags {
    fn name() -> std::borrow::Cow<'static, str> {
        "JobTags".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_turns_no_direction() {
        for (text, is_good) in [("Nightly export", true), ("exe.\u{202e}gnp", false), ("a\u{61c}", false)] {
            let tags: Option<Tags> = serde_json::from_value(serde_json::json!([text])).ok();
            assert_eq!(tags.is_some_and(|tags| tags.check().is_ok()), is_good, "{text:?}");
            let name = text.parse::<ScheduleName>();
            assert_eq!(name.is_ok_and(|name| name.kept().is_ok()), is_good, "{text:?}");
        }
    }

    #[test]
    fn ten_tags_keep_their_order_and_none_is_given_twice() {
        let read = |tags: &[String]| serde_json::from_value::<Tags>(serde_json::json!(tags));
        let given = ["b", "a", "c"].map(str::to_owned);
        assert_eq!(read(&given).map(|tags| serde_json::json!(tags)).ok(), Some(serde_json::json!(["b", "a", "c"])));
        let eleven: Vec<String> = (0..11).map(|tag| tag.to_string()).collect();
        assert!(read(&eleven[..10]).is_ok());
        for (bad, code) in [(&eleven[..], "too_many"), (&["a", "b", "a"].map(str::to_owned), "duplicate")] {
            assert!(read(bad).is_err_and(|error| error.to_string().starts_with(code)), "{bad:?}");
        }
    }

    #[test]
    fn names_are_dotted_words() {
        for good in ["a", "invoice.send", "image_derive", "v2.export-csv", "0"] {
            assert!(good.parse::<JobType>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "a b", "ä", "a/b", "a#b"] {
            assert!(bad.parse::<JobType>().is_err(), "{bad}");
            assert!(bad.parse::<QueueName>().is_err(), "{bad}");
        }
        assert!("q".repeat(64).parse::<QueueName>().is_ok() && "q".repeat(65).parse::<QueueName>().is_err());
    }
}
