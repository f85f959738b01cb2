//! The names of the servers, and of the parts of a start that are worth a line on the screen.

use std::fmt;

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// The AWS APIs.
    Aws,
    /// `PostgreSQL`.
    Postgres,
    /// Valkey, or Redis where the machine has that.
    Redis,
}

impl Service {
    /// The name of the server's folder, log file and entry in `ports.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS APIs (MiniStack)",
            Self::Postgres => "PostgreSQL",
            Self::Redis => "Valkey",
        })
    }
}

/// A part of the start that is worth a line on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find Python and install the pinned packages.
    Python,
    /// Start one server.
    Service(Service),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python => f.write_str("Python environment"),
            Self::Service(service) => service.fmt(f),
        }
    }
}

/// How far a [`Step`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Under way; the text says with what.
    Working(String),
    /// Finished; the text says with which result.
    Done(String),
    /// Failed; [`Services::start`] is about to return the reason.
    Failed,
}

/// Told of every change of a step's state. Called from several tasks, so it should return at once.
pub type Progress = dyn Fn(Step, State) + Send + Sync;
