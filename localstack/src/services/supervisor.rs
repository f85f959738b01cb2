//! This side of `supervise.py`: the process whose children the servers are.
//!
//! Its standard input is a pipe that only this process holds. However this process ends, the pipe ends with it, and the
//! supervisor stops the servers.

mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use table::{Status, Table};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::Error;
use super::account::Account;
use super::storage::{tail, write_private};

const SCRIPT: &str = include_str!("../../supervise.py");

/// Longer than the longest [`Process::grace`], after which an earlier supervisor on the same data has gone.
const START_LIMIT: Duration = Duration::from_secs(15);
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// A process for the supervisor to run.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) name: &'static str,
    pub(super) argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: PathBuf,
    /// Its output is added to this file.
    pub(super) log: PathBuf,
    /// The signal that asks it to end in order.
    pub(super) stop_signal: &'static str,
    /// How long it may take for that before it is killed.
    pub(super) grace: Duration,
    /// The user it runs as, if not ours.
    pub(super) account: Option<Account>,
}

impl Process {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "argv": self.argv,
            "env": self.env,
            "cwd": self.cwd.to_string_lossy(),
            "log": self.log.to_string_lossy(),
            "stop_signal": self.stop_signal,
            "grace": self.grace.as_secs_f64(),
            "user": self.account.as_ref().map(|account| account.uid),
            "group": self.account.as_ref().map(|account| account.gid),
        })
    }
}

/// The supervisor process.
#[derive(Debug)]
pub(super) struct Supervisor {
    stdin: Mutex<ChildStdin>,
    child: Child,
    pid: u32,
    table: Arc<watch::Sender<Table>>,
}

impl Supervisor {
    /// Starts the supervisor of the stack in `data` and waits until an earlier one on the same data has gone.
    pub(super) async fn start(python: &Path, data: &Path) -> Result<Self, Error> {
        let script = data.join("supervise.py");
        write_private(&script, SCRIPT.as_bytes())?;
        let log = data.join("logs/supervise.log");
        let stderr = std::fs::File::create(&log).map_err(Error::file("cannot write", &log))?;
        let mut child = Command::new(python)
            .args(["-I", "-S"])
            .arg(&script)
            .arg(data.join("supervise.lock"))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| Error::Spawn { name: python.display().to_string(), reason: error.to_string() })?;
        let (Some(stdin), Some(stdout), Some(pid)) = (child.stdin.take(), child.stdout.take(), child.id()) else {
            return Err(Error::SupervisorGone);
        };
        let table = Arc::new(watch::Sender::new(Table::default()));
        tokio::spawn(read_reports(stdout, Arc::clone(&table)));
        let supervisor = Self { stdin: Mutex::new(stdin), child, pid, table };
        let ready = supervisor.wait(|table| table.ready.then_some(()));
        match timeout(START_LIMIT, ready).await {
            Ok(Ok(())) => Ok(supervisor),
            _ => Err(Error::SupervisorSilent { seconds: START_LIMIT.as_secs(), tail: tail(&log), log }),
        }
    }

    pub(super) fn own_pid(&self) -> u32 {
        self.pid
    }

    /// The id of a running process.
    pub(super) fn pid(&self, name: &str) -> Option<u32> {
        match self.table.borrow().processes.get(name) {
            Some(Status::Running { pid, .. }) => Some(*pid),
            _ => None,
        }
    }

    /// Starts a process.
    pub(super) async fn spawn(&self, process: &Process) -> Result<(), Error> {
        let name = process.name;
        if self.pid(name).is_some() {
            return Err(Error::Spawn { name: name.to_owned(), reason: "it is still running".to_owned() });
        }
        self.table.send_modify(|table| {
            table.processes.insert(name.to_owned(), Status::Starting);
        });
        self.send(&json!({ "start": process.to_json() })).await?;
        let started = self.wait(|table| match table.processes.get(name) {
            Some(Status::Starting) | None => None,
            Some(Status::Failed(reason)) => Some(Err(reason.clone())),
            Some(Status::Running { .. } | Status::Exited { .. }) => Some(Ok(())),
        });
        started
            .await?
            .map_err(|reason| Error::Spawn { name: process.argv.first().cloned().unwrap_or_default(), reason })
    }

    /// Waits until a process has ended; its exit code, negative for a signal.
    pub(super) async fn exit(&self, name: &str) -> Result<i32, Error> {
        let ended = self.wait(|table| match table.processes.get(name) {
            Some(Status::Exited { code, .. }) => Some(*code),
            _ => None,
        });
        ended.await
    }

    /// Runs a process to its end; its exit code, negative for a signal.
    pub(super) async fn run(&self, process: &Process) -> Result<i32, Error> {
        self.spawn(process).await?;
        self.exit(process.name).await
    }

    /// Waits until one of the named processes ends that nobody asked to. `None`: the supervisor itself has gone.
    pub(super) async fn unexpected_exit<'a>(
        &self,
        names: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<(&'a str, i32)> {
        let ended = self.wait(|table| {
            names.clone().find_map(|name| match table.processes.get(name) {
                Some(Status::Exited { code, expected: false }) => Some((name, *code)),
                _ => None,
            })
        });
        ended.await.ok()
    }

    pub(super) async fn stop(&self, name: &str) -> Result<(), Error> {
        self.end(name, "stop").await
    }

    pub(super) async fn kill(&self, name: &str) -> Result<(), Error> {
        self.end(name, "kill").await
    }

    async fn end(&self, name: &str, how: &str) -> Result<(), Error> {
        let running = self.table.send_if_modified(|table| match table.processes.get_mut(name) {
            Some(Status::Running { stopping, .. }) => {
                *stopping = true;
                true
            }
            _ => false,
        });
        if running {
            self.send(&json!({ how: name })).await?;
            self.exit(name).await?;
        }
        Ok(())
    }

    /// Has a directory deleted when all is over.
    pub(super) async fn remove_at_end(&self, path: &Path) -> Result<(), Error> {
        self.send(&json!({ "remove": path.to_string_lossy() })).await
    }

    /// Stops every process in order, then the supervisor.
    pub(super) async fn shutdown(mut self) -> Result<(), Error> {
        drop(self.stdin);
        match timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(ended) => ended.map(drop).map_err(Error::system("cannot wait for the supervisor of the servers")),
            Err(_) => Err(Error::StillRunning { seconds: STOP_LIMIT.as_secs(), pid: self.pid }),
        }
    }

    async fn send(&self, command: &Value) -> Result<(), Error> {
        let line = format!("{command}\n");
        self.stdin.lock().await.write_all(line.as_bytes()).await.map_err(|_| Error::SupervisorGone)
    }

    /// Waits until `found` finds something.
    async fn wait<T>(&self, mut found: impl FnMut(&Table) -> Option<T>) -> Result<T, Error> {
        let mut table = self.table.subscribe();
        let mut result = None;
        let wanted = |table: &Table| {
            result = found(table);
            result.is_some() || table.gone
        };
        // The sender lives as long as this object: the wait cannot fail.
        let _ = table.wait_for(wanted).await;
        result.ok_or(Error::SupervisorGone)
    }
}

/// Keeps the table up to date until the supervisor has gone.
async fn read_reports(stdout: ChildStdout, table: Arc<watch::Sender<Table>>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(report) => table.send_modify(|table| table.note(report)),
            Err(error) => {
                tracing::warn!(%line, %error, "the supervisor of the servers wrote something unknown");
            }
        }
    }
    table.send_modify(|table| table.gone = true);
}
