//! Writing notes, one or many: in as many statements.

use shared::events::notes::NoteCreated;
use shared::postgres::PostgresError;
use shared::time::Timestamp;
use sqlx::{Postgres, QueryBuilder};

use super::{MOST_REVISIONS, Place, Work, refused};
use crate::note::{Access, Format, Note};
use crate::text::{search_text, title_key};

fn milliseconds(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millisecond)
}

const fn name(format: Format) -> &'static str {
    match format {
        Format::Markdown => "markdown",
        Format::Text => "text",
    }
}

impl Work<'_> {
    /// Writes new notes of the actor's, and tells of them.
    pub async fn insert(&mut self, notes: &[Note]) -> Result<(), PostgresError> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut query = QueryBuilder::<Postgres>::new(
            "INSERT INTO notes (id, owner_id, title, content, format, tags, pinned, archived, due_at, done_at, version,
             created_at, created_by, updated_at, updated_by, search, title_key) ",
        );
        query.push_values(notes, |mut row, note| {
            let draft = &note.draft;
            row.push_bind(note.id.to_string())
                .push_bind(&note.owner)
                .push_bind(draft.title.as_str())
                .push_bind(draft.content.as_str())
                .push_bind(name(draft.format))
                .push_bind(draft.tags.to_texts())
                .push_bind(draft.pinned)
                .push_bind(draft.archived)
                .push_bind(milliseconds(draft.due_at))
                .push_bind(milliseconds(draft.done_at))
                .push_bind(note.version)
                .push_bind(note.created_at.as_millisecond())
                .push_bind(&note.created_by)
                .push_bind(note.updated_at.as_millisecond())
                .push_bind(&note.updated_by)
                .push_bind(search_text(&draft.title, &draft.content, &draft.tags))
                .push_bind(title_key(&draft.title));
        });
        query.build().execute(self.transaction()).await?;
        notes.iter().try_for_each(|note| self.tell(NoteCreated, note))
    }

    /// Writes the new versions of notes that were locked in this transaction at `place`, and tells of them. The statement
    /// asks once more whether the actor may: a share may have been taken away meanwhile.
    pub async fn update(&mut self, notes: &[Note], place: Place) -> Result<(), PostgresError> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut query = QueryBuilder::<Postgres>::new(
            "UPDATE notes n SET title = v.title, content = v.content, format = v.format, tags = v.tags,
                 pinned = v.pinned, archived = v.archived, due_at = v.due_at, done_at = v.done_at, version = v.version,
                 updated_at = v.updated_at, updated_by = v.updated_by, deleted_at = v.deleted_at, search = v.search,
                 title_key = v.title_key
             FROM (",
        );
        query.push_values(notes, |mut row, note| {
            let draft = &note.draft;
            row.push_bind(note.id.to_string())
                .push_bind(draft.title.as_str())
                .push_bind(draft.content.as_str())
                .push_bind(name(draft.format))
                .push_bind(draft.tags.to_texts())
                .push_bind(draft.pinned)
                .push_bind(draft.archived)
                .push_bind(milliseconds(draft.due_at))
                .push_bind(milliseconds(draft.done_at))
                .push_bind(note.version)
                .push_bind(note.updated_at.as_millisecond())
                .push_bind(&note.updated_by)
                .push_bind(milliseconds(note.deleted_at))
                .push_bind(search_text(&draft.title, &draft.content, &draft.tags))
                .push_bind(title_key(&draft.title));
        });
        query
            .push(
                ") AS v (id, title, content, format, tags, pinned, archived, due_at, done_at, version, updated_at,
                 updated_by, deleted_at, search, title_key)
                 WHERE n.id = v.id AND (n.owner_id = ",
            )
            .push_bind(&self.actor.id)
            .push(
                " OR EXISTS (SELECT FROM note_shares s WHERE s.note_id = n.id AND s.access = 'write' AND s.user_id = ",
            )
            .push_bind(&self.actor.id)
            .push("))");
        let done = query.build().execute(&mut self.transaction).await?;
        if done.rows_affected() != notes.len() as u64 {
            return Err(refused(Access::Write).into());
        }
        notes.iter().try_for_each(|note| self.tell_change(note, place))
    }

    /// Writes down what these notes say now, and drops what was before the last hundred times.
    pub async fn add_revisions(&mut self, notes: &[&Note]) -> Result<(), PostgresError> {
        if notes.is_empty() {
            return Ok(());
        }
        let mut query = QueryBuilder::<Postgres>::new(
            "INSERT INTO note_revisions (note_id, version, title, content, format, tags, created_at, created_by) ",
        );
        query.push_values(notes, |mut row, note| {
            row.push_bind(note.id.to_string())
                .push_bind(note.version)
                .push_bind(note.draft.title.as_str())
                .push_bind(note.draft.content.as_str())
                .push_bind(name(note.draft.format))
                .push_bind(note.draft.tags.to_texts())
                .push_bind(note.updated_at.as_millisecond())
                .push_bind(&note.updated_by);
        });
        query.build().execute(self.transaction()).await?;
        // A note of fewer versions has no more revisions.
        let long: Vec<_> =
            notes.iter().filter(|note| note.version > MOST_REVISIONS).map(|note| note.id.to_string()).collect();
        if long.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "DELETE FROM note_revisions r USING (
                 SELECT note_id, version, row_number() OVER (PARTITION BY note_id ORDER BY version DESC) AS place
                 FROM note_revisions WHERE note_id = ANY($1)
             ) old WHERE r.note_id = old.note_id AND r.version = old.version AND old.place > $2",
        )
        .bind(long)
        .bind(MOST_REVISIONS)
        .execute(self.transaction())
        .await?;
        Ok(())
    }
}
