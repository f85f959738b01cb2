//! A whole Tenfold on this machine: the servers, the resources, the functions, and what invokes them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use shared::config::Environment;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clients::Clients;
use crate::deploy;
use crate::dev::{self, ControlFile, DevFile};
use crate::gateway::{Control, Gateway, Routes};
use crate::instances::{self, Addresses, Instance};
use crate::running::Running;
use crate::schedules::{Schedules, TickError};
use crate::seed;
use crate::services::{self, Services, State, Storage};
use crate::template::{Scope, Template, Trigger, workspace_root};
use crate::{logs, pollers, request_id};
use pollers::{Pollers, Stopping};

/// Invocations that are under way when the stack stops get this long.
const LAST_INVOCATIONS: Duration = Duration::from_secs(30);
/// How many ports after a taken one are tried to name a free one.
const PORTS_TRIED: u16 = 100;

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 is any free one.
    pub port: u16,
    /// Where the data is.
    pub storage: Storage,
    /// The Python environment of the AWS APIs. Stacks may share it.
    pub venv: PathBuf,
    /// Use these AWS APIs instead of starting some.
    pub aws_endpoint: Option<String>,
    /// Use this database instead of starting one.
    pub database_url: Option<String>,
    /// Use this Redis instead of starting one.
    pub redis_url: Option<String>,
}

impl Options {
    /// A throw-away stack on any free port, for tests.
    pub fn ephemeral() -> Self {
        Self { port: 0, storage: Storage::Ephemeral, ..Self::kept(&default_data(), 0) }
    }

    /// A stack on `port` whose data stays in `data`.
    pub fn kept(data: &Path, port: u16) -> Self {
        Self {
            port,
            storage: Storage::Kept(data.to_owned()),
            venv: default_data().join("venv"),
            aws_endpoint: None,
            database_url: None,
            redis_url: None,
        }
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
    dev: DevFile,
    services: Services,
    instances: Vec<Arc<Instance>>,
    schedules: Arc<Schedules>,
    running: Running,
    stop: Stop,
    tasks: Tasks,
}

/// Tells the tasks to end.
#[derive(Debug)]
struct Stop {
    all: watch::Sender<bool>,
    streams: watch::Sender<bool>,
}

/// What takes requests, ticks, messages and records.
#[derive(Debug)]
struct Tasks {
    gateway: JoinSet<()>,
    schedules: JoinSet<()>,
    pollers: Pollers,
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
        let listener = bind(options.port).await?;
        let services_options = services::Options {
            storage: options.storage,
            venv: options.venv,
            aws_endpoint: options.aws_endpoint,
            database_url: options.database_url,
            redis_url: options.redis_url,
        };
        let told = progress.clone();
        let relay = move |step, state| told(Step::Servers(step), state);
        let services = Services::start(services_options, &relay).await?;
        match Box::pin(assemble(&template, listener, &services, &*progress)).await {
            Ok(parts) => Ok(parts.with(services)),
            Err(error) => {
                let _ = services.shutdown().await;
                Err(error)
            }
        }
    }

    /// What `dev.json` says.
    pub fn dev(&self) -> &DevFile {
        &self.dev
    }

    /// The stack's URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.dev.url
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
        let instance = self.instances.iter().find(|instance| instance.declared.handler == handler)?;
        Some(instance.environment.clone())
    }

    /// Fires a schedule now, by its name or its function's, and waits for the function.
    ///
    /// # Errors
    /// When there is none, or when the function fails.
    pub async fn tick(&self, name: &str) -> Result<(), TickError> {
        self.schedules.tick(name).await
    }

    /// Waits until a server ends that nobody asked to, and says which.
    pub async fn crashed(&self) -> services::Error {
        self.services.crashed().await
    }

    /// Stops taking requests, messages and ticks, lets what is under way end, then stops the servers.
    ///
    /// # Errors
    /// When the servers do not end.
    pub async fn shutdown(mut self) -> anyhow::Result<()> {
        let Tasks { gateway, schedules, pollers } = &mut self.tasks;
        self.stop.all.send_replace(true);
        for tasks in [gateway, schedules, &mut pollers.queues] {
            while tasks.join_next().await.is_some() {}
        }
        if tokio::time::timeout(LAST_INVOCATIONS, self.running.idle()).await.is_err() {
            tracing::warn!("functions were still running when the stack stopped");
        }
        self.stop.streams.send_replace(true);
        while pollers.streams.join_next().await.is_some() {}
        let _ = std::fs::remove_file(self.data().join(dev::CONTROL));
        Ok(self.services.shutdown().await?)
    }
}

/// A stack without its servers.
struct Parts {
    dev: DevFile,
    instances: Vec<Arc<Instance>>,
    schedules: Arc<Schedules>,
    running: Running,
    stop: Stop,
    tasks: Tasks,
}

impl Parts {
    fn with(self, services: Services) -> Stack {
        let Self { dev, instances, schedules, running, stop, tasks } = self;
        Stack { dev, services, instances, schedules, running, stop, tasks }
    }
}

