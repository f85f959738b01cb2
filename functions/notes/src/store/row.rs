//! From rows to notes.

use serde::de::DeserializeOwned;
use shared::events::notes::NoteChange;
use shared::postgres::PostgresError;
use shared::time::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Held;
use crate::note::{Access, Draft, Format, Note, Revision};
use crate::text::{Content, Tag, Tags, Title};

/// What is told of a note, by the columns `id`, `owner_id` and `version`.
pub(super) fn change(row: &PgRow) -> Result<NoteChange, PostgresError> {
    Ok(NoteChange { note_id: row.try_get("id")?, owner: row.try_get("owner_id")?, version: row.try_get("version")? })
}

/// The columns of [`note`].
pub(super) const COLUMNS: &str = "n.id, n.owner_id, n.title, n.content, n.format, n.tags, n.pinned, n.archived, n.due_at, \
     n.done_at, n.version, n.created_at, n.created_by, n.updated_at, n.updated_by, n.deleted_at";

/// A stored value that is none of its kind: a fault of the code or the schema.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> PostgresError {
    PostgresError::Failed(sqlx::Error::Decode(Box::new(error)))
}

/// An enumeration by its name.
pub(super) fn named<T: DeserializeOwned>(name: String) -> Result<T, PostgresError> {
    serde_json::from_value(serde_json::Value::String(name)).map_err(unreadable)
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<Timestamp, PostgresError> {
    Timestamp::from_millisecond(row.try_get(column)?).map_err(unreadable)
}

pub(super) fn optional_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, PostgresError> {
    let milliseconds: Option<i64> = row.try_get(column)?;
    milliseconds.map(Timestamp::from_millisecond).transpose().map_err(unreadable)
}

pub(super) fn title(row: &PgRow) -> Result<Title, PostgresError> {
    row.try_get::<String, _>("title")?.try_into().map_err(unreadable)
}

pub(super) fn content(row: &PgRow) -> Result<Content, PostgresError> {
    row.try_get::<String, _>("content")?.try_into().map_err(unreadable)
}

pub(super) fn format(row: &PgRow) -> Result<Format, PostgresError> {
    named(row.try_get("format")?)
}

pub(super) fn tags(row: &PgRow) -> Result<Tags, PostgresError> {
    let tags: Vec<String> = row.try_get("tags")?;
    let tags = tags.into_iter().map(Tag::try_from).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    tags.try_into().map_err(unreadable)
}

pub(super) fn note(row: &PgRow) -> Result<Note, PostgresError> {
    let draft = Draft {
        title: title(row)?,
        content: content(row)?,
        format: format(row)?,
        tags: tags(row)?,
        pinned: row.try_get("pinned")?,
        archived: row.try_get("archived")?,
        due_at: optional_time(row, "due_at")?,
        done_at: optional_time(row, "done_at")?,
    };
    Ok(Note {
        id: row.try_get::<String, _>("id")?.parse().map_err(unreadable)?,
        owner: row.try_get("owner_id")?,
        draft,
        version: row.try_get("version")?,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: time(row, "updated_at")?,
        updated_by: row.try_get("updated_by")?,
        deleted_at: optional_time(row, "deleted_at")?,
    })
}

pub(super) fn access(row: &PgRow) -> Result<Access, PostgresError> {
    named(row.try_get("access")?)
}

/// A note with the columns `access` and `version_required`.
pub(super) fn held(row: &PgRow) -> Result<Held, PostgresError> {
    Ok(Held { note: note(row)?, access: access(row)?, version_required: row.try_get("version_required")? })
}

pub(super) fn revision(row: &PgRow) -> Result<Revision, PostgresError> {
    Ok(Revision {
        version: row.try_get("version")?,
        title: title(row)?,
        content: content(row)?,
        format: format(row)?,
        tags: tags(row)?,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
    })
}
