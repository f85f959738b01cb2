//! Why work with Postgres did not succeed, and what the caller is told.

use sqlx::error::DatabaseError;

use crate::http::Problem;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server cannot be reached, is starting or stopping, has no connection or memory left, or took too long.
    #[error("Postgres is not available")]
    Unavailable(#[source] sqlx::Error),
    /// The connection was lost before a commit was sent; nothing was done.
    #[error("the connection to Postgres was lost")]
    ConnectionLost(#[source] sqlx::Error),
    /// Another transaction was in the way: a serialization failure, a deadlock, or a lock that was not free in time.
    #[error("the transaction collided with another")]
    Contended(#[source] sqlx::Error),
    /// The connection was lost in a commit: it may or may not have taken place.
    #[error("the connection to Postgres was lost in a commit")]
    CommitUnknown(#[source] sqlx::Error),
    /// A constraint does not hold; its name tells which.
    #[error("the constraint {constraint} does not hold")]
    Violation {
        /// The constraint's name; empty when the server does not give one.
        constraint: String,
        /// The server's error.
        source: sqlx::Error,
    },
    /// A statement that cannot succeed: a fault in the code, the schema or the permissions.
    #[error("Postgres refused the statement")]
    Failed(#[source] sqlx::Error),
    /// The work itself refused, and the transaction was undone.
    #[error("the work was refused")]
    Refused(#[source] Box<Problem>),
    /// The address is not one. The error does not show it.
    #[error("the database's URL is not valid")]
    InvalidUrl(#[source] sqlx::Error),
    /// The caller's mistake.
    #[error("the settings of Postgres are not valid: {0}")]
    InvalidSettings(&'static str),
}

impl PostgresError {
    /// Whether doing the whole transaction again may help and can do no harm.
    pub(super) const fn may_be_repeated(&self) -> bool {
        matches!(self, Self::ConnectionLost(_) | Self::Contended(_))
    }
}

impl From<sqlx::Error> for PostgresError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Self::ConnectionLost(error),
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => Self::Unavailable(error),
            sqlx::Error::Database(refusal) => match meaning(&**refusal) {
                Meaning::Contended => Self::Contended(error),
                Meaning::Lost => Self::ConnectionLost(error),
                Meaning::Unavailable => Self::Unavailable(error),
                Meaning::Violation(constraint) => Self::Violation { constraint, source: error },
                Meaning::Failed => Self::Failed(error),
            },
            _ => Self::Failed(error),
        }
    }
}

impl From<Problem> for PostgresError {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl From<PostgresError> for Problem {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Unavailable(_)
            | PostgresError::ConnectionLost(_)
            | PostgresError::Contended(_)
            | PostgresError::CommitUnknown(_) => Self::unavailable(error),
            PostgresError::Refused(problem) => *problem,
            _ => Self::internal(error),
        }
    }
}

/// Whether a lock was not free in time.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

/// `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

enum Meaning {
    Contended,
    Lost,
    Unavailable,
    Violation(String),
    Failed,
}

/// What an error code says (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn meaning(error: &dyn DatabaseError) -> Meaning {
    let code = error.code().unwrap_or_default();
    match &*code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" | LOCK_NOT_AVAILABLE => Meaning::Contended,
        // idle_in_transaction_session_timeout; admin_shutdown, crash_shutdown, idle_session_timeout
        "25P03" | "57P01" | "57P02" | "57P05" => Meaning::Lost,
        // cannot_connect_now; query_canceled, by the statement's time-out; read_only_sql_transaction, while a standby
        // takes over
        "57P03" | "57014" | "25006" => Meaning::Unavailable,
        // connection exceptions, as poolers use them too
        _ if code.starts_with("08") => Meaning::Lost,
        // insufficient resources: too_many_connections, out_of_memory, disk_full
        _ if code.starts_with("53") => Meaning::Unavailable,
        // integrity constraint violations
        _ if code.starts_with("23") => Meaning::Violation(error.constraint().unwrap_or_default().to_owned()),
        _ => Meaning::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ProblemType;

    #[test]
    fn what_passes_is_503_and_what_does_not_is_500() {
        let kind = |error: sqlx::Error| Problem::from(PostgresError::from(error)).kind();
        assert_eq!(kind(sqlx::Error::PoolTimedOut), ProblemType::Unavailable);
        assert_eq!(kind(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())), ProblemType::Unavailable);
        assert_eq!(kind(sqlx::Error::RowNotFound), ProblemType::Internal);
    }

    #[test]
    fn a_refusal_of_the_work_is_the_answer() {
        let refused = PostgresError::from(Problem::not_found());
        assert!(!refused.may_be_repeated());
        assert_eq!(Problem::from(refused).kind(), ProblemType::NotFound);
    }

    #[test]
    fn a_commit_of_unknown_outcome_is_never_repeated() {
        let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(PostgresError::ConnectionLost(lost()).may_be_repeated());
        assert!(!PostgresError::CommitUnknown(lost()).may_be_repeated());
    }
}
