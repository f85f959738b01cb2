//! The export of all that a tenant has: what asks the services for their parts, and what these answer with.
//!
//! The job type `tenant.export` publishes [`ExportRequested`]. Each service that holds data of tenants has a function that
//! writes its part into the bucket of the jobs ([`crate::export`]): its files, and last the [`Part`] that names them. A part
//! whose document does not say where it goes on is whole.

use serde::{Deserialize, Serialize};

use super::EventData;
use crate::time::Timestamp;

/// What `auth` has: the tenant, its members, roles, API keys, OAuth clients and audit trail.
pub const IDENTITY: &str = "identity";
/// What `jobs` has: jobs, queues, schedules.
pub const JOBS: &str = "jobs";
/// What `links` has: links, their clicks, the blocklist.
pub const LINKS: &str = "links";
/// What `notes` has: notes, their revisions and shares.
pub const NOTES: &str = "notes";

/// The parts of an export, each made by one function. An export waits for all of them.
pub const PARTS: [&str; 4] = [IDENTITY, JOBS, LINKS, NOTES];

/// `tenant.export.requested`: the parts of an export are asked for. It may come again, for parts that did not come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequested {
    /// The job that exports.
    pub job_id: String,
    /// What begins the names of all that is written, below the tenant; ends with a `/`.
    pub folder: String,
    /// Which of [`PARTS`] are asked for.
    pub parts: Vec<String>,
    /// When the export began: the same each time that parts of it are asked for.
    #[serde(serialize_with = "crate::time::millis")]
    pub began_at: Timestamp,
    /// Who asked for it: the id of a user, an API key, a client, a schedule or a job.
    pub requested_by: String,
    /// What there is of the one part that is asked for, which goes on from there; none: from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub so_far: Option<Part>,
}

impl EventData for ExportRequested {
    const TYPE: &'static str = "tenant.export.requested";
    const SOURCE: &'static str = "jobs";
}

impl ExportRequested {
    /// The name of a part's document in `folder`.
    pub fn document(folder: &str, part: &str) -> String {
        format!("{folder}{part}.json")
    }
}

/// A part that is whole, or goes on. When a part is made twice the files of each time have their own [`ExportedFile::place`], so that no
/// file changes which a part has named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its files.
    pub files: Vec<ExportedFile>,
    /// What is not in them.
    pub left_out: Vec<LeftOut>,
    /// Where it goes on, when it was too much for one invocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// Where a part goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// In which of its steps.
    pub step: String,
    /// After what: a text of the service's own making.
    pub after: String,
}

/// A file of an export: one JSON object in each line, all of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Its name, which no other file of the export has.
    pub file: String,
    /// Where it is, below [`ExportRequested::folder`].
    pub place: String,
    /// How many lines it has.
    pub records: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// Something that is not in an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}
