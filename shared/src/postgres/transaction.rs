//! A transaction whose statements leave nothing behind on the server's connection.

use std::fmt;

use futures::stream::BoxStream;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Execute, Executor, SqlStr};

use super::error::PostgresError;
use crate::BoxFuture;

type Inner = sqlx::Transaction<'static, sqlx::Postgres>;

/// A transaction. Queries run on `&mut *transaction` or `&mut transaction`, and none is prepared by name: with its
/// cache of statements off, sqlx would still name each one and never close it, which fills the server's memory and
/// collides with others behind a transaction pooler. Dropped without [`Self::commit`] it is undone.
pub struct Transaction(Inner);

impl Transaction {
    pub(super) const fn new(inner: Inner) -> Self {
        Self(inner)
    }

    /// Makes all of it last.
    pub fn commit(self) -> BoxFuture<'static, Result<(), PostgresError>> {
        Box::pin(async move {
            self.0.commit().await.map_err(|error| match PostgresError::from(error) {
                PostgresError::ConnectionLost(error) | PostgresError::Unavailable(error) => {
                    PostgresError::CommitUnknown(error)
                }
                error => error,
            })
        })
    }

    /// Commits if the work was `done`, and undoes it if not. Either way no lock is held when this returns: a Lambda may
    /// be frozen as soon as it has answered.
    pub async fn end<T>(self, done: Result<T, PostgresError>) -> Result<T, PostgresError> {
        match done {
            Ok(done) => {
                self.commit().await?;
                Ok(done)
            }
            Err(error) => {
                // A server that cannot be told undoes it by itself.
                let _ = self.rollback().await;
                Err(error)
            }
        }
    }

    /// Undoes all of it, and waits until that is done.
    pub fn rollback(self) -> BoxFuture<'static, Result<(), PostgresError>> {
        Box::pin(async move { Ok(self.0.rollback().await?) })
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Transaction").finish_non_exhaustive()
    }
}

impl<'c> Executor<'c> for &'c mut Transaction {
    type Database = sqlx::Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        (&mut *self.0).fetch_many(Unnamed(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, sqlx::Postgres>,
    {
        (&mut *self.0).fetch_optional(Unnamed(query))
    }

    /// Prepares by name, as sqlx has no other way: queries need not be prepared by the caller.
    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        (&mut *self.0).prepare_with(sql, parameters)
    }
}

/// A query that is prepared without a name.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, sqlx::Postgres>> Execute<'q, sqlx::Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<sqlx::postgres::PgArguments>, sqlx::error::BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
