//! Slugs: the part of a short link after the last `/`, drawn at random or chosen by the customer.
//!
//! All tenants of a deployment share one namespace, because the short domain is one. A slug is kept as it was written
//! and found without regard to case: people type and dictate short links, and `/l/Launch` and `/l/launch` leading to
//! different places would serve only who wants to deceive. Random slugs use lower case alone for the same reason.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shared::random::Random;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use shared::refusal::Refusal;

/// Digits and lower-case letters without the look-alikes `0 o`, `1 l i`: 31 characters, 4.95 bits each.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";
/// Characters of a random slug: 27.5 thousand million of them.
const RANDOM_LENGTH: usize = 7;
/// Characters of an unguessable slug: 128.8 bits.
const UNGUESSABLE_LENGTH: usize = 26;
const SHORTEST: usize = 3;
const LONGEST: usize = 64;

/// Words that are, or may become, paths of the short domain, or that would lend an alias an authority that it lacks.
/// In lower case and in alphabetical order.
const RESERVED: &[&str] = &[
    "about",
    "abuse",
    "account",
    "accounts",
    "admin",
    "administrator",
    "api",
    "apps",
    "assets",
    "auth",
    "billing",
    "blog",
    "callback",
    "cdn",
    "config",
    "contact",
    "dashboard",
    "demo",
    "dev",
    "docs",
    "download",
    "email",
    "error",
    "faq",
    "favicon",
    "files",
    "graphql",
    "health",
    "help",
    "home",
    "hooks",
    "images",
    "imprint",
    "index",
    "internal",
    "jobs",
    "legal",
    "link",
    "links",
    "live",
    "login",
    "logout",
    "mail",
    "metrics",
    "new",
    "null",
    "oauth",
    "openapi",
    "password",
    "pay",
    "payment",
    "ping",
    "pricing",
    "privacy",
    "public",
    "ready",
    "register",
    "robots",
    "root",
    "sandbox",
    "search",
    "secure",
    "security",
    "settings",
    "setup",
    "shared",
    "sign-in",
    "sign-up",
    "signin",
    "signout",
    "signup",
    "sitemap",
    "staff",
    "static",
    "stats",
    "status",
    "support",
    "system",
    "tenant",
    "tenfold",
    "terms",
    "test",
    "undefined",
    "user",
    "users",
    "verify",
    "webhook",
    "webhooks",
    "well-known",
    "www",
];

/// A slug of the right shape: 3 to 64 ASCII letters, digits, `-` and `_`. Equal to another one that differs in case.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// Seven random characters. They may be taken: the store's conditional write says so, and another is drawn.
    pub fn random(random: &Random) -> Self {
        Self(random.text(ALPHABET, RANDOM_LENGTH))
    }

    /// 26 random characters, 128.8 bits: nobody finds the link by trying.
    pub fn unguessable(random: &Random) -> Self {
        Self(random.text(ALPHABET, UNGUESSABLE_LENGTH))
    }

    /// As it was drawn or written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In lower case: what a link is stored and looked up under.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for Slug {
    type Err = Refusal;

    /// Checks the shape alone, so that a link that was made before a word became reserved stays readable.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        if let Some(bad) = text.chars().find(|character| !is_allowed(*character)) {
            let detail = format!("may have letters A to Z, digits, - and _, not {bad:?}");
            return Err(Refusal::new("bad_character", detail));
        }
        match text.len() {
            ..SHORTEST => Err(Refusal::new("too_short", format!("must have at least {SHORTEST} characters"))),
            SHORTEST..=LONGEST => Ok(Self(text.to_owned())),
            _ => Err(Refusal::new("too_long", format!("may have at most {LONGEST} characters"))),
        }
    }
}

const fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

impl PartialEq for Slug {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Slug {}

impl std::hash::Hash for Slug {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Slug {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl utoipa::PartialSchema for Slug {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^[A-Za-z0-9_-]{{{SHORTEST},{LONGEST}}}$")))
            .examples(["k7vq2mz"])
            .into()
    }
}

impl utoipa::ToSchema for Slug {}

/// A slug that a customer chose: not reserved, and with a letter or digit at both ends, because chat programs and
/// Markdown take a `-` or `_` there for their own. A `+` is never part of it: after a slug it asks for the preview.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias(Slug);

impl Alias {
    /// The slug that it is.
    pub fn into_slug(self) -> Slug {
        self.0
    }
}

impl FromStr for Alias {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let slug: Slug = text.parse()?;
        if text.starts_with(['-', '_']) || text.ends_with(['-', '_']) {
            return Err(Refusal::new("bad_edge", "must begin and end with a letter or digit"));
        }
        if RESERVED.binary_search(&slug.key().as_str()).is_ok() {
            return Err(Refusal::new("reserved", "is a reserved word"));
        }
        Ok(Self(slug))
    }
}

impl TryFrom<String> for Alias {
    type Error = Refusal;

