//! What notes were before.

use shared::http::Problem;
use shared::postgres::PostgresError;

use super::{Work, row};
use crate::note::{NoteId, Revision};

/// The revisions of a note on the desk that the actor `$2` may see.
const VISIBLE: &str = "FROM note_revisions r JOIN notes n ON n.tenant = r.tenant AND n.id = r.note_id
     WHERE r.note_id = $1 AND n.deleted_at IS NULL
       AND (n.owner_id = $2 OR EXISTS (SELECT FROM note_shares s WHERE s.note_id = n.id AND s.user_id = $2))";

impl Work<'_> {
    /// All revisions of a note, the newest first, without their contents. Each note has one at least.
    pub async fn revisions(&mut self, id: &NoteId) -> Result<Vec<Revision>, PostgresError> {
        let query = format!(
            "SELECT r.version, r.title, '' AS content, r.format, r.tags, r.created_at, r.created_by {VISIBLE}
             ORDER BY r.version DESC"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string()).bind(&self.actor.id);
        let rows = query.fetch_all(&mut self.transaction).await?;
        if rows.is_empty() {
            return Err(Problem::not_found().into());
        }
        rows.iter().map(row::revision).collect()
    }

    /// One revision.
    pub async fn revision(&mut self, id: &NoteId, version: i64) -> Result<Revision, PostgresError> {
        let query = format!(
            "SELECT r.version, r.title, r.content, r.format, r.tags, r.created_at, r.created_by {VISIBLE}
             AND r.version = $3"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string()).bind(&self.actor.id).bind(version);
        let found = query.fetch_optional(&mut self.transaction).await?;
        row::revision(&found.ok_or_else(Problem::not_found)?)
    }

    /// The revision that `version` is compared with, which is `from` or the one before it if there is one; and itself.
    pub async fn compared(
        &mut self,
        id: &NoteId,
        version: i64,
        from: Option<i64>,
    ) -> Result<(Option<Revision>, Revision), PostgresError> {
        let query = format!(
            "SELECT r.version, r.title, r.content, r.format, r.tags, r.created_at, r.created_by {VISIBLE}
             AND r.version IN ($3, coalesce($4, (
                 SELECT max(b.version) FROM note_revisions b WHERE b.note_id = $1 AND b.version < $3)))"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string()).bind(&self.actor.id);
        let rows = query.bind(version).bind(from).fetch_all(&mut self.transaction).await?;
        let revisions = rows.iter().map(row::revision).collect::<Result<Vec<_>, _>>()?;
        let find = |wanted: i64| revisions.iter().find(|revision| revision.version == wanted).cloned();
        let to = find(version).ok_or_else(Problem::not_found)?;
        let before = match from {
            Some(from) => Some(find(from).ok_or_else(Problem::not_found)?),
            None => revisions.into_iter().find(|revision| revision.version != version),
        };
        Ok((before, to))
    }
}
