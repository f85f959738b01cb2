//! What is asked of `image.derive`, and its rules.

use std::collections::BTreeSet;

use http::Method;
use serde::Deserialize;
use shared::http::FieldError;
use shared::outbound::{Outbound, Request};

/// The most variants of one job.
const MOST_VARIANTS: usize = 8;

/// The longest side of a variant in pixels.
pub(super) const LONGEST_SIDE: u32 = 4096;

/// The longest name of a variant in characters.
const LONGEST_NAME: usize = 40;

/// The quality of a JPEG for which none is asked.
const QUALITY: u8 = 80;

/// Which picture, and what is made of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payload {
    /// The picture.
    pub(super) source: Source,
    /// What is made of it: 1 to 8.
    pub(super) variants: Vec<Variant>,
}

/// Where the picture is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    /// An https URL.
    pub(super) url: String,
}

/// One picture to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    /// What it is called: 1 to 40 of a-z, 0-9, _ and -, once in a job.
    pub(super) name: String,
    /// Its width in pixels.
    #[serde(default)]
    pub(super) width: Option<u32>,
    /// Its height.
    #[serde(default)]
    pub(super) height: Option<u32>,
    /// How it fits there.
    #[serde(default)]
    pub(super) fit: Fit,
    /// How it is written.
    pub(super) format: Format,
    /// Of a JPEG, from 1 to 100.
    #[serde(default)]
    quality: Option<u8>,
}

/// How a picture fits the sides that are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fit {
    /// Whole, in a picture of both sides, whose rest is transparent, or white in a JPEG.
    Contain,
    /// In a picture of both sides, cut where it is too long.
    Cover,
    /// Whole and no larger than one or both sides; never larger than the source.
    #[default]
    Inside,
}

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// With loss, and without transparency: what is transparent becomes white.
    Jpeg,
    /// Without loss.
    Png,
    /// Without loss, too.
    Webp,
}

impl Format {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
        }
    }
}

impl Variant {
    /// The name of its file.
    pub(super) fn file(&self) -> String {
        format!("{}.{}", self.name, self.format.extension())
    }

    /// The quality of a JPEG.
    pub(super) fn quality(&self) -> u8 {
        self.quality.unwrap_or(QUALITY)
    }

    fn faults(&self) -> Vec<FieldError> {
        let mut faults = Vec::new();
        let mut wrong = |pointer: &str, code, detail: &str| faults.push(FieldError::new(pointer, code, detail));
        let in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        if !(1..=LONGEST_NAME).contains(&self.name.len()) || !self.name.bytes().all(in_name) {
            wrong("/name", "invalid", "is 1 to 40 of a-z, 0-9, _ and -");
        }
        for (pointer, side) in [("/width", self.width), ("/height", self.height)] {
            match side {
                Some(side) if !(1..=LONGEST_SIDE).contains(&side) => {
                    wrong(pointer, "out_of_range", "must be 1 to 4096");
                }
                None if self.fit != Fit::Inside => {
                    wrong(pointer, "missing_field", "is needed to cover or contain");
                }
                _ => {}
            }
        }
        if self.fit == Fit::Inside && self.width.is_none() && self.height.is_none() {
            wrong("/width", "missing_field", "give width, height or both");
        }
        match (self.quality, self.format) {
            (Some(quality), Format::Jpeg) if !(1..=100).contains(&quality) => {
                wrong("/quality", "out_of_range", "must be 1 to 100");
            }
            (Some(_), Format::Png | Format::Webp) => {
                wrong("/quality", "not_allowed", "PNG and WebP are written without loss: they have no quality");
            }
            _ => {}
        }
        faults
    }
}

impl Payload {
    pub(super) fn faults(&self, outbound: &Outbound) -> Vec<FieldError> {
        let mut faults = Vec::new();
        if let Err(error) = outbound.check(&Request::new(Method::GET, &self.source.url)) {
            faults.push(FieldError::new("/source/url", error.code(), error.to_string()));
        }
        if self.variants.is_empty() {
            faults.push(FieldError::new("/variants", "empty", "there must be at least one"));
        }
        if self.variants.len() > MOST_VARIANTS {
            faults.push(FieldError::new("/variants", "too_many", "there may be at most 8"));
            return faults;
        }
        let mut names = BTreeSet::new();
        for (index, variant) in self.variants.iter().enumerate() {
            let at = |pointer: &str| format!("/variants/{index}{pointer}");
            let wrong = variant.faults().into_iter();
            faults.extend(wrong.map(|fault| FieldError { pointer: at(&fault.pointer), ..fault }));
            if !names.insert(&variant.name) {
                faults.push(FieldError::new(at("/name"), "duplicate", "another variant has this name"));
            }
        }
        faults
    }
}
