//! A whole Tenfold on this machine: the servers, the resources, the functions, and what invokes them.

mod assembly;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use shared::config::Environment;
use tokio::net::TcpListener;

use crate::dev::{self, DevFile};
use crate::instances::Functions;
use crate::schedules::TickError;
use crate::services::{self, Services, State, Storage};
use crate::template::{Template, workspace_root};
use crate::terminal;
use assembly::Assembly;

/// How many ports after a taken one are tried to name a free one.
const PORTS_TRIED: u16 = 100;

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it runs.
    pub functions: Functions,
    /// The port on 127.0.0.1; 0 is any free one.
    pub port: u16,
    /// The servers, and where their data is.
    pub services: services::Options,
}

impl Options {
    /// A throw-away stack on any free port, for tests: its functions are held to their policies.
    pub fn ephemeral(functions: Functions) -> Self {
        let mut options = Self::of(functions, Storage::Ephemeral, 0);
        options.services.policies = true;
        options
    }

    /// A stack on `port` whose data stays in `data`.
    pub fn kept(functions: Functions, data: &Path, port: u16) -> Self {
        Self::of(functions, Storage::Kept(data.to_owned()), port)
    }

    /// A stack on `port` that starts all of its servers. Its Python environment is the one that all stacks share.
    pub fn of(functions: Functions, storage: Storage, port: u16) -> Self {
        let venv = default_data().join("venv");
        let services = services::Options {
            storage,
            venv,
            policies: false,
            aws_endpoint: None,
            database_url: None,
            redis_url: None,
        };
        Self { functions, port, services }
    }
}

/// Where the data is kept when nothing else is said: `.tenfold` in the workspace.
pub fn default_data() -> PathBuf {
    workspace_root().join(".tenfold")
}

/// A part of the start that is worth a line on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The servers.
    Servers(services::Step),
    /// Tables, queues and topics.
    Resources,
    /// The functions, and the demo data.
    Functions,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers(step) => step.fmt(formatter),
            Self::Resources => formatter.write_str("Tables, queues and topics"),
            Self::Functions => formatter.write_str("Functions"),
        }
    }
}

/// Told of every change of a step's state. Called from several tasks, so it should return at once.
pub type Progress = dyn Fn(Step, State) + Send + Sync;

/// The wanted port is in use.
#[derive(Debug, thiserror::Error)]
#[error("port {port} is in use{}", next.map(|next| format!("; port {next} is free: --port {next}")).unwrap_or_default())]
pub struct PortTaken {
    /// The wanted one.
    pub port: u16,
    /// The next free one, if one was found.
    pub next: Option<u16>,
}

/// A running stack. [`Stack::shutdown`] stops it in order; dropping it only stops its servers.
#[derive(Debug)]
pub struct Stack {
    services: Services,
    assembly: Assembly,
}

impl Stack {
    /// Starts a stack and returns when it serves.
    ///
    /// # Errors
    /// Each says what to do about it; [`PortTaken`] is among them. Whatever had been started is stopped again.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Box::pin(Self::start_with(options, Arc::new(|_, _| {}))).await
    }

    /// Like [`Self::start`], and tells `progress` what is under way.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(options: Options, progress: Arc<Progress>) -> anyhow::Result<Self> {
        let template = Template::of_workspace()?;
        // The data before the port: who starts a second stack on the same data is helped by no other port.
        let opened = services::open(&options.services.storage)?;
        // One that was killed has left its address behind.
        let _ = std::fs::remove_file(opened.data.join(dev::CONTROL));
        let listener = bind(options.port).await?;
        let told = progress.clone();
        let relay = move |step, state| told(Step::Servers(step), state);
        let services = Services::start(options.services, opened, &relay).await?;
        match Box::pin(assembly::assemble(&template, options.functions, listener, &services, &*progress)).await {
            Ok(assembly) => Ok(Self { services, assembly }),
            Err(error) => {
                let _ = services.shutdown().await;
                Err(error)
            }
        }
    }

    /// What `dev.json` says.
    pub fn dev(&self) -> &DevFile {
        &self.assembly.dev
    }

    /// The stack's URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.assembly.dev.url
    }

    /// Where its data is.
    pub fn data(&self) -> &Path {
        self.services.data()
    }

    /// The servers, to stop and start them in tests.
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The environment of the function called `handler`: what a test builds its own instance of it with.
    pub fn environment(&self, handler: &str) -> Option<Environment> {
        let instance = self.assembly.instances.iter().find(|instance| instance.declared.handler == handler)?;
        Some(instance.environment.clone())
    }

    /// Fires a schedule now, by its name or its function's, and waits for the function.
    ///
    /// # Errors
    /// When there is none, or when the function fails.
    pub async fn tick(&self, name: &str) -> Result<(), TickError> {
        self.assembly.schedules.tick(name).await
    }

    /// Starts servers again that end ([`Services::keep_up`]). Returns why one cannot be.
    pub async fn keep_up(&self) -> services::Error {
        self.services.keep_up(|error| terminal::note(&format!("{error}\nIt is started again."))).await
    }

    /// Stops taking requests, messages and ticks, lets what is under way end, then stops the servers.
    ///
    /// # Errors
    /// When the servers do not end.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        self.assembly.stop().await;
        let _ = std::fs::remove_file(self.data().join(dev::CONTROL));
        Ok(self.services.shutdown().await?)
    }
}

async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(at(port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let mut candidates = (1..=PORTS_TRIED).filter_map(|step| port.checked_add(step));
            let next = candidates.find(|candidate| std::net::TcpListener::bind(at(*candidate)).is_ok());
            Err(PortTaken { port, next }.into())
        }
        Err(error) => Err(error).with_context(|| format!("cannot listen on port {port}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::dev::ControlFile;

    #[tokio::test]
    async fn a_taken_port_is_reported_with_the_next_free_one() {
        let held = bind(0).await.unwrap();
        let port = held.local_addr().unwrap().port();
        let error = bind(port).await.unwrap_err();
        let taken = error.downcast_ref::<PortTaken>().unwrap();
        assert_eq!(taken.port, port);
        let next = taken.next.unwrap();
        assert!(next > port);
        assert!(error.to_string().contains(&format!("--port {next}")), "{error}");
    }

    #[tokio::test]
    async fn a_second_stack_on_the_same_data_is_told_of_the_first_and_not_of_its_port() {
        let folder = tempfile::tempdir().unwrap();
        let _first = services::open(&Storage::Kept(folder.path().to_owned())).unwrap();
        let listener = bind(0).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let second = async || Stack::start(Options::kept(&[], folder.path(), port)).await.unwrap_err().to_string();

        let told = second().await;
        assert!(told.contains(&format!("already running (pid {})", std::process::id())), "{told}");
        let control = ControlFile { url: format!("http://127.0.0.1:{port}"), token: String::new() };
        dev::write(&folder.path().join(dev::CONTROL), &control).unwrap();
        let told = second().await;
        assert!(told.contains(&format!("already running at {} (pid {})", control.url, std::process::id())), "{told}");
    }
}
