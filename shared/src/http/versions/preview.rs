//! A request of version 1, and an answer to it, as they are in both versions: what the server does with them, without doing it.

use std::borrow::Cow;

use http::{Extensions, Method, Uri};
use serde_json::value::{RawValue, to_raw_value};
use url::form_urlencoded;

use super::change::{Asked, Operation, Request};
use super::deprecation::{DEPRECATIONS, Deprecation};
use super::members::Members;
use super::serve::{raise, uri};
use super::{Family, Version};
use crate::http::{FieldError, Problem};
use crate::time::Timestamp;

/// What becomes of a request of version 1.
#[derive(Debug)]
pub struct Preview {
    /// The path and query in version 2.
    pub path: String,
    /// The body in version 2.
    pub body: Option<Box<RawValue>>,
    /// The answer in version 1, when one of version 2 was given.
    pub answer: Option<Box<RawValue>>,
    /// What the request uses that is deprecated.
    pub deprecations: Vec<&'static Deprecation>,
}

/// Carries a request of version 1 up, and an answer of version 2 to it down.
///
/// # Errors
/// A fault at `/path` when it is no path of version 1 that has a version 2; and whatever is wrong with the request itself, with
/// pointers into its own body.
pub fn preview(
    method: &Method,
    path: &str,
    body: Option<&RawValue>,
    answer: Option<&RawValue>,
    now: Timestamp,
) -> Result<Preview, Problem> {
    let refused = |code, detail: &str| Problem::validation(vec![FieldError::new("/path", code, detail)]);
    let asked_for: Uri = path.parse().map_err(|_| refused("invalid", "is no path"))?;
    let family = match Family::of_path(asked_for.path()) {
        Some((family, Version::V1)) => family,
        Some((_, Version::HEAD)) => return Err(refused("newest_version", "is of the newest version already")),
        None => return Err(refused("one_version", "is no path that exists in more than one version")),
    };
    let segments: Vec<_> = asked_for.path().split('/').skip(2).collect();
    let operation = Operation { method, segments: &segments };
    if (family.is_new)(&operation) {
        return Err(refused("other_version", "came with version v2: v1 does not have it"));
    }
    let mut deprecations: Vec<_> =
        DEPRECATIONS.iter().filter(|deprecation| deprecation.covers(Version::V1, &operation)).collect();
    let mut request = Request {
        operation,
        query: form_urlencoded::parse(asked_for.query().unwrap_or_default().as_bytes()).collect(),
        body: body.and_then(Members::of),
        extensions: Extensions::new(),
        faults: Vec::new(),
        uses: Vec::new(),
    };
    raise(family, &mut request, &mut deprecations, now)?;
    let raised = request.body.as_ref().map(to_raw_value).transpose().map_err(Problem::internal)?;
    let answer = answer.map(|answer| match Members::of(answer) {
        Some(mut members) => {
            family.lower(&Asked { operation, extensions: &request.extensions }, &mut members);
            to_raw_value(&members).map(Cow::Owned)
        }
        None => Ok(Cow::Borrowed(answer)),
    });
    Ok(Preview {
        path: uri(&asked_for, &request.query)?.to_string(),
        body: raised.or_else(|| body.map(ToOwned::to_owned)),
        answer: answer.transpose().map_err(Problem::internal)?.map(Cow::into_owned),
        deprecations,
    })
}