/// Deploys, builds and connects everything on running servers.
async fn assemble(
    template: &Template,
    listener: TcpListener,
    services: &Services,
    progress: &Progress,
) -> anyhow::Result<Parts> {
    let port = listener.local_addr()?.port();
    let addresses = Addresses {
        url: format!("http://127.0.0.1:{port}"),
        aws_endpoint: services.aws_endpoint.clone(),
        database_url: services.database_url.clone(),
        redis_url: services.redis_url.clone(),
    };
    let data = services.data();
    logs::write_to(&data.join("logs").join("functions.log")).context("cannot write the functions' log")?;

    let clients = Clients::new(&addresses.aws_endpoint);
    let scope = Scope::new(template, deploy::STACK, &instances::parameters())?;
    progress(Step::Resources, State::Working("deploying".to_owned()));
    let resources = watched(Step::Resources, progress, Box::pin(deploy::deploy(&clients, template, &scope))).await?;
    progress(Step::Resources, State::Done(format!("{} from template.yaml", resources.len())));
    let scope = scope.with_resources(resources);

    let running = Running::new();
    progress(Step::Functions, State::Working("starting".to_owned()));
    let work = functions(template, &scope, &addresses, &running, data);
    let (instances, credentials) = watched(Step::Functions, progress, work).await?;
    progress(Step::Functions, State::Done(format!("{} from template.yaml", instances.len())));

    let dev = dev_file(&addresses, credentials, data)?;
    let schedules = Arc::new(Schedules::of(&instances)?);
    let token = format!("{}{}", request_id::fresh(), request_id::fresh());
    let (all, stopping) = watch::channel(false);
    let (streams, streams_stopping) = watch::channel(false);
    let gateway = Arc::new(Gateway {
        routes: Routes::new(routes(&instances)),
        control: Control {
            token: token.clone(),
            schedules: schedules.clone(),
            functions: instances.iter().map(|instance| instance.declared.handler.clone()).collect(),
        },
        port,
    });
    let stops = Stopping { queues: stopping.clone(), streams: streams_stopping };
    let mut tasks = Tasks {
        gateway: JoinSet::new(),
        schedules: schedules.start(&stopping),
        pollers: pollers::start(&instances, &clients, &scope, data, &running, &stops)?,
    };
    tasks.gateway.spawn(gateway.serve(listener, stopping));

    dev::write(&data.join(dev::CONTROL), &ControlFile { url: addresses.url, token }).context("control.json")?;
    dev::write(&data.join(dev::DEV), &dev).context("dev.json")?;
    Ok(Parts { dev, instances, schedules, running, stop: Stop { all, streams }, tasks })
}

/// Builds all functions and writes the demo data, at the same time.
async fn functions(
    template: &Template,
    scope: &Scope,
    addresses: &Addresses,
    running: &Running,
    data: &Path,
) -> anyhow::Result<(Vec<Arc<Instance>>, dev::Credentials)> {
    let mut declared = Vec::new();
    for function in template.functions(scope)? {
        let environment = instances::environment_of(&function, scope, addresses)?;
        declared.push((function, environment));
    }
    let keyed = declared.iter().find(|(_, environment)| environment.get("IDENTITY_TABLE").is_some());
    let keyed = keyed.map(|(_, environment)| environment.clone()).unwrap_or_default();
    let built = declared.into_iter().map(|(function, environment)| async move {
        let handler = function.handler.clone();
        let instance = Instance::start(function, environment, running.clone()).await;
        instance.with_context(|| format!("{handler} does not start"))
    });
    let seeded = seed::seed(&keyed, data);
    tokio::try_join!(futures::future::try_join_all(built), seeded)
}

fn routes(instances: &[Arc<Instance>]) -> impl Iterator<Item = (crate::template::Route, Arc<Instance>)> {
    instances.iter().flat_map(|instance| {
        instance.declared.triggers.iter().filter_map(|trigger| match trigger {
            Trigger::Http(route) => Some((route.clone(), instance.clone())),
            _ => None,
        })
    })
}

fn dev_file(addresses: &Addresses, credentials: dev::Credentials, data: &Path) -> anyhow::Result<DevFile> {
    let mail_dir = data.join("mail");
    std::fs::create_dir_all(&mail_dir).with_context(|| format!("cannot make {}", mail_dir.display()))?;
    Ok(DevFile {
        url: addresses.url.clone(),
        api_key: credentials.api_key,
        tenant_id: credentials.tenant_id,
        admin_email: credentials.admin_email,
        admin_password: credentials.admin_password,
        aws_endpoint: addresses.aws_endpoint.clone(),
        database_url: addresses.database_url.clone(),
        redis_url: addresses.redis_url.clone(),
        mail_dir: mail_dir.to_string_lossy().into_owned(),
    })
}

async fn watched<T>(
    step: Step,
    progress: &Progress,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let result = work.await;
    if result.is_err() {
        progress(step, State::Failed);
    }
    result
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
}
