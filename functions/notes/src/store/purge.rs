//! What is dropped for good, of all tenants: it sees nothing but what is to be dropped ([`Errand::Purge`]).

use std::collections::BTreeMap;

use shared::events::notes::NotePurged;
use shared::id::TenantId;
use shared::postgres::{PostgresError, Transaction};
use shared::time::Timestamp;
use sqlx::{AssertSqlSafe, Row as _};

use super::{Errand, NoteStore, outbox, row};
use crate::telling::Telling;

/// How many notes are dropped in one transaction: each may have a hundred revisions of 256 KiB, and a statement has five
/// seconds.
pub(super) const NOTES_AT_ONCE: i64 = 5;
/// How many small rows are dropped in one transaction.
const ROWS_AT_ONCE: i64 = 1000;

impl NoteStore {
    /// Drops some notes that were deleted before `before`, and tells of them; whether there may be more.
    pub async fn purge_notes(&self, before: Timestamp, now: Timestamp) -> Result<bool, PostgresError> {
        let dropped = self
            .postgres
            .repeated(async || {
                let mut transaction = self.begin_errand(Errand::Purge).await?;
                let done = self.purge_notes_in(&mut transaction, before, now).await;
                transaction.end(done).await
            })
            .await?;
        Ok(dropped >= NOTES_AT_ONCE)
    }

    async fn purge_notes_in(
        &self,
        transaction: &mut Transaction,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<i64, PostgresError> {
        let query = sqlx::query(
            "DELETE FROM notes WHERE deleted_at < $1 AND ctid = ANY(ARRAY(
                 SELECT ctid FROM notes WHERE deleted_at < $1 ORDER BY deleted_at LIMIT $2))
             RETURNING tenant, id, owner_id, version",
        );
        let query = query.bind(before.as_millisecond()).bind(NOTES_AT_ONCE);
        let dropped = query.fetch_all(&mut *transaction).await?;
        let mut told = BTreeMap::<TenantId, Telling>::new();
        for row in &dropped {
            let tenant = row.try_get::<String, _>("tenant")?.parse().map_err(row::unreadable)?;
            let telling = told.entry(tenant).or_insert_with(|| Telling::new(tenant, self.random.clone()));
            telling.add(NotePurged, row::change(row)?, now).map_err(row::unreadable)?;
        }
        let entries = told.into_values().filter_map(|telling| telling.into_entry().transpose());
        outbox::insert(transaction, &entries.collect::<Result<Vec<_>, _>>().map_err(row::unreadable)?).await?;
        Ok(i64::try_from(dropped.len()).unwrap_or(i64::MAX))
    }

    /// Drops some answers to idempotency keys that have ended before `before`; whether there may be more.
    pub async fn purge_keys(&self, before: Timestamp) -> Result<bool, PostgresError> {
        self.purge("idempotency_keys WHERE expires_at < $1", "expires_at", before.as_second()).await
    }

    /// Forgets some users who were removed before `before`; whether there may be more.
    pub async fn purge_states(&self, before: Timestamp) -> Result<bool, PostgresError> {
        self.purge("user_states WHERE removed AND told_at < $1", "told_at", before.as_microsecond()).await
    }

    /// Drops some of `rows`, of which `$1` is `before`, in the order of `column`.
    async fn purge(&self, rows: &str, column: &str, before: i64) -> Result<bool, PostgresError> {
        let dropped = self
            .postgres
            .repeated(async || {
                let mut transaction = self.begin_errand(Errand::Purge).await?;
                let query = format!(
                    "DELETE FROM {rows} AND ctid = ANY(ARRAY(SELECT ctid FROM {rows} ORDER BY {column} LIMIT $2))"
                );
                let query = sqlx::query(AssertSqlSafe(query)).bind(before).bind(ROWS_AT_ONCE);
                let done = query.execute(&mut transaction).await;
                transaction.end(done.map(|done| done.rows_affected()).map_err(Into::into)).await
            })
            .await?;
        Ok(dropped >= ROWS_AT_ONCE.unsigned_abs())
    }
}
