//! One start: who needs what, and which server gets which port.

use std::path::{Path, PathBuf};

use tokio::sync::OnceCell;

use super::ports::{self, Ports};
use super::server::Server;
use super::supervisor::Supervisor;
use super::{Error, Options, Progress, Service, State, Step};
use super::{aws, postgres, python, valkey};

/// What the parts of a start share.
pub(super) struct Context<'a> {
    pub(super) options: &'a Options,
    pub(super) data: &'a Path,
    pub(super) ephemeral: bool,
    pub(super) supervisor: &'a Supervisor,
    pub(super) ports: &'a Ports,
    /// The machine's Python.
    pub(super) python: &'a Path,
    /// The environment's Python, once somebody needs it.
    pub(super) environment: OnceCell<PathBuf>,
    pub(super) progress: &'a Progress,
}

/// An address, and the server behind it if it is ours.
pub(super) struct Launched {
    pub(super) url: String,
    pub(super) server: Option<Server>,
}

impl Launched {
    fn given(url: &str) -> Self {
        Self { url: url.to_owned(), server: None }
    }
}

/// How often a server gets another port when a stranger takes the chosen one first.
const PORT_ATTEMPTS: usize = 3;

impl Context<'_> {
    pub(super) async fn aws(&self) -> Result<Launched, Error> {
        if let Some(given) = &self.options.aws_endpoint {
            return Ok(Launched::given(given));
        }
        let python = self.environment().await?;
        self.launch(Service::Aws, |port| aws::server(self, python, port)).await
    }

    pub(super) async fn postgres(&self) -> Result<Launched, Error> {
        if let Some(given) = &self.options.database_url {
            return Ok(Launched::given(given));
        }
        let cluster = self.watch(Step::Service(Service::Postgres), postgres::cluster(self)).await?;
        self.launch(Service::Postgres, |port| Ok(cluster.server(self, port))).await
    }

    pub(super) async fn redis(&self) -> Result<Launched, Error> {
        if let Some(given) = &self.options.redis_url {
            return Ok(Launched::given(given));
        }
        let binary = async {
            match valkey::installed() {
                Some(binary) => Ok(binary),
                None => valkey::bundled(self.environment().await?),
            }
        };
        let binary = self.watch(Step::Service(Service::Redis), binary).await?;
        self.launch(Service::Redis, |port| valkey::server(self, &binary, port)).await
    }

    /// The Python with the packages, installed by whoever asks first.
    async fn environment(&self) -> Result<&Path, Error> {
        self.environment.get_or_try_init(|| python::ensure(self)).await.map(PathBuf::as_path)
    }

    /// Starts one server on a free port.
    async fn launch(
        &self,
        service: Service,
        prepare: impl Fn(u16) -> Result<(String, Server), Error>,
    ) -> Result<Launched, Error> {
        let step = Step::Service(service);
        self.working(step, "starting");
        let work = async {
            let mut attempt = 1;
            loop {
                let port = self.ports.choose(service)?;
                let (url, server) = prepare(port)?;
                match server.start(self.supervisor).await {
                    Ok(()) => return Ok((port, url, server)),
                    // Between our look and the server's, someone else took the port.
                    Err(Error::Ended { .. }) if attempt < PORT_ATTEMPTS && !ports::is_free(port) => {
                        attempt += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let (port, url, server) = self.watch(step, work).await?;
        (self.progress)(step, State::Done(format!("127.0.0.1:{port}")));
        Ok(Launched { url, server: Some(server) })
    }

    pub(super) fn working(&self, step: Step, what: &str) {
        (self.progress)(step, State::Working(what.to_owned()));
    }

    /// Reports the step as failed if it does.
    pub(super) async fn watch<T>(&self, step: Step, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let result = work.await;
        if result.is_err() {
            (self.progress)(step, State::Failed);
        }
        result
    }
}
