//! Strong entity tags and the conditions that name them (RFC 9110, sections 8.8.3 and 13.1).

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::problem::{Problem, ProblemType};
use crate::digest::sha256_base64url;

/// A strong entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a version: a text of visible ASCII without quotes that differs whenever the representation does.
    pub fn of_version(version: impl fmt::Display) -> Self {
        Self(format!("\"{version}\""))
    }

    /// The tag of a representation, by the SHA-256 of its bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let text = sha256_base64url(bytes);
        Self(format!("\"{}\"", text.get(..22).unwrap_or(&text)))
    }

    /// The tag as a header's value.
    pub fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The `If-Match` and `If-None-Match` of a request.
#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl Preconditions {
    /// Refuses with 412 a change of what has the version `current`: when `If-Match` does not name it, or `If-None-Match` does,
    /// as `*` does for all that is there.
    pub fn check(&self, current: &ETag) -> Result<(), Problem> {
        let wanted = self.if_match.as_deref().is_none_or(|tags| names(tags, current, false));
        if wanted && !self.not_modified(current) {
            return Ok(());
        }
        Err(Problem::new(ProblemType::PreconditionFailed, format!("the present version is {current}")))
    }

    /// Refuses with 412 to make what is not there when `If-Match` says that it is, whichever version it names.
    pub fn check_absent(&self) -> Result<(), Problem> {
        if self.has_if_match() {
            return Err(Problem::new(ProblemType::PreconditionFailed, "it is not there to have a version"));
        }
        Ok(())
    }

    /// Whether the request says which version it is about, be it any (`*`).
    pub const fn has_if_match(&self) -> bool {
        self.if_match.is_some()
    }

    /// Whether the request names a version that it has, or is not to find any (`*`).
    pub const fn has_if_none_match(&self) -> bool {
        self.if_none_match.is_some()
    }

    /// Whether the client has `current` already: answer 304.
    pub fn not_modified(&self, current: &ETag) -> bool {
        self.if_none_match.as_deref().is_some_and(|tags| names(tags, current, true))
    }
}

/// Whether a list of tags names `current`. A weak tag matches for `If-None-Match` only (RFC 9110, section 8.8.3.2).
fn names(tags: &str, current: &ETag, weak: bool) -> bool {
    tags.split(',').map(str::trim).any(|tag| {
        tag == "*" || tag == current.0 || (weak && tag.strip_prefix("W/").is_some_and(|tag| tag == current.0))
    })
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self { if_match: joined(&parts.headers, &IF_MATCH), if_none_match: joined(&parts.headers, &IF_NONE_MATCH) })
    }
}

fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    // A value that is no text names no version of ours; it is a condition all the same.
    let values: Vec<_> = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect();
    if values.is_empty() { None } else { Some(values.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_as_rfc_9110_says() {
        let current = ETag::of_version("r3");
        let given = |if_match: &str, if_none_match: &str| Preconditions {
            if_match: Some(if_match.to_owned()).filter(|text| !text.is_empty()),
            if_none_match: Some(if_none_match.to_owned()).filter(|text| !text.is_empty()),
        };
        assert!(given("", "").check(&current).is_ok());
        assert!(given("*", "").check(&current).is_ok());
        assert!(given("\"r1\", \"r3\"", "").check(&current).is_ok());
        assert!(given("\"r2\"", "").check(&current).is_err());
        assert!(given("W/\"r3\"", "").check(&current).is_err());
        assert!(given("", "*").check(&current).is_err());
        assert!(given("", "\"r2\", W/\"r3\"").check(&current).is_err());
        assert!(given("", "\"r2\"").check(&current).is_ok());
        assert!(given("", "*").check_absent().is_ok());
        assert!(given("*", "").check_absent().is_err());
        assert!(given("", "W/\"r3\"").not_modified(&current));
        assert!(!given("", "\"r2\"").not_modified(&current));
    }
}
