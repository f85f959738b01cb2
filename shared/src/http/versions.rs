//! Versions of the API: the newest is the one that the code speaks, and the older ones are derived from it.
//!
//! A [`Family`] is a set of routes with its [`Change`]s. A request to an older version is carried up by them, handled by the
//! code of the newest, and the answer carried down again ([`serve`]); members that no change touches go through unread
//! ([`members`]). What is deprecated stands in one registry ([`deprecation`]), its use is counted for each client ([`usage`]).
//! The OpenAPI document of an older version is derived in the same way ([`document`]), and so are webhooks and events
//! ([`Family::event`]).
//!
//! The changes live here and not in their services because others need them as well: the platform shows a request in both
//! versions, and tells of the changes in the changelog.

pub mod change;
pub mod deprecation;
pub mod document;
pub mod guide;
pub mod jobs;
pub mod links;
pub mod members;
pub mod notes;
pub mod preview;
pub(crate) mod serve;
#[cfg(test)]
mod tests;
pub mod usage;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use change::{Asked, Change, Operation, Request};
use members::Members;

/// A version of the API: the first segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApiVersion)]
pub enum Version {
    /// `/v1`.
    V1,
    /// `/v2`.
    V2,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// The one that the code speaks.
    pub const HEAD: Self = Self::V2;

    /// Its name, which is its segment in a path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A text is no version's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a version of the API")]
pub struct UnknownVersion;

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownVersion)
    }
}

/// Routes that exist in both versions.
pub struct Family {
    /// The segments behind the version that their paths begin with.
    pub roots: &'static [&'static str],
    /// What is different between version 1 and 2, in the order in which a request is carried up; an answer is carried down in the
    /// opposite order.
    pub changes: &'static [&'static dyn Change],
    /// Whether an operation came with version 2.
    pub is_new: fn(&Operation<'_>) -> bool,
}

/// All families. Routes that are in none exist in one version alone.
pub static FAMILIES: [&Family; 3] = [&links::FAMILY, &jobs::FAMILY, &notes::FAMILY];

impl fmt::Debug for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Family").field("roots", &self.roots).finish_non_exhaustive()
    }
}

impl Family {
    /// The family that a path belongs to, and the version that it names.
    pub fn of_path(path: &str) -> Option<(&'static Self, Version)> {
        let mut segments = path.split('/').skip(1);
        let version = segments.next()?.parse().ok()?;
        let root = segments.next()?;
        let family = FAMILIES.into_iter().find(|family| family.roots.contains(&root))?;
        Some((family, version))
    }

    /// Carries a request of version 1 up.
    pub fn raise(&self, request: &mut Request<'_>) {
        for change in self.changes {
            change.request(request);
        }
    }

    /// Carries the body of an answer down to version 1.
    pub fn lower(&self, asked: &Asked<'_>, body: &mut Members<'_>) {
        for change in self.changes.iter().rev() {
            change.answer(asked, body);
        }
    }

    /// Where version 1 has what a fault of version 2 points at.
    pub fn lower_pointer(&self, pointer: &str) -> String {
        let lower = |pointer: String, change: &&'static dyn Change| change.pointer(&pointer).into_owned();
        self.changes.iter().rev().fold(pointer.to_owned(), lower)
    }

    /// The data of an event or a webhook as `version` has them.
    ///
    /// # Errors
    /// When they are no JSON.
    pub fn event<'a>(
        &self,
        version: Version,
        kind: &str,
        data: &'a RawValue,
    ) -> Result<Cow<'a, RawValue>, serde_json::Error> {
        match Members::of(data) {
            Some(mut members) if version < Version::HEAD => {
                for change in self.changes.iter().rev() {
                    change.event(kind, &mut members);
                }
                to_raw_value(&members).map(Cow::Owned)
            }
            _ => Ok(Cow::Borrowed(data)),
        }
    }
}
