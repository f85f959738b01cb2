//! That a note is due, told once.

use shared::events::notes::{NoteChange, NoteDue};
use shared::postgres::{PostgresError, Transaction};
use shared::time::Timestamp;

use super::{NoteStore, outbox, row};
use crate::telling::{Entry, Reminder, Telling};

impl NoteStore {
    /// Tells that a note is due, if it still is at that very time, is to be done, and this was not told before.
    pub async fn remind(&self, reminder: &Reminder, now: Timestamp) -> Result<(), PostgresError> {
        let entry = self
            .postgres
            .repeated(async || {
                let mut transaction = self.postgres.tenant_transaction(&reminder.tenant_id).await?;
                let done = self.remind_in(&mut transaction, reminder, now).await;
                transaction.end(done).await
            })
            .await?;
        if let (Some(hand_over), Some(entry)) = (&self.hand_over, entry) {
            hand_over.defer(self.clone(), entry).await;
        }
        Ok(())
    }

    async fn remind_in(
        &self,
        transaction: &mut Transaction,
        reminder: &Reminder,
        now: Timestamp,
    ) -> Result<Option<Entry>, PostgresError> {
        // The times of notes are of whole milliseconds.
        let query = sqlx::query(
            "UPDATE notes SET reminded_for = due_at
             WHERE id = $1 AND due_at = $2 AND reminded_for IS DISTINCT FROM due_at
               AND done_at IS NULL AND deleted_at IS NULL
             RETURNING id, owner_id, version",
        );
        let query = query.bind(reminder.note_id.to_string()).bind(reminder.due_at.as_millisecond());
        let Some(found) = query.fetch_optional(&mut *transaction).await? else { return Ok(None) };
        let mut telling = Telling::new(reminder.tenant_id, self.random.clone());
        let due = |note: NoteChange| NoteDue {
            note_id: note.note_id,
            owner: note.owner,
            version: note.version,
            due_at: reminder.due_at,
        };
        telling.add(due, row::change(&found)?, now).map_err(row::unreadable)?;
        let entry = telling.into_entry().map_err(row::unreadable)?;
        outbox::insert(transaction, entry.as_slice()).await?;
        Ok(entry)
    }
}
