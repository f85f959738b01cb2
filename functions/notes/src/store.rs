//! The tables. Each use is one transaction of the actor's tenant, whose statements see what the actor may see: whose a
//! note is, and with whom it is shared, is asked in SQL, on the rows as they are locked.
//!
//! Writes take lists, so that a hundred notes cost as many statements as one.

mod export;
pub mod list;
mod outbox;
mod purge;
mod reminders;
mod revisions;
mod row;
pub mod settings;
mod shares;
pub mod users;
mod write;

use shared::events::EventData;
use shared::events::notes::{NoteChange, NoteDeleted, NoteRestored, NoteUpdated};
use shared::http::{Problem, ProblemType};
use shared::id::TenantId;
use shared::postgres::{Postgres, PostgresError, Transaction};
use shared::random::Random;
use shared::time::Timestamp;

use crate::hand_over::HandOver;
use crate::note::{Access, Actor, Draft, Note, NoteId};
use crate::telling::Telling;

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
    /// Whether a change must name the version that it changes, by the tenant's settings; false of a note that was read
    /// without a lock.
    pub version_required: bool,
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

/// That the notes `n` are the tenant's. The policy `own` says so, too; but whoever purges sees by a second policy, and of two
/// policies that are joined by OR neither leads to an index. So every statement that selects notes says it itself.
const OWN_TENANT: &str = "n.tenant = tenfold.current_tenant()";

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
    random: Random,
    /// None where what is told waits for the sweep.
    hand_over: Option<HandOver>,
}

impl NoteStore {
    /// The schema `notes` of a database.
    pub const fn new(postgres: Postgres, random: Random) -> Self {
        Self { postgres, random, hand_over: None }
    }

    /// The same, whose [`Work`] hands over what it tells when it has ended.
    #[must_use]
    pub fn with_hand_over(self, hand_over: HandOver) -> Self {
        Self { hand_over: Some(hand_over), ..self }
    }

    /// Begins a transaction in which `actor` acts.
    pub async fn begin<'a>(&'a self, actor: &'a Actor) -> Result<Work<'a>, PostgresError> {
        let transaction = self.postgres.tenant_transaction(&actor.tenant).await?;
        Ok(Work { store: self, transaction, actor, telling: Telling::new(actor.tenant, self.random.clone()) })
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

    /// Begins a transaction of nobody's, which sees of every tenant what the policies for the errand show, and nobody's
    /// rows besides.
    async fn begin_errand(&self, errand: Errand) -> Result<Transaction, PostgresError> {
        let nobody = TenantId::from_uuid(uuid::Uuid::nil());
        let mut transaction = self.postgres.tenant_transaction(&nobody).await?;
        match sqlx::raw_sql(errand.setting()).execute(&mut transaction).await {
            Ok(_) => Ok(transaction),
            Err(error) => transaction.end(Err(error.into())).await,
        }
    }
}

/// What is done for all tenants at once.
#[derive(Clone, Copy, Debug)]
enum Errand {
    /// It sees what is to be told.
    HandOver,
    /// It sees what is to be dropped for good.
    Purge,
}

impl Errand {
    /// The statement that has its policies hold until the transaction ends.
    const fn setting(self) -> &'static str {
        match self {
            Self::HandOver => "SET LOCAL tenfold.hand_over = 'on'",
            Self::Purge => "SET LOCAL tenfold.purge = 'on'",
        }
    }
}

/// A transaction in which an actor acts, until its [`Work::end`].
#[derive(Debug)]
pub struct Work<'a> {
    store: &'a NoteStore,
    transaction: Transaction,
    actor: &'a Actor,
    telling: Telling,
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
        Ok(self.lock_if_any(id, place).await?.ok_or_else(Problem::not_found)?)
    }

    /// The same; none where there is no such note.
    pub async fn lock_if_any(&mut self, id: &NoteId, place: Place) -> Result<Option<Held>, PostgresError> {
        Ok(self.select(std::slice::from_ref(id), place, true).await?.pop())
    }

    /// Those of these notes that the actor may see, locked in the order of their ids, so that no two who lock several
    /// wait for one another.
    pub async fn lock_all(&mut self, ids: &[NoteId]) -> Result<Vec<Held>, PostgresError> {
        self.select(ids, Place::Desk, true).await
    }

    async fn select(&mut self, ids: &[NoteId], place: Place, lock: bool) -> Result<Vec<Held>, PostgresError> {
        let query = format!(
            "SELECT {columns}, CASE WHEN n.owner_id = $2 THEN 'owner' ELSE s.access END AS access,
                 {required} AS version_required
             FROM notes n LEFT JOIN note_shares s ON s.note_id = n.id AND s.user_id = $2
             WHERE {OWN_TENANT} AND n.id = ANY($1) AND (n.owner_id = $2 OR s.user_id IS NOT NULL) AND n.deleted_at IS {state}
             ORDER BY n.id {lock}",
            columns = row::COLUMNS,
            // A tenant sees no other row than its own.
            required = if lock { "coalesce((SELECT require_if_match FROM settings), false)" } else { "false" },
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
        self.update(std::slice::from_ref(&note), Place::Desk).await?;
        if note.draft.differs_in_text(&held.note.draft) {
            self.add_revisions(&[&note]).await?;
        }
        Ok(Held { note, ..held })
    }

    /// Tells what happened to a note with its present version, and reminds of it later.
    fn tell<D: EventData>(&mut self, kind: fn(NoteChange) -> D, note: &Note) -> Result<(), PostgresError> {
        let change = NoteChange { note_id: note.id.to_string(), owner: note.owner.clone(), version: note.version };
        self.telling.add(kind, change, note.updated_at).map_err(row::unreadable)?;
        self.telling.remind(note);
        Ok(())
    }

    /// Tells of the new version of a note that was at `place` before.
    fn tell_change(&mut self, note: &Note, place: Place) -> Result<(), PostgresError> {
        match place {
            Place::Bin => self.tell(NoteRestored, note),
            Place::Desk if note.deleted_at.is_some() => self.tell(NoteDeleted, note),
            Place::Desk => self.tell(NoteUpdated, note),
        }
    }

    /// Commits if the work was `done`, with what it tells, and undoes it if not.
    pub async fn end<T>(mut self, done: Result<T, PostgresError>) -> Result<T, PostgresError> {
        let entry = self.telling.into_entry().map_err(row::unreadable)?;
        let done = match (done, &entry) {
            (Ok(done), Some(entry)) => {
                let written = outbox::insert(&mut self.transaction, std::slice::from_ref(entry)).await;
                written.map(|()| done)
            }
            (done, _) => done,
        };
        let done = self.transaction.end(done).await?;
        if let (Some(hand_over), Some(entry)) = (&self.store.hand_over, entry) {
            hand_over.defer(self.store.clone(), entry).await;
        }
        Ok(done)
    }
}
