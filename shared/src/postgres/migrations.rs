//! Migrations: each service has its own scripts, its own schema, and its own record of what was applied.
//!
//! They go forward only. A script that was applied must never change: its checksum is kept and compared. A deployment
//! applies them before the new code runs, so old code runs against the new schema for a while: what it still reads is
//! removed by a later release (expand, then contract).

use sqlx::migrate::{Migrate as _, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, PgConnection, SqlSafeStr as _};

use super::error::PostgresError;
use super::{connect_options, is_identifier};
use crate::BoxFuture;
use crate::config::Secret;

/// How long a script's statement waits for a lock. While it waits, those who come after it wait too.
const LOCK_TIMEOUT_MS: u32 = 10_000;

/// The migrations of one service.
///
/// The service owns the schema of its name, and the record is the table `migrations` in it. A script runs in one
/// transaction with its record, and names without a schema are in the service's. It grants [`super::APP_ROLE`] what
/// the service needs, table by table, and gives each table of tenants' rows `FORCE ROW LEVEL SECURITY` and a policy on
/// `tenfold.current_tenant()`.
#[derive(Clone, Copy, Debug)]
pub struct Migrations {
    /// The service: `a-z 0-9 _`, up to 63.
    pub service: &'static str,
    /// The scripts: the file's name, `0001_roles.sql`, and its text (`include_str!`).
    pub scripts: &'static [(&'static str, &'static str)],
}

/// Why migrations were not applied. Those before the one that failed are.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A script's name has no number, or the service's name is no identifier.
    #[error("{0:?} is not named like 0001_roles.sql, or its service is not of a-z 0-9 _")]
    Name(&'static str),
    /// The database is away or refuses.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A script failed, or one that was applied has changed or is missing.
    #[error("the migrations of {service} were not applied")]
    Migrate {
        /// The service.
        service: &'static str,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
}

impl Migrations {
    /// Applies what has not been applied yet, and answers how many that were. Two who do it at once do it one after
    /// the other.
    ///
    /// `url` must lead to the server itself and not to a transaction pooler, where the lock that holds off the other
    /// would stay behind on a connection of anybody's. Its user owns what is made, so it is another one than the
    /// functions' and may create roles and schemas (an RDS master user may).
    pub fn apply(self, url: &Secret) -> BoxFuture<'_, Result<usize, MigrationError>> {
        Box::pin(async move {
            let migrator = self.migrator()?;
            let mut connection = self.connect(url).await?;
            let failed = |source| MigrationError::Migrate { service: self.service, source };
            // The migrator takes this lock too; taken here already, what is counted is what was applied here. It ends
            // with the connection.
            connection.lock().await.map_err(failed)?;
            let before = self.applied(&mut connection).await?;
            migrator.run_direct(None, &mut connection, false).await.map_err(failed)?;
            let after = self.applied(&mut connection).await?;
            // What goes wrong in a farewell has no consequence.
            let _ = connection.close().await;
            Ok(after.saturating_sub(before))
        })
    }

    /// How many scripts there are.
    pub const fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    fn migrator(&self) -> Result<Migrator, MigrationError> {
        if !is_identifier(self.service) {
            return Err(MigrationError::Name(self.service));
        }
        let migrations = self.scripts.iter().map(|(name, text)| parse(name, text)).collect::<Result<Vec<_>, _>>()?;
        let mut migrator = Migrator::with_migrations(migrations);
        migrator.create_schema(self.service);
        migrator.dangerous_set_table_name(self.table());
        Ok(migrator)
    }

    fn table(&self) -> String {
        format!("{}.migrations", self.service)
    }

    async fn connect(&self, url: &Secret) -> Result<PgConnection, PostgresError> {
        let options = connect_options(url, &format!("migrations of {}", self.service))?;
        let connecting = PgConnection::connect_with(&options);
        let mut connection = tokio::time::timeout(super::CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| PostgresError::Unavailable(sqlx::Error::PoolTimedOut))?
            .map_err(|error| match PostgresError::from(error) {
                PostgresError::ConnectionLost(error) => PostgresError::Unavailable(error),
                error => error,
            })?;
        // For the whole session: this connection is ours alone and ends with the work.
        let settings = format!("SET search_path = {}, public; SET lock_timeout = {LOCK_TIMEOUT_MS}", self.service);
        sqlx::raw_sql(sqlx::AssertSqlSafe(settings)).execute(&mut connection).await?;
        Ok(connection)
    }

    async fn applied(&self, connection: &mut PgConnection) -> Result<usize, PostgresError> {
        let known: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(self.table())
            .fetch_one(&mut *connection)
            .await?;
        if !known {
            return Ok(0);
        }
        let count = format!("SELECT count(*) FROM {} WHERE success", self.table());
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(connection).await?;
        Ok(usize::try_from(count).unwrap_or(0))
    }
}

/// A script by its file's name: the number, an underscore, what it does.
fn parse(name: &'static str, text: &'static str) -> Result<Migration, MigrationError> {
    let parts = name.strip_suffix(".sql").and_then(|stem| stem.split_once('_'));
    let (number, description) = parts.ok_or(MigrationError::Name(name))?;
    let version = number.parse().map_err(|_| MigrationError::Name(name))?;
    let description = description.replace('_', " ").into();
    Ok(Migration::new(version, description, MigrationType::Simple, text.into_sql_str(), false))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_scripts_name_is_its_number_and_what_it_does() {
        let migration = parse("0012_add_tags.sql", "SELECT 1").unwrap();
        assert_eq!((migration.version, &*migration.description), (12, "add tags"));
        for name in ["add_tags.sql", "0012.sql", "0012_add_tags", "_x.sql"] {
            assert!(matches!(parse(name, ""), Err(MigrationError::Name(_))), "{name}");
        }
    }

    #[test]
    fn a_changed_script_has_another_checksum() {
        let checksum = |text| parse("0001_a.sql", text).unwrap().checksum;
        assert_ne!(checksum("SELECT 1"), checksum("SELECT 2"));
    }
}
