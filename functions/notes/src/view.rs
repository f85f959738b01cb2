//! Notes, revisions and shares as clients see them.

use serde::Serialize;
use shared::http::ETag;
use shared::time::rfc3339_millis;
use utoipa::ToSchema;

use crate::note::{Access, Format, Note, NoteId, Revision};
use crate::store::list::Listed;
use crate::store::settings::Settings;
use crate::store::{Held, Share};
use crate::text::{Content, Tags, Title};

/// A note.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteDetail, example = json!({
    "id": "note_01k9z4n2y6e0qv3m8t5w7x9abc", "owner": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "access": "owner",
    "title": "Groceries", "content": "- milk\n- bread", "format": "markdown", "tags": ["home"], "pinned": false,
    "archived": false, "due_at": "2026-06-01T00:00:00.000Z", "done_at": null, "version": 1,
    "created_at": "2026-05-04T09:30:00.000Z", "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
    "updated_at": "2026-05-04T09:30:00.000Z", "updated_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
}))]
pub struct NoteView {
    /// Which one.
    #[schema(value_type = String, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc")]
    id: NoteId,
    /// Whose: the id of a user, or the tenant's for what its programs made.
    owner: String,
    /// What the caller may do with it.
    access: Access,
    /// What it is called.
    title: Title,
    /// What it says.
    content: Content,
    /// How that is written. New formats may come.
    format: Format,
    /// Words to find it by.
    tags: Tags,
    /// Whether it is kept in sight.
    pinned: bool,
    /// Whether it is put away.
    archived: bool,
    /// When it is to be done.
    #[schema(format = DateTime)]
    due_at: Option<String>,
    /// When it was done.
    #[schema(format = DateTime)]
    done_at: Option<String>,
    /// 1 when made, one more with each change.
    version: i64,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// Who made it: the id of a user, an API key or an OAuth client.
    created_by: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Who changed it.
    updated_by: String,
}

impl NoteView {
    /// A note as whoever has `access` to it sees it.
    pub fn of(note: Note, access: Access) -> Self {
        let Note { id, owner, draft, version, created_at, created_by, updated_at, updated_by, deleted_at: _ } = note;
        Self {
            id,
            owner,
            access,
            title: draft.title,
            content: draft.content,
            format: draft.format,
            tags: draft.tags,
            pinned: draft.pinned,
            archived: draft.archived,
            due_at: draft.due_at.map(rfc3339_millis),
            done_at: draft.done_at.map(rfc3339_millis),
            version,
            created_at: rfc3339_millis(created_at),
            created_by,
            updated_at: rfc3339_millis(updated_at),
            updated_by,
        }
    }
}

impl From<Held> for NoteView {
    fn from(held: Held) -> Self {
        Self::of(held.note, held.access)
    }
}

/// A note in a list: the beginning of its content instead of all of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteSummary)]
pub struct SummaryView {
    /// Which one.
    #[schema(value_type = String, example = "note_01k9z4n2y6e0qv3m8t5w7x9abc")]
    id: NoteId,
    /// Whose.
    owner: String,
    /// What the caller may do with it.
    access: Access,
    /// What it is called.
    title: Title,
    /// The first 200 characters of what it says.
    excerpt: String,
    /// How long that is, in bytes.
    content_bytes: i64,
    /// How it is written.
    format: Format,
    /// Words to find it by.
    tags: Tags,
    /// Whether it is kept in sight.
    pinned: bool,
    /// Whether it is put away.
    archived: bool,
    /// When it is to be done.
    #[schema(format = DateTime)]
    due_at: Option<String>,
    /// When it was done.
    #[schema(format = DateTime)]
    done_at: Option<String>,
    /// Its version.
    version: i64,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// Who made it.
    created_by: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Who changed it.
    updated_by: String,
    /// When it was deleted; null but in lists of deleted notes.
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
}

impl From<Listed> for SummaryView {
    fn from(listed: Listed) -> Self {
        Self {
            id: listed.id,
            owner: listed.owner,
            access: listed.access,
            title: listed.title,
            excerpt: listed.excerpt,
            content_bytes: listed.content_bytes,
            format: listed.format,
            tags: listed.tags,
            pinned: listed.pinned,
            archived: listed.archived,
            due_at: listed.due_at.map(rfc3339_millis),
            done_at: listed.done_at.map(rfc3339_millis),
            version: listed.version,
            created_at: rfc3339_millis(listed.created_at),
            created_by: listed.created_by,
            updated_at: rfc3339_millis(listed.updated_at),
            updated_by: listed.updated_by,
            deleted_at: listed.deleted_at.map(rfc3339_millis),
        }
    }
}

