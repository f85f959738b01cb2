//! The outbox: what is to be told, written in the transaction of the change. What was handed over is removed; what was not
//! is found by the sweep, which sees the outbox of every tenant by policies of its own, and nothing else.

use shared::postgres::{PostgresError, Transaction};
use shared::time::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use super::{Errand, NoteStore, row};
use crate::telling::Entry;

/// How many entries are handed over at once: each may have a hundred events.
const ENTRIES_AT_ONCE: i64 = 100;

/// Writes entries.
pub(super) async fn insert(transaction: &mut Transaction, entries: &[Entry]) -> Result<(), PostgresError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Postgres>::new("INSERT INTO outbox (tenant, id, events, reminders, written_at) ");
    let reminders = entries.iter().map(|entry| serde_json::to_string(&entry.reminders));
    let reminders = reminders.collect::<Result<Vec<_>, _>>().map_err(row::unreadable)?;
    query.push_values(entries.iter().zip(reminders), |mut row, (entry, reminders)| {
        row.push_bind(entry.tenant.to_string())
            .push_bind(&entry.id)
            .push_bind(&entry.events)
            .push_bind(reminders)
            .push_bind(entry.written_at.as_millisecond());
    });
    query.build().execute(transaction).await?;
    Ok(())
}

fn entry(row: &PgRow) -> Result<Entry, PostgresError> {
    Ok(Entry {
        tenant: row.try_get::<String, _>("tenant")?.parse().map_err(row::unreadable)?,
        id: row.try_get("id")?,
        events: row.try_get("events")?,
        reminders: serde_json::from_str(row.try_get("reminders")?).map_err(row::unreadable)?,
        written_at: row::time(row, "written_at")?,
    })
}

impl NoteStore {
    /// Some entries of all tenants that were written before `before`, the oldest first; and whether there may be more.
    pub async fn waiting(&self, before: Timestamp) -> Result<(Vec<Entry>, bool), PostgresError> {
        let rows = self
            .postgres
            .repeated(async || {
                let mut transaction = self.begin_errand(Errand::HandOver).await?;
                let query = sqlx::query(
                    "SELECT tenant, id, events, reminders, written_at FROM outbox WHERE written_at < $1
                     ORDER BY written_at LIMIT $2",
                );
                let query = query.bind(before.as_millisecond()).bind(ENTRIES_AT_ONCE);
                let found = query.fetch_all(&mut transaction).await;
                transaction.end(found.map_err(Into::into)).await
            })
            .await?;
        let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        let more = i64::try_from(entries.len()).unwrap_or(i64::MAX) >= ENTRIES_AT_ONCE;
        Ok((entries, more))
    }

    /// Removes an entry that was handed over.
    pub async fn remove_entry(&self, entry: &Entry) -> Result<(), PostgresError> {
        self.postgres
            .repeated(async || {
                let mut transaction = self.postgres.tenant_transaction(&entry.tenant).await?;
                let query = sqlx::query("DELETE FROM outbox WHERE tenant = tenfold.current_tenant() AND id = $1")
                    .bind(&entry.id);
                let done = query.execute(&mut transaction).await;
                transaction.end(done.map(drop).map_err(Into::into)).await
            })
            .await
    }

    /// Removes entries of any tenants that were handed over.
    pub async fn remove_entries(&self, entries: &[Entry]) -> Result<(), PostgresError> {
        let (tenants, ids): (Vec<_>, Vec<_>) =
            entries.iter().map(|entry| (entry.tenant.to_string(), entry.id.clone())).unzip();
        self.postgres
            .repeated(async || {
                let mut transaction = self.begin_errand(Errand::HandOver).await?;
                let query = sqlx::query(
                    "DELETE FROM outbox USING unnest($1::text[], $2::text[]) AS done (tenant, id)
                     WHERE outbox.tenant = done.tenant AND outbox.id = done.id",
                );
                let done = query.bind(&tenants).bind(&ids).execute(&mut transaction).await;
                transaction.end(done.map(drop).map_err(Into::into)).await
            })
            .await
    }
}
