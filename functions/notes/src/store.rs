//! The tables. Each use is one transaction of the actor's tenant, whose statements see what the actor may see: whose a
//! note is, and with whom it is shared, is asked in SQL, on the rows as they are locked.
//!
//! Writes take lists, so that a hundred notes cost as many statements as one.

pub mod list;
mod purge;
mod revisions;
mod row;
mod shares;
pub mod users;
mod write;

use shared::http::{Problem, ProblemType};
use shared::postgres::{Postgres, PostgresError, Transaction};
use shared::time::Timestamp;

use crate::note::{Access, Actor, Draft, Note, NoteId};

pub use shares::{MOST_SHARES, Share};

/// The most revisions of a note that are kept. Older ones are dropped.
pub const MOST_REVISIONS: i64 = 100;

/// A note, and what the actor may do with it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The note.
    pub note: Note,
    /// What may be done.
    pub access: Access,
}

impl Held {
    /// Whether that much may be done with it.
    ///
    /// # Errors
    /// 403: the actor sees the note, so it is no secret that there is one.
    pub fn check(&self, needed: Access) -> Result<(), Problem> {
        if self.access as u8 >= needed as u8 { Ok(()) } else { Err(refused(needed)) }
    }
}

fn refused(needed: Access) -> Problem {
    let detail = match needed {
        Access::Owner => "only its owner may do this",
        Access::Write | Access::Read => "it is shared with you for reading",
    };
    Problem::new(ProblemType::Forbidden, detail)
}

/// Which notes a statement is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Those in use.
    Desk,
    /// Those that were deleted and can be restored.
    Bin,
}

/// The notes of all tenants. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NoteStore {
    postgres: Postgres,
}

impl NoteStore {
    /// The schema `notes` of a database.
    pub const fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }

    /// Begins a transaction in which `actor` acts.
    pub async fn begin<'a>(&self, actor: &'a Actor) -> Result<Work<'a>, PostgresError> {
        Ok(Work { transaction: self.postgres.tenant_transaction(&actor.tenant).await?, actor })
    }

    /// Does `once`, which begins and ends a [`Work`], again when other transactions were in its way. Identity may not
    /// have told yet of a user who writes for the first time: they are made known then.
    pub async fn repeated<T, F>(&self, actor: &Actor, once: impl Fn() -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, PostgresError>>,
    {
        match self.postgres.repeated(&once).await {
            Err(PostgresError::Violation { constraint, .. })
                if matches!(constraint.as_str(), "notes_owner" | "idempotency_keys_actor") =>
            {
                self.introduce(actor).await?;
                Ok(self.postgres.repeated(&once).await?)
            }
            done => Ok(done?),
        }
    }
}

/// A transaction in which an actor acts, until its [`Work::end`].
#[derive(Debug)]
pub struct Work<'a> {
    transaction: Transaction,
    actor: &'a Actor,
}

impl Work<'_> {
    /// The transaction itself.
    pub const fn transaction(&mut self) -> &mut Transaction {
        &mut self.transaction
    }

    /// A note that the actor may see.
    pub async fn note(&mut self, id: &NoteId) -> Result<Held, PostgresError> {
        let held = self.select(std::slice::from_ref(id), Place::Desk, false).await?;
        Ok(held.into_iter().next().ok_or_else(Problem::not_found)?)
    }

    /// The same, locked until the transaction ends, so that what is read is what is changed.
    pub async fn lock(&mut self, id: &NoteId, place: Place) -> Result<Held, PostgresError> {
        let held = self.select(std::slice::from_ref(id), place, true).await?;
        Ok(held.into_iter().next().ok_or_else(Problem::not_found)?)
    }

    /// Those of these notes that the actor may see, locked in the order of their ids, so that no two who lock several
    /// wait for one another.
    pub async fn lock_all(&mut self, ids: &[NoteId]) -> Result<Vec<Held>, PostgresError> {
        self.select(ids, Place::Desk, true).await
    }

    async fn select(&mut self, ids: &[NoteId], place: Place, lock: bool) -> Result<Vec<Held>, PostgresError> {
        let query = format!(
            "SELECT {columns}, CASE WHEN n.owner_id = $2 THEN 'owner' ELSE s.access END AS access
             FROM notes n LEFT JOIN note_shares s ON s.note_id = n.id AND s.user_id = $2
             WHERE n.id = ANY($1) AND (n.owner_id = $2 OR s.user_id IS NOT NULL) AND n.deleted_at IS {state}
             ORDER BY n.id {lock}",
            columns = row::COLUMNS,
            state = if place == Place::Desk { "NULL" } else { "NOT NULL" },
            lock = if lock { "FOR UPDATE OF n" } else { "" },
        );
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(ids).bind(&self.actor.id);
        let rows = query.fetch_all(&mut self.transaction).await?;
        rows.iter().map(row::held).collect()
    }

    /// Writes the next version of a note that was locked, with a draft that was checked; its revision with it when it says
    /// something else. Nothing is written when nothing is changed.
    pub async fn change(&mut self, held: Held, draft: Draft, now: Timestamp) -> Result<Held, PostgresError> {
        held.check(Access::Write)?;
        if draft == held.note.draft {
            return Ok(held);
        }
        let note = held.note.changed(draft, self.actor, now);
        self.update(std::slice::from_ref(&note)).await?;
        if note.draft.differs_in_text(&held.note.draft) {
            self.add_revisions(&[&note]).await?;
        }
        Ok(Held { note, access: held.access })
    }

    /// Commits if the work was `done`, and undoes it if not.
    pub async fn end<T>(self, done: Result<T, PostgresError>) -> Result<T, PostgresError> {
        self.transaction.end(done).await
    }
}