/// A revision in a list: without its content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteRevisionSummary)]
pub struct RevisionSummaryView {
    /// The note's version that the change made.
    version: i64,
    /// What it was called then.
    title: Title,
    /// How it was written.
    format: Format,
    /// Its tags.
    tags: Tags,
    /// When it was changed to this.
    #[schema(format = DateTime)]
    created_at: String,
    /// By whom.
    created_by: String,
}

impl From<Revision> for RevisionSummaryView {
    fn from(revision: Revision) -> Self {
        Self {
            version: revision.version,
            title: revision.title,
            format: revision.format,
            tags: revision.tags,
            created_at: rfc3339_millis(revision.created_at),
            created_by: revision.created_by,
        }
    }
}

/// What a note said in one version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteRevision, example = json!({
    "version": 1, "title": "Groceries", "content": "- milk", "format": "markdown", "tags": ["home"],
    "created_at": "2026-05-04T09:30:00.000Z", "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
}))]
pub struct RevisionView {
    /// The note's version that the change made.
    version: i64,
    /// What it was called then.
    title: Title,
    /// What it said.
    content: Content,
    /// How that was written.
    format: Format,
    /// Its tags.
    tags: Tags,
    /// When it was changed to this.
    #[schema(format = DateTime)]
    created_at: String,
    /// By whom.
    created_by: String,
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self {
            version: revision.version,
            title: revision.title,
            content: revision.content,
            format: revision.format,
            tags: revision.tags,
            created_at: rfc3339_millis(revision.created_at),
            created_by: revision.created_by,
        }
    }
}

/// That a note is shared with a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteShare, example = json!({
    "user_id": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "access": "read", "email": "ada@example.com", "name": "Ada",
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
}))]
pub struct ShareView {
    /// With whom.
    user_id: String,
    /// What they may do: `read` or `write`.
    access: Access,
    /// Their address; null before identity has told of it.
    email: Option<String>,
    /// What they are called.
    name: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<Share> for ShareView {
    fn from(share: Share) -> Self {
        Self {
            user_id: share.user,
            access: share.access,
            email: share.email,
            name: share.name,
            created_at: rfc3339_millis(share.created_at),
            updated_at: rfc3339_millis(share.updated_at),
        }
    }
}

/// What holds for all notes of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NoteSettings, example = json!({
    "require_if_match": true, "updated_at": "2026-05-04T09:30:00.000Z",
    "updated_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
}))]
pub struct SettingsView {
    /// Whether each change of a note must name the version that it changes; false before anything is set.
    require_if_match: bool,
    /// When they were last changed; null before anything is set.
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    /// Who changed them: the id of a user, an API key or an OAuth client.
    updated_by: Option<String>,
}

impl From<Settings> for SettingsView {
    fn from(settings: Settings) -> Self {
        Self {
            require_if_match: settings.require_if_match,
            updated_at: settings.updated_at.map(rfc3339_millis),
            updated_by: settings.updated_by,
        }
    }
}

/// The entity tag of a tenant's settings.
pub(crate) fn settings_etag(settings: &Settings) -> ETag {
    ETag::of_version(settings.version)
}

/// The entity tag of a note as its reader sees it: neither a share nor its owner's leaving makes a version of it.
pub(crate) fn etag(note: &Note, access: Access) -> ETag {
    let access = match access {
        Access::Read => "read",
        Access::Write => "write",
        Access::Owner => "owner",
    };
    ETag::of_version(format_args!("{}-{access}-{}", note.version, note.owner))
}

/// The entity tag of a share, by what is told of it: its user may change without it.
pub(crate) fn share_etag(share: &Share) -> ETag {
    let Share { user: _, access: _, email, name, created_at, updated_at } = share;
    let (created_at, updated_at) = (created_at.as_millisecond(), updated_at.as_millisecond());
    ETag::of_bytes(format!("{created_at} {updated_at} {email:?} {name:?}").as_bytes())
}

/// The path of a note in the API.
pub(crate) fn location(id: &NoteId) -> String {
    format!("/v2/notes/{id}")
}
