//! What is dropped for good: the one place that sees several tenants, by policies of its own, which show nothing but what
//! is to be dropped.

use shared::id::TenantId;
use shared::postgres::PostgresError;
use shared::time::Timestamp;
use sqlx::AssertSqlSafe;

use super::NoteStore;

/// How many notes are dropped in one transaction: each may have a hundred revisions of 256 KiB.
const NOTES_AT_ONCE: i64 = 50;
/// How many small rows are dropped in one transaction.
const ROWS_AT_ONCE: i64 = 1000;

impl NoteStore {
    /// Drops some notes that were deleted before `before`; whether there may be more.
    pub async fn purge_notes(&self, before: Timestamp) -> Result<bool, PostgresError> {
        self.purge("notes", "deleted_at", before.as_millisecond(), NOTES_AT_ONCE).await
    }

    /// Drops some answers to idempotency keys that have ended before `before`; whether there may be more.
    pub async fn purge_keys(&self, before: Timestamp) -> Result<bool, PostgresError> {
        self.purge("idempotency_keys", "expires_at", before.as_second(), ROWS_AT_ONCE).await
    }

    /// Forgets some users who were removed before `before`; whether there may be more.
    pub async fn purge_states(&self, before: Timestamp) -> Result<bool, PostgresError> {
        self.purge("user_states", "told_at", before.as_microsecond(), ROWS_AT_ONCE).await
    }

    async fn purge(&self, table: &str, column: &str, before: i64, most: i64) -> Result<bool, PostgresError> {
        // Whose row-level security would show: nobody's.
        let nobody = TenantId::from_uuid(uuid::Uuid::nil());
        let nobody = &nobody;
        let dropped = self
            .postgres
            .repeated(async || {
                let mut transaction = self.postgres.tenant_transaction(nobody).await?;
                sqlx::raw_sql("SET LOCAL tenfold.purge = 'on'").execute(&mut transaction).await?;
                let query = format!(
                    "DELETE FROM {table} WHERE {column} < $1 AND ctid = ANY(ARRAY(
                         SELECT ctid FROM {table} WHERE {column} < $1 ORDER BY {column} LIMIT $2))"
                );
                let query = sqlx::query(AssertSqlSafe(query)).bind(before).bind(most);
                let done = query.execute(&mut transaction).await?;
                transaction.commit().await?;
                Ok(done.rows_affected())
            })
            .await?;
        Ok(dropped >= most.unsigned_abs())
    }
}
