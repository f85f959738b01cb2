//! The local stack's own login to the database.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::super::Error;

/// The superuser and the database.
pub(in super::super) const NAME: &str = "tenfold";

/// No such database: class 3D of the SQLSTATE codes.
const INVALID_CATALOG_NAME: &str = "3D000";
/// Starting up, shutting down or recovering.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// A login on one server.
#[derive(Clone, Debug)]
pub(in super::super) struct Login {
    pub(super) port: u16,
    pub(super) password: String,
}

impl Login {
    /// The address for clients.
    pub(super) fn url(&self) -> String {
        format!("postgres://{NAME}:{}@127.0.0.1:{}/{NAME}", self.password, self.port)
    }

    /// Whether the server accepts this login to the database, which is made when it is missing.
    ///
    /// # Errors
    /// When the server refuses for good.
    pub(in super::super) async fn ready(&self) -> Result<bool, Error> {
        match self.connect(NAME).await {
            Ok(connection) => {
                // Told or not, the server notices.
                let _ = connection.close().await;
                Ok(true)
            }
            Err(sqlx::Error::Database(refusal)) => match refusal.code().as_deref() {
                Some(INVALID_CATALOG_NAME) => self.create_database().await.map(|()| true).map_err(Error::Database),
                Some(CANNOT_CONNECT_NOW) => Ok(false),
                _ => Err(Error::Database(sqlx::Error::Database(refusal))),
            },
            Err(_) => Ok(false),
        }
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(NAME)
            .password(&self.password)
            .database(database)
            .ssl_mode(PgSslMode::Disable);
        options.connect().await
    }

    async fn create_database(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.connect("postgres").await?;
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {NAME}"))).await?;
        connection.close().await
    }
}
