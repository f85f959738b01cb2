//! The servers that the local stack carries inside itself: the AWS APIs by `MiniStack`, `PostgreSQL`, and Valkey.
//!
//! `Services::start` brings them up in parallel on loopback, each on a free port, and hands back their addresses. All
//! of them are children of one small supervisor process that stops them when this process is gone, however it went
//! (`supervise.py`). A server whose address is given in [`Options`] is not started: that address is used as it stands.

mod account;
mod aws;
mod error;
mod launch;
mod ports;
mod postgres;
mod python;
mod server;
mod step;
mod storage;
mod supervisor;
#[cfg(test)]
mod tests;
mod valkey;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use error::Error;
use launch::Context;
use ports::Ports;
use server::Server;
pub use step::{Progress, Service, State, Step};
pub(crate) use storage::{Opened, open};
pub use storage::{Storage, remove};
use supervisor::Supervisor;
use tokio::sync::OnceCell;

/// A server that ends twice within this time is not started again.
const STEADY: Duration = Duration::from_mins(1);

/// What to start, and where its data is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the servers keep their data.
    pub storage: Storage,
    /// The Python virtual environment with `MiniStack` and Valkey. Made when it is missing or out of date; stacks may share
    /// it.
    pub venv: PathBuf,
    /// Whether `MiniStack` evaluates the policies of its callers.
    pub policies: bool,
    /// Use these AWS APIs instead of starting `MiniStack`.
    pub aws_endpoint: Option<String>,
    /// Use this database instead of starting `PostgreSQL`.
    pub database_url: Option<String>,
    /// Use this Redis or Valkey instead of starting one.
    pub redis_url: Option<String>,
}

/// The running servers. Dropping this stops them without waiting; [`Services::shutdown`] waits.
#[derive(Debug)]
pub struct Services {
    /// Where the AWS APIs are: `http://127.0.0.1:PORT`.
    pub aws_endpoint: String,
    /// The database `tenfold` and its superuser: `postgres://tenfold:PASSWORD@127.0.0.1:PORT/tenfold`.
    pub database_url: String,
    /// The cache: `redis://:PASSWORD@127.0.0.1:PORT`.
    pub redis_url: String,
    policies: bool,
    servers: Vec<Server>,
    supervisor: Supervisor,
    data: PathBuf,
    /// Held as long as this stack lives.
    _lock: Option<std::fs::File>,
}

impl Services {
    /// Starts what `options` does not name an address for, on the opened storage, and returns when all of it answers.
    ///
    /// A first start installs the Python packages (about ten seconds and 90 MB) and makes a database cluster; a later one
    /// takes about a second.
    ///
    /// # Errors
    /// Each names what to do about it. Whatever had been started by then is stopped again.
    pub(crate) async fn start(options: Options, opened: Opened, progress: &Progress) -> Result<Self, Error> {
        // Boxed: this future is large, and every caller's would be.
        Box::pin(Self::bring_up(options, opened, progress)).await
    }

    async fn bring_up(options: Options, opened: Opened, progress: &Progress) -> Result<Self, Error> {
        let data = opened.data.clone();
        storage::start_afresh(&data.join("logs"))?;
        let python = python::find(&options.venv).await?;
        let supervisor = Supervisor::start(&python, &data).await?;
        let lock = opened.hand_over(&supervisor).await?;

        let ports = Ports::load(data.join("ports.json"));
        let context = Context {
            options: &options,
            data: &data,
            ephemeral: options.storage == Storage::Ephemeral,
            supervisor: &supervisor,
            ports: &ports,
            python: &python,
            environment: OnceCell::new(),
            progress,
        };
        let (aws, postgres, redis) = tokio::try_join!(context.aws(), context.postgres(), context.redis())?;
        ports.save()?;
        Ok(Self {
            aws_endpoint: aws.url,
            database_url: postgres.url,
            redis_url: redis.url,
            policies: options.policies && options.aws_endpoint.is_none(),
            servers: [aws.server, postgres.server, redis.server].into_iter().flatten().collect(),
            supervisor,
            data,
            _lock: lock,
        })
    }

    /// Whether the AWS APIs evaluate the policies of their callers.
    pub fn holds_to_policies(&self) -> bool {
        self.policies
    }

    /// Where this stack's data is. For an ephemeral stack a fresh directory, deleted when the stack is over.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The process id of a server, if this stack runs it.
    pub fn pid(&self, service: Service) -> Option<u32> {
        self.supervisor.pid(service.name())
    }

    /// The process id of the supervisor, which is the last process of a stack to go.
    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor.own_pid()
    }

    /// Stops one server in order. Nothing happens when it is not running.
    ///
    /// # Errors
    /// When the supervisor has gone.
    pub async fn stop(&self, service: Service) -> Result<(), Error> {
        self.supervisor.stop(service.name()).await
    }

    /// Kills one server as a crash would. Nothing happens when it is not running.
    ///
    /// # Errors
    /// When the supervisor has gone.
    pub async fn kill(&self, service: Service) -> Result<(), Error> {
        self.supervisor.kill(service.name()).await
    }

    /// Starts a stopped server again, on the same port and data, and returns when it answers.
    ///
    /// # Errors
    /// When this stack does not run that server, when it still runs, or when it does not come up.
    pub async fn start_again(&self, service: Service) -> Result<(), Error> {
        let server = self.servers.iter().find(|server| server.service == service).ok_or(Error::NotOurs(service))?;
        server.start(&self.supervisor).await
    }

    /// Waits until a server ends that nobody asked to, and says which, with the end of its log. Never returns while all is
    /// well.
    pub async fn crashed(&self) -> Error {
        let watched = self.servers.iter().map(|server| server.process.name);
        let ended = self.supervisor.unexpected_exit(watched).await;
        match ended.and_then(|(name, code)| Some((self.servers.iter().find(|s| s.process.name == name)?, code))) {
            Some((server, code)) => server.ended(code),
            None => Error::SupervisorGone,
        }
    }

    /// Starts each server again that ends although nobody asked it to, on the same port and data, and tells `note`. Returns
    /// why that is no use: it does not start, or has ended twice within [`STEADY`].
    pub async fn keep_up(&self, note: impl Fn(&Error)) -> Error {
        let mut last: BTreeMap<Service, Instant> = BTreeMap::new();
        loop {
            let error = self.crashed().await;
            let Error::Ended { service, .. } = error else { return error };
            let before = last.insert(service, Instant::now());
            if before.is_some_and(|before| before.elapsed() < STEADY) {
                return error;
            }
            note(&error);
            if let Err(error) = self.start_again(service).await {
                return error;
            }
        }
    }

    /// Stops all servers in order and returns when they have gone.
    ///
    /// # Errors
    /// When they have not gone within the time that orderly ends and kills take together.
    pub async fn shutdown(self) -> Result<(), Error> {
        self.supervisor.shutdown().await
    }
}
