//! The projection of users, and what their going takes along.

use shared::events::EventData;
use shared::events::notes::{NoteChange, NotePurged, NoteUpdated};
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::postgres::{PostgresError, Transaction};
use shared::time::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::purge::NOTES_AT_ONCE;
use super::{NoteStore, outbox, row};
use crate::note::Actor;
use crate::telling::Telling;

/// How many notes are handed over in one transaction.
const GIVEN_AT_ONCE: i64 = 50;

/// What identity tells of a user.
#[derive(Clone, Debug)]
pub enum Told {
    /// Who they are.
    Known {
        /// The address.
        email: String,
        /// What they are called.
        name: Option<String>,
        /// Whether they begin in the tenant. Who left it is not known again by anything else.
        begins: bool,
    },
    /// They are no member of the tenant any more. Their notes are the tenant's from now on.
    Left,
    /// Their account is gone, and their notes go with it.
    Erased,
}

/// Something that identity tells of a user in one tenant.
#[derive(Clone, Debug)]
pub struct Change {
    /// In which tenant.
    pub tenant: TenantId,
    /// Of whom.
    pub user: String,
    /// When it happened, in microseconds since the Unix epoch: what is older than what is known is ignored.
    pub told_at: i64,
    /// What.
    pub told: Told,
}

/// What is done in one transaction of those that take in a change.
#[derive(Clone, Copy)]
enum Step {
    Note,
    GiveAway,
    Erase,
    Remove,
}

impl NoteStore {
    /// Takes in what identity tells. Told twice or in another order, it comes to the same.
    pub async fn take_in(&self, change: &Change) -> Result<(), PostgresError> {
        if !self.step(change, Step::Note).await? {
            return Ok(());
        }
        match &change.told {
            Told::Known { .. } => return Ok(()),
            Told::Left => while self.step(change, Step::GiveAway).await? {},
            Told::Erased => while self.step(change, Step::Erase).await? {},
        }
        self.step(change, Step::Remove).await.map(drop)
    }

    /// Does a step in a transaction of its own; whether there is more to do.
    async fn step(&self, change: &Change, step: Step) -> Result<bool, PostgresError> {
        self.postgres
            .repeated(async || {
                let mut transaction = self.postgres.tenant_transaction(&change.tenant).await?;
                let done = self.step_in(&mut transaction, change, step).await;
                transaction.end(done).await
            })
            .await
    }

    async fn step_in(&self, transaction: &mut Transaction, change: &Change, step: Step) -> Result<bool, PostgresError> {
        if matches!(step, Step::Note) {
            return note_state(transaction, change).await;
        }
        if !is_last(transaction, change).await? {
            return Ok(false);
        }
        match step {
            Step::Note => Ok(false),
            Step::GiveAway => self.give_away(transaction, change).await,
            Step::Erase => self.erase_some(transaction, change).await,
            Step::Remove => self.remove(transaction, change).await.map(|()| false),
        }
    }

