//! `GET /v1/versions`: the versions of the API, and what of them is deprecated.

use serde::Serialize;
use shared::http::versions::deprecation::DEPRECATIONS;
use shared::http::versions::{FAMILIES, Version};
use shared::http::{Document, Json};
use utoipa::ToSchema;

use super::DeprecationView;

/// The versions of the API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersions, example = json!({
    "newest": "v2", "served": ["v1", "v2"], "families": ["links", "jobs", "queues", "schedules", "notes"],
    "changes": [{"name": "notes-content", "text": "`body` of a note is called `content`."}],
    "deprecations": [{
        "name": "notes-v1", "version": "v1", "since": "2026-11-01T00:00:00.000Z", "sunset": "2027-12-01T00:00:00.000Z",
        "brown_outs": [{"from": "2027-11-02T14:00:00.000Z", "until": "2027-11-02T16:00:00.000Z"}],
        "instead": "use `/v2/notes`", "guide": "/changelog#notes-v1",
    }],
}))]
pub struct Versions {
    /// The newest.
    newest: Version,
    /// All that are served.
    served: [Version; 2],
    /// What they have in common: the segments behind the version. Other routes exist in one version alone.
    families: Vec<&'static str>,
    /// What is different between version 1 and 2.
    changes: Vec<ChangeView>,
    /// What is deprecated.
    deprecations: Vec<DeprecationView>,
}

/// A difference between two versions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VersionChange)]
pub struct ChangeView {
    /// Its name, and its anchor in `/changelog`.
    name: &'static str,
    /// What is different, and what to do about it, in Markdown.
    text: &'static str,
}

/// The versions of the API.
///
/// What is different between them, and what is deprecated and until when.
#[utoipa::path(
    get, path = "/v1/versions", operation_id = "list_versions", tag = "versions",
    responses(
        (status = 200, description = "The versions", body = Versions),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list() -> Json<Versions> {
    let changes = FAMILIES.iter().flat_map(|family| family.changes);
    Json(Versions {
        newest: Version::HEAD,
        served: Version::ALL,
        families: FAMILIES.iter().flat_map(|family| family.roots).copied().collect(),
        changes: changes.map(|change| ChangeView { name: change.name(), text: change.changelog() }).collect(),
        deprecations: DEPRECATIONS.iter().map(Into::into).collect(),
    })
}
