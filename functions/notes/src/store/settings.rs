//! What a tenant has chosen for its notes.

use shared::postgres::PostgresError;
use shared::time::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{Work, row};

/// What holds for all notes of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Whether each change of a note must name the version that it changes.
    pub require_if_match: bool,
    /// 0 before anything is chosen, one more with each change.
    pub version: i64,
    /// When it was last changed.
    pub updated_at: Option<Timestamp>,
    /// By whom: the subject of the principal.
    pub updated_by: Option<String>,
}

fn settings(row: &PgRow) -> Result<Settings, PostgresError> {
    Ok(Settings {
        require_if_match: row.try_get("require_if_match")?,
        version: row.try_get("version")?,
        updated_at: row::optional_time(row, "updated_at")?,
        updated_by: row.try_get("updated_by")?,
    })
}

impl Work<'_> {
    /// The tenant's settings.
    pub async fn settings(&mut self) -> Result<Settings, PostgresError> {
        let query = sqlx::query("SELECT require_if_match, version, updated_at, updated_by FROM settings");
        let found = query.fetch_optional(&mut self.transaction).await?;
        found.as_ref().map_or_else(|| Ok(Settings::default()), settings)
    }

    /// The same, locked until the transaction ends, also where there were none.
    pub async fn lock_settings(&mut self) -> Result<Settings, PostgresError> {
        let query = sqlx::query(
            "INSERT INTO settings AS s (require_if_match, version) VALUES (false, 0)
             ON CONFLICT (tenant) DO UPDATE SET version = s.version
             RETURNING require_if_match, version, updated_at, updated_by",
        );
        settings(&query.fetch_one(&mut self.transaction).await?)
    }

    /// Writes the next version of settings that were locked. Nothing is written when nothing is changed.
    pub async fn change_settings(
        &mut self,
        before: Settings,
        require_if_match: bool,
        now: Timestamp,
    ) -> Result<Settings, PostgresError> {
        if before.require_if_match == require_if_match {
            return Ok(before);
        }
        let query = sqlx::query(
            "UPDATE settings SET require_if_match = $1, version = version + 1, updated_at = $2, updated_by = $3
             RETURNING require_if_match, version, updated_at, updated_by",
        );
        let query = query.bind(require_if_match).bind(now.as_millisecond()).bind(&self.actor.subject);
        settings(&query.fetch_one(&mut self.transaction).await?)
    }
}
