//! Postgres for a Lambda: lazily connected, bounded in time, safe behind a transaction pooler, one tenant for each
//! transaction.
//!
//! All work happens in a [`Transaction`] that names its tenant ([`Postgres::tenant_transaction`]) and is ended whatever
//! came of the work ([`Transaction::end`]); [`Postgres::repeated`] does it again where others were in its way. The
//! transaction takes the role [`APP_ROLE`], which owns nothing and cannot bypass row-level security, and sets
//! `tenfold.tenant`, which the policies read through `tenfold.current_tenant()`. Without a tenant a policy matches no row.
//!
//! # The connection
//! An instance has one connection (more where [`Settings::max_connections`] says so). It is made by the first call
//! within [`CONNECT_TIMEOUT`]. One that has been idle, as after a Lambda's freeze, is tried before it is used, and one
//! that turns out to be dead when a transaction begins is replaced.
//!
//! # Behind a transaction pooler
//! (`PgBouncer`'s `pool_mode = transaction`, RDS Proxy.) Each transaction may run on another server connection, so
//! nothing is left on one: settings are made with `SET LOCAL`, no statement is prepared by name ([`Transaction`] sees
//! to that), and the start-up packet has no parameter that a pooler refuses. Columns of enumerated or composite types
//! are to be avoided: sqlx looks their definitions up with named statements; `text` with a `CHECK` serves as well.
//! Migrations need a direct connection: see [`Migrations`].
//!
//! # TLS
//! The URL's `sslmode` says what is checked. `disable` is for loopback; without `sslmode`, or with `allow` or `prefer`,
//! a server elsewhere must offer TLS, as with `require`. `verify-full` checks the certificate against the public roots
//! (which RDS Proxy's chain to) and those in the file that `sslrootcert` names (RDS instances have a certificate
//! authority of their own, whose bundle is deployed with the function).

mod error;
pub mod idempotency;
mod migrations;
mod transaction;

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

use crate::BoxFuture;
use crate::config::Secret;
use crate::id::TenantId;
use crate::random::Random;

pub use error::PostgresError;
pub use migrations::{MigrationError, Migrations};
pub use transaction::Transaction;

/// The role under which tenants' rows are read and written.
pub const APP_ROLE: &str = "tenfold_app";

/// The longest pause before a transaction's second attempt; it doubles for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// How long a call waits for a connection, with all attempts to make one.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the beginning of a transaction may take, with the wait for a connection.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(3);

/// How often [`Postgres::repeated`] does its work at most.
pub const ATTEMPTS: u32 = 3;

/// A connection that was idle for longer is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long that trial may take.
const TRIAL_TIMEOUT: Duration = Duration::from_millis(500);

/// What a service may choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The function's name, which the server shows in `pg_stat_activity`.
    pub application_name: String,
    /// The service's schema: where unqualified names are looked up, before `public`. `a-z 0-9 _`, up to 63.
    pub schema: &'static str,
    /// Connections of one instance: one is enough where it handles one request at a time.
    pub max_connections: u32,
    /// The longest a statement may run.
    pub statement_timeout: Duration,
    /// The longest a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// The longest a transaction may stand still, as when its Lambda was frozen, before the server ends it.
    pub idle_in_transaction_timeout: Duration,
}

impl Settings {
    /// One connection; 5 seconds for a statement, 2 for a lock, 10 for a transaction that stands still.
    pub fn new(application_name: impl Into<String>, schema: &'static str) -> Self {
        Self {
            application_name: application_name.into(),
            schema,
            max_connections: 1,
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            idle_in_transaction_timeout: Duration::from_secs(10),
        }
    }

    /// The statements that begin a transaction, in one message to the server. They take no parameters, as that costs
    /// a second round trip: the schema was checked, and a tenant's id is of `a-z 0-9 _` by its type.
    fn preamble(&self, tenant: &TenantId) -> String {
        format!(
            "SET LOCAL ROLE {APP_ROLE}; \
             SET LOCAL tenfold.tenant = '{tenant}'; \
             SET LOCAL search_path = {}, public; \
             SET LOCAL statement_timeout = {}; \
             SET LOCAL lock_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}",
            self.schema,
            self.statement_timeout.as_millis(),
            self.lock_timeout.as_millis(),
            self.idle_in_transaction_timeout.as_millis(),
        )
    }
}

/// A database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Postgres {
    pool: PgPool,
    settings: Settings,
    random: Random,
}

