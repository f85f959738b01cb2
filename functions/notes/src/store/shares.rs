//! With whom notes are shared.

use shared::http::{Problem, ProblemType};
use shared::postgres::PostgresError;
use shared::time::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{Held, Place, Work, row};
use crate::note::{Access, NoteId, UserId};

/// The most users with whom a note is shared.
pub const MOST_SHARES: i64 = 100;

/// That a note is shared with a user.
#[derive(Clone, Debug)]
pub struct Share {
    /// With whom.
    pub user: String,
    /// What they may do: read or write.
    pub access: Access,
    /// Their address.
    pub email: Option<String>,
    /// What they are called.
    pub name: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

pub(super) fn share(row: &PgRow) -> Result<Share, PostgresError> {
    Ok(Share {
        user: row.try_get("user_id")?,
        access: row::access(row)?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        created_at: row::time(row, "created_at")?,
        updated_at: row::time(row, "updated_at")?,
    })
}

pub(super) const COLUMNS: &str = "s.user_id, s.access, s.created_at, s.updated_at, u.email, u.name";

impl Work<'_> {
    /// The shares of a note, which its owner alone sees.
    pub async fn shares(&mut self, id: &NoteId) -> Result<Vec<Share>, PostgresError> {
        self.note(id).await?.check(Access::Owner)?;
        let query = format!(
            "SELECT {COLUMNS} FROM note_shares s JOIN users u ON u.id = s.user_id WHERE s.note_id = $1 ORDER BY s.user_id"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string());
        query.fetch_all(&mut self.transaction).await?.iter().map(share).collect()
    }

    /// One share, which the note's owner sees, and the user whom it is for.
    pub async fn share(&mut self, id: &NoteId, user: &UserId) -> Result<Share, PostgresError> {
        let held = self.note(id).await?;
        self.check_concerned(held.access, user)?;
        self.find_share(id, user).await?.ok_or_else(|| Problem::not_found().into())
    }

    /// A share of a note of the actor's, if there is one. The note is locked until the transaction ends, and its shares by
    /// that.
    pub async fn lock_share(&mut self, id: &NoteId, user: &UserId) -> Result<Option<Share>, PostgresError> {
        self.lock(id, Place::Desk).await?.check(Access::Owner)?;
        self.find_share(id, user).await
    }

    /// Shares a note of the actor's with a user of the tenant, or changes how; whether it is new.
    pub async fn put_share(
        &mut self,
        id: &NoteId,
        user: &UserId,
        access: Access,
        now: Timestamp,
    ) -> Result<(Share, bool), PostgresError> {
        let held = self.lock(id, Place::Desk).await?;
        held.check(Access::Owner)?;
        if held.note.owner == user.to_string() {
            return Err(Problem::new(ProblemType::Conflict, "the note is theirs already").into());
        }
        let known = "SELECT EXISTS (SELECT FROM users WHERE id = $2) AS known,
             (SELECT count(*) FROM note_shares WHERE note_id = $1 AND user_id <> $2) AS others";
        let known =
            sqlx::query(known).bind(id.to_string()).bind(user.to_string()).fetch_one(self.transaction()).await?;
        if !known.try_get::<bool, _>("known")? {
            return Err(Problem::not_found().into());
        }
        if known.try_get::<i64, _>("others")? >= MOST_SHARES {
            let detail = format!("a note is shared with at most {MOST_SHARES} users");
            return Err(Problem::new(ProblemType::Conflict, detail).into());
        }
        let query = format!(
            "WITH s AS (
                 INSERT INTO note_shares AS s (note_id, user_id, access, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
                 ON CONFLICT (tenant, note_id, user_id) DO UPDATE SET access = excluded.access, updated_at = CASE
                     WHEN s.access = excluded.access THEN s.updated_at ELSE greatest(excluded.updated_at, s.updated_at + 1)
                 END RETURNING *, xmax = 0 AS is_new
             ) SELECT {COLUMNS}, s.is_new FROM s JOIN users u ON u.id = s.user_id"
        );
        let access = if access == Access::Write { "write" } else { "read" };
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string()).bind(user.to_string());
        let row = query.bind(access).bind(now.as_millisecond()).fetch_one(&mut self.transaction).await;
        let row = row.map_err(|error| match error.into() {
            // They were removed meanwhile.
            PostgresError::Violation { constraint, .. } if constraint == "note_shares_user" => {
                Problem::not_found().into()
            }
            error => error,
        })?;
        Ok((share(&row)?, row.try_get("is_new")?))
    }

    /// Takes a share away: its note's owner does, or the user whom it is for. `check` may refuse the share as it is.
    pub async fn delete_share(
        &mut self,
        id: &NoteId,
        user: &UserId,
        check: impl Fn(&Held, &Share) -> Result<(), Problem>,
    ) -> Result<(), PostgresError> {
        let held = self.lock(id, Place::Desk).await?;
        self.check_concerned(held.access, user)?;
        check(&held, &self.find_share(id, user).await?.ok_or_else(Problem::not_found)?)?;
        let query = sqlx::query("DELETE FROM note_shares WHERE note_id = $1 AND user_id = $2");
        query.bind(id.to_string()).bind(user.to_string()).execute(&mut self.transaction).await?;
        Ok(())
    }

    async fn find_share(&mut self, id: &NoteId, user: &UserId) -> Result<Option<Share>, PostgresError> {
        let query = format!(
            "SELECT {COLUMNS} FROM note_shares s JOIN users u ON u.id = s.user_id WHERE s.note_id = $1 AND s.user_id = $2"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string()).bind(user.to_string());
        query.fetch_optional(&mut self.transaction).await?.as_ref().map(share).transpose()
    }

    fn check_concerned(&self, access: Access, user: &UserId) -> Result<(), Problem> {
        if access == Access::Owner || self.actor.id == user.to_string() {
            Ok(())
        } else {
            Err(super::refused(Access::Owner))
        }
    }
}