    /// Gives some notes of a user who left to the tenant; false when there were none.
    async fn give_away(&self, transaction: &mut Transaction, change: &Change) -> Result<bool, PostgresError> {
        let tenant = change.tenant.to_string();
        sqlx::query("INSERT INTO users (id) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(&tenant)
            .execute(&mut *transaction)
            .await?;
        let given = sqlx::query(
            "UPDATE notes SET owner_id = $2 WHERE tenant = tenfold.current_tenant() AND id IN
                 (SELECT id FROM notes WHERE tenant = tenfold.current_tenant() AND owner_id = $1 LIMIT $3)
             RETURNING id, owner_id, version, deleted_at",
        )
        .bind(&change.user)
        .bind(&tenant)
        .bind(GIVEN_AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
        // Who was told of its deletion learns of its owner when it is restored.
        let mut in_use = Vec::new();
        for row in &given {
            if row::optional_time(row, "deleted_at")?.is_none() {
                in_use.push(row);
            }
        }
        self.tell_all(transaction, change, NoteUpdated, in_use.into_iter()).await?;
        Ok(!given.is_empty())
    }

    /// Writes down that something happened to notes when `change` was told.
    async fn tell_all<'r, D: EventData>(
        &self,
        transaction: &mut Transaction,
        change: &Change,
        kind: fn(NoteChange) -> D,
        rows: impl Iterator<Item = &'r PgRow>,
    ) -> Result<(), PostgresError> {
        let mut telling = Telling::new(change.tenant, self.random.clone());
        let at = Timestamp::from_microsecond(change.told_at).map_err(row::unreadable)?;
        for row in rows {
            telling.add(kind, row::change(row)?, at).map_err(row::unreadable)?;
        }
        let entry = telling.into_entry().map_err(row::unreadable)?;
        outbox::insert(transaction, entry.as_slice()).await
    }

    /// Erases some notes of a user; false when there were none.
    async fn erase_some(&self, transaction: &mut Transaction, change: &Change) -> Result<bool, PostgresError> {
        let erased = sqlx::query(
            "DELETE FROM notes WHERE tenant = tenfold.current_tenant() AND id IN
                 (SELECT id FROM notes WHERE tenant = tenfold.current_tenant() AND owner_id = $1 LIMIT $2)
             RETURNING id, owner_id, version",
        )
        .bind(&change.user)
        .bind(NOTES_AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
        self.tell_all(transaction, change, NotePurged, erased.iter()).await?;
        Ok(!erased.is_empty())
    }

    /// Removes a user, with all that refers to them. A note that they made at this very moment goes along, whichever way
    /// they went.
    async fn remove(&self, transaction: &mut Transaction, change: &Change) -> Result<(), PostgresError> {
        // It waits for whoever makes a note of theirs at this moment; nobody makes another one after it.
        let lock = sqlx::query("SELECT FROM users WHERE id = $1 FOR UPDATE").bind(&change.user);
        lock.execute(&mut *transaction).await?;
        let query = sqlx::query(
            "DELETE FROM notes WHERE tenant = tenfold.current_tenant() AND owner_id = $1 RETURNING id, owner_id, version",
        );
        let erased = query.bind(&change.user).fetch_all(&mut *transaction).await?;
        self.tell_all(transaction, change, NotePurged, erased.iter()).await?;
        sqlx::query("DELETE FROM users WHERE id = $1").bind(&change.user).execute(transaction).await?;
        Ok(())
    }

    /// Makes known whoever writes before identity has told of them, but nobody who has gone: their token may be good for
    /// some seconds yet.
    pub(super) async fn introduce(&self, actor: &Actor) -> Result<(), PostgresError> {
        self.postgres
            .repeated(async || {
                let mut transaction = self.postgres.tenant_transaction(&actor.tenant).await?;
                let done = introduce(&mut transaction, actor).await;
                transaction.end(done).await
            })
            .await
    }
}

/// Notes what was told, and the user with it, when they are there; false when it is older than what is known, or about
/// somebody who left. What is told of who has come back, and overtakes that they have, is lost with it until the next time.
async fn note_state(transaction: &mut Transaction, change: &Change) -> Result<bool, PostgresError> {
    let noted = sqlx::query(
        "INSERT INTO user_states AS s (user_id, told_at, removed) VALUES ($1, $2, $3)
         ON CONFLICT (tenant, user_id) DO UPDATE SET told_at = excluded.told_at, removed = excluded.removed
         WHERE s.told_at <= excluded.told_at AND (NOT s.removed OR $4)",
    )
    .bind(&change.user)
    .bind(change.told_at)
    .bind(!matches!(change.told, Told::Known { .. }))
    .bind(!matches!(change.told, Told::Known { begins: false, .. }))
    .execute(&mut *transaction)
    .await?;
    let is_news = noted.rows_affected() > 0;
    if is_news && let Told::Known { email, name, .. } = &change.told {
        sqlx::query(
            "INSERT INTO users (id, email, name) VALUES ($1, $2, $3)
             ON CONFLICT (tenant, id) DO UPDATE SET email = excluded.email, name = excluded.name",
        )
        .bind(&change.user)
        .bind(email)
        .bind(name)
        .execute(transaction)
        .await?;
    }
    Ok(is_news)
}

/// Whether nothing was told of the user since: who has come back keeps what they make. Nothing is until the transaction ends.
async fn is_last(transaction: &mut Transaction, change: &Change) -> Result<bool, PostgresError> {
    let query = "SELECT FROM user_states
                 WHERE tenant = tenfold.current_tenant() AND user_id = $1 AND told_at = $2 AND removed FOR UPDATE";
    let query = sqlx::query(query).bind(&change.user).bind(change.told_at);
    Ok(query.fetch_optional(transaction).await?.is_some())
}

async fn introduce(transaction: &mut Transaction, actor: &Actor) -> Result<(), PostgresError> {
    // It waits for whoever notes the user's removal at this moment, and sees it then.
    let state = sqlx::query(
        "INSERT INTO user_states AS s (user_id, told_at, removed) VALUES ($1, 0, false)
         ON CONFLICT (tenant, user_id) DO UPDATE SET told_at = s.told_at RETURNING removed",
    )
    .bind(&actor.id)
    .fetch_one(&mut *transaction)
    .await?;
    if state.try_get::<bool, _>("removed")? {
        return Err(Problem::new(ProblemType::Forbidden, "the user is no member of the tenant any more").into());
    }
    sqlx::query("INSERT INTO users (id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(&actor.id)
        .execute(transaction)
        .await?;
    Ok(())
}