impl Postgres {
    /// The database at `url` (`postgres://user:password@host[:port]/database[?sslmode=…]`). Nothing is connected yet.
    pub fn new(url: &Secret, settings: Settings, random: Random) -> Result<Self, PostgresError> {
        if !is_identifier(settings.schema) {
            return Err(PostgresError::InvalidSettings("the schema is not 1 to 63 of a-z 0-9 _"));
        }
        let options = connect_options(url, &settings.application_name)?;
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(CONNECT_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, state| {
                Box::pin(async move {
                    if state.idle_for <= TRUSTED_IDLE {
                        return Ok(true);
                    }
                    // An error closes the connection without a farewell, which nobody would receive.
                    tokio::time::timeout(TRIAL_TIMEOUT, connection.ping())
                        .await
                        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
                        .map(|()| true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, settings, random })
    }

    /// Asks the server for an answer, connecting if need be.
    pub fn ping(&self) -> BoxFuture<'_, Result<(), PostgresError>> {
        Box::pin(async move {
            // A simple query: it prepares nothing, so a pooler may send it anywhere.
            sqlx::raw_sql("SELECT 1").execute(&self.pool).await?;
            Ok(())
        })
    }

    /// Begins a transaction that sees and writes the rows of `tenant` alone. It is undone unless it is committed.
    pub fn tenant_transaction<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<Transaction, PostgresError>> {
        Box::pin(async move {
            // Nothing has been done yet, so a connection that was dead already is replaced without a word.
            let mut dead = 0;
            loop {
                match self.begin(tenant).await {
                    Err(PostgresError::ConnectionLost(_)) if dead < self.settings.max_connections => dead += 1,
                    outcome => return outcome,
                }
            }
        })
    }

    async fn begin(&self, tenant: &TenantId) -> Result<Transaction, PostgresError> {
        let begun = async {
            let mut transaction = self.pool.begin().await?;
            let preamble = self.settings.preamble(tenant);
            sqlx::raw_sql(sqlx::AssertSqlSafe(preamble)).execute(&mut *transaction).await?;
            Ok(Transaction::new(transaction))
        };
        // A server that hangs ends no statement by itself.
        let silent = |_| PostgresError::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
        tokio::time::timeout(BEGIN_TIMEOUT, begun).await.map_err(silent)?
    }

    /// Does `once`, which begins a transaction and ends it ([`Transaction::end`]), and does all of it again after a
    /// serialization failure, a deadlock, a lock time-out or a lost connection: [`ATTEMPTS`] times in all, with a random
    /// pause of up to 50 and then 200 ms. So `once` has no effects outside of the transaction.
    ///
    /// When the connection is lost in the commit itself nobody knows whether it took place: that is
    /// [`PostgresError::CommitUnknown`] and not tried again.
    pub async fn repeated<T, F>(&self, mut once: impl FnMut() -> F) -> Result<T, PostgresError>
    where
        F: Future<Output = Result<T, PostgresError>>,
    {
        let mut attempt = 1;
        loop {
            let error = match once().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !error.may_be_repeated() {
                return Err(error);
            }
            tracing::warn!(attempt, error = crate::telemetry::chain(&error), "a transaction is tried again");
            tokio::time::sleep(self.random.pause(FIRST_PAUSE, attempt)).await;
            attempt += 1;
        }
    }
}

fn is_identifier(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// How to connect, without anything that a pooler refuses or would leave behind.
fn connect_options(url: &Secret, application_name: &str) -> Result<PgConnectOptions, PostgresError> {
    let options = PgConnectOptions::from_str(url.expose()).map_err(PostgresError::InvalidUrl)?;
    let here = options.get_socket().is_some()
        || options.get_host().starts_with('/')
        || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1" | "[::1]");
    let options = match options.get_ssl_mode() {
        // Whoever is in between could say that the server has no TLS.
        PgSslMode::Allow | PgSslMode::Prefer if !here => options.ssl_mode(PgSslMode::Require),
        _ => options,
    };
    Ok(options.application_name(application_name).statement_cache_capacity(0).extra_float_digits(None))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::time::Timestamp;

    fn mode_of(url: &str) -> PgSslMode {
        connect_options(&Secret::new(url), "test").unwrap().get_ssl_mode()
    }

    #[test]
    fn a_server_elsewhere_must_offer_tls_unless_the_url_says_otherwise() {
        assert!(matches!(mode_of("postgres://a:b@db.example.com/tenfold"), PgSslMode::Require));
        assert!(matches!(mode_of("postgres://a:b@db.example.com/tenfold?sslmode=prefer"), PgSslMode::Require));
        assert!(matches!(mode_of("postgres://a:b@db.example.com/tenfold?sslmode=verify-full"), PgSslMode::VerifyFull));
        assert!(matches!(mode_of("postgres://a:b@db.example.com/tenfold?sslmode=disable"), PgSslMode::Disable));
        assert!(matches!(mode_of("postgres://a:b@127.0.0.1:5433/tenfold"), PgSslMode::Prefer));
    }

    #[test]
    fn the_preamble_names_role_tenant_schema_and_every_timeout() {
        let tenant = TenantId::new(Timestamp::UNIX_EPOCH, &Random::seeded(1));
        let preamble = Settings::new("notes.api", "notes").preamble(&tenant);
        assert_eq!(
            preamble,
            format!(
                "SET LOCAL ROLE tenfold_app; SET LOCAL tenfold.tenant = '{tenant}'; \
                 SET LOCAL search_path = notes, public; SET LOCAL statement_timeout = 5000; \
                 SET LOCAL lock_timeout = 2000; SET LOCAL idle_in_transaction_session_timeout = 10000"
            )
        );
    }

    #[tokio::test]
    async fn a_bad_url_or_schema_is_refused_without_showing_the_url() {
        let refused = |url: &str, schema| {
            Postgres::new(&Secret::new(url), Settings::new("test", schema), Random::seeded(1)).unwrap_err()
        };
        let error = refused("postgres://user:hunter2@host:port/db", "notes");
        assert!(matches!(error, PostgresError::InvalidUrl(_)));
        assert!(!format!("{error:?} {}", crate::telemetry::chain(&error)).contains("hunter2"));
        for schema in ["", "Notes", "a;b", "1a"] {
            assert!(matches!(refused("postgres://localhost/db", schema), PostgresError::InvalidSettings(_)));
        }
    }

    #[test]
    fn a_pause_is_random_and_bounded() {
        let random = Random::seeded(1);
        let pauses: Vec<_> = (0..50).map(|_| random.pause(FIRST_PAUSE, 2)).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(100)));
        assert!(pauses.iter().any(|pause| *pause > Duration::from_millis(50)));
    }
}