    fn try_from(text: String) -> Result<Self, Refusal> {
        text.parse()
    }
}

impl From<Alias> for String {
    fn from(alias: Alias) -> Self {
        alias.0.0
    }
}

impl utoipa::PartialSchema for Alias {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(SHORTEST))
            .max_length(Some(LONGEST))
            .pattern(Some("^[A-Za-z0-9][A-Za-z0-9_-]*[A-Za-z0-9]$"))
            .examples(["spring-sale"])
            .into()
    }
}

impl utoipa::ToSchema for Alias {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss)]
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn random_slugs_use_every_character_equally_often() {
        let random = Random::seeded(1);
        let draws = 20_000;
        let mut seen: HashMap<(usize, u8), u32> = HashMap::new();
        for _ in 0..draws {
            for place in Slug::random(&random).as_str().bytes().enumerate() {
                *seen.entry(place).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), RANDOM_LENGTH * ALPHABET.len());
        // The chi-squared statistic of each place has 30 degrees of freedom: over 70 once in 20,000 draws of a seed.
        let expected = f64::from(draws) / ALPHABET.len() as f64;
        for place in 0..RANDOM_LENGTH {
            let distance = |character: &u8| (f64::from(seen[&(place, *character)]) - expected).powi(2) / expected;
            assert!(ALPHABET.iter().map(distance).sum::<f64>() < 70.0, "place {place}");
        }
    }

    #[test]
    fn slugs_hold_the_bits_that_they_claim_and_no_look_alikes() {
        let bits = (ALPHABET.len() as f64).log2();
        assert!(bits * UNGUESSABLE_LENGTH as f64 >= 128.0);
        assert!(bits * RANDOM_LENGTH as f64 >= 34.0);
        assert!(ALPHABET.iter().all(|character| !b"0Oo1lIi".contains(character)));
        assert_eq!(ALPHABET.iter().collect::<HashSet<_>>().len(), ALPHABET.len());
        let random = Random::seeded(2);
        assert_eq!(Slug::random(&random).as_str().len(), 7);
        assert_eq!(Slug::unguessable(&random).as_str().len(), 26);
        assert_ne!(Slug::unguessable(&random), Slug::unguessable(&random));
    }

    #[test]
    fn what_is_drawn_reads_back() {
        let random = Random::seeded(3);
        for slug in [Slug::random(&random), Slug::unguessable(&random)] {
            assert_eq!(slug.as_str().parse::<Slug>().unwrap(), slug);
            assert_eq!(slug.key(), slug.as_str());
        }
    }

    #[test]
    fn an_alias_keeps_its_case_and_is_found_in_any() {
        let written: Alias = "Spring-Sale_26".parse().unwrap();
        let slug = written.into_slug();
        assert_eq!(slug.as_str(), "Spring-Sale_26");
        assert_eq!(slug.key(), "spring-sale_26");
        assert_eq!(slug, "SPRING-SALE_26".parse().unwrap());
        assert_eq!(HashSet::from([slug, "spring-sale_26".parse().unwrap()]).len(), 1);
    }

    #[test]
    fn aliases_that_break_a_rule_are_refused_with_a_code() {
        let long = "a".repeat(65);
        for (text, code) in [
            ("", "too_short"),
            ("ab", "too_short"),
            (long.as_str(), "too_long"),
            ("a b", "bad_character"),
            ("sale+", "bad_character"),
            ("a/b", "bad_character"),
            ("a.b", "bad_character"),
            ("a%2fb", "bad_character"),
            ("bücher", "bad_character"),
            ("line\r\nbreak", "bad_character"),
            ("_secret_", "bad_edge"),
            ("sale-", "bad_edge"),
            ("api", "reserved"),
            ("Admin", "reserved"),
            ("WELL-KNOWN", "reserved"),
            ("health", "reserved"),
        ] {
            assert_eq!(text.parse::<Alias>().unwrap_err().code, code, "{text:?}");
        }
        assert!("abc".parse::<Alias>().is_ok());
        assert!("a".repeat(64).parse::<Alias>().is_ok());
        assert!("apis".parse::<Alias>().is_ok());
    }

    #[test]
    fn reserved_words_are_sorted_and_lower_case() {
        assert!(RESERVED.is_sorted());
        assert!(RESERVED.iter().all(|word| word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')));
    }

    #[test]
    fn a_slug_of_a_word_that_became_reserved_stays_readable() {
        assert_eq!(serde_json::from_str::<Slug>("\"api\"").unwrap().as_str(), "api");
        let refused = serde_json::from_str::<Alias>("\"api\"").unwrap_err().to_string();
        assert!(refused.starts_with("reserved: is a reserved word"), "{refused}");
    }

    proptest! {
        #[test]
        fn a_slug_is_safe_in_a_path_and_a_header(text in "\\PC{0,70}") {
            if let Ok(slug) = text.parse::<Slug>() {
                prop_assert!(slug.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
                prop_assert!((SHORTEST..=LONGEST).contains(&slug.as_str().len()));
            }
        }
    }
}
