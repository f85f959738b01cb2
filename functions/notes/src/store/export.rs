//! All notes of a tenant, whoever owns them, for its export: page by page, in the order of their keys. A page that is empty
//! is the last one.

use shared::id::TenantId;
use shared::postgres::PostgresError;
use sqlx::{AssertSqlSafe, Row as _};

use super::settings::Settings;
use super::{NoteStore, OWN_TENANT, Share, row, shares};
use crate::note::{Actor, Note, Revision};

/// Notes or revisions that are read at once, of 256 KiB each at most.
const TEXTS: i64 = 32;

/// Shares that are read at once.
const SHARES: i64 = 200;

impl NoteStore {
    /// What the tenant has chosen.
    pub async fn settings_of(&self, tenant: &TenantId) -> Result<Settings, PostgresError> {
        let actor = Actor { tenant: *tenant, id: tenant.to_string(), subject: tenant.to_string() };
        let read = async || {
            let mut work = self.begin(&actor).await?;
            let done = work.settings().await;
            work.end(done).await
        };
        self.postgres.repeated(read).await
    }

    /// The notes after one of them, those in the bin as well.
    pub async fn all_notes(&self, tenant: &TenantId, after: &str) -> Result<Vec<Note>, PostgresError> {
        let text =
            format!("SELECT {} FROM notes n WHERE {OWN_TENANT} AND n.id > $1 ORDER BY n.id LIMIT $2", row::COLUMNS);
        let read = async || {
            let mut transaction = self.postgres.tenant_transaction(tenant).await?;
            let query = sqlx::query(AssertSqlSafe(text.as_str().to_owned())).bind(after).bind(TEXTS);
            let rows = query.fetch_all(&mut transaction).await;
            transaction.end(rows.map_err(PostgresError::from)).await
        };
        self.postgres.repeated(read).await?.iter().map(row::note).collect()
    }

    /// The revisions after one of them, each with the id of its note.
    pub async fn all_revisions(
        &self,
        tenant: &TenantId,
        (note, version): (&str, i64),
    ) -> Result<Vec<(String, Revision)>, PostgresError> {
        let read = async || {
            let mut transaction = self.postgres.tenant_transaction(tenant).await?;
            let query = sqlx::query(
                "SELECT r.note_id, r.version, r.title, r.content, r.format, r.tags, r.created_at, r.created_by
                 FROM note_revisions r WHERE (r.note_id, r.version) > ($1, $2) ORDER BY r.note_id, r.version LIMIT $3",
            );
            let rows = query.bind(note).bind(version).bind(TEXTS).fetch_all(&mut transaction).await;
            transaction.end(rows.map_err(PostgresError::from)).await
        };
        let rows = self.postgres.repeated(read).await?;
        rows.iter().map(|row| Ok((row.try_get("note_id")?, row::revision(row)?))).collect()
    }

    /// The shares after one of them, each with the id of its note.
    pub async fn all_shares(
        &self,
        tenant: &TenantId,
        (note, user): (&str, &str),
    ) -> Result<Vec<(String, Share)>, PostgresError> {
        let text = format!(
            "SELECT s.note_id, {} FROM note_shares s JOIN users u ON u.id = s.user_id
             WHERE (s.note_id, s.user_id) > ($1, $2) ORDER BY s.note_id, s.user_id LIMIT $3",
            shares::COLUMNS
        );
        let read = async || {
            let mut transaction = self.postgres.tenant_transaction(tenant).await?;
            let query = sqlx::query(AssertSqlSafe(text.as_str().to_owned())).bind(note).bind(user).bind(SHARES);
            let rows = query.fetch_all(&mut transaction).await;
            transaction.end(rows.map_err(PostgresError::from)).await
        };
        let rows = self.postgres.repeated(read).await?;
        rows.iter().map(|row| Ok((row.try_get("note_id")?, shares::share(row)?))).collect()
    }
}
