//! What a stack puts on its servers: resources, functions, and what invokes them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Progress, Step};
use crate::clients::Clients;
use crate::deploy;
use crate::dev::{self, ControlFile, DevFile};
use crate::gateway::{Control, Gateway, Routes};
use crate::instances::{self, Addresses, Functions, Instance};
use crate::pollers::{self, Pollers, Stopping};
use crate::running::Running;
use crate::schedules::Schedules;
use crate::services::{Services, State};
use crate::template::{Scope, Template, Trigger};
use crate::{logs, request_id, seed};

/// The function that brings the database up to date. Nothing of the template invokes it: a deployment does, and so
/// does the start of a stack.
const MIGRATE: &str = "platform.migrate";
/// The function that makes a tenant's first owner.
const ADMIN: &str = "auth.admin";
/// Invocations that are under way when the stack stops get this long.
const LAST_INVOCATIONS: Duration = Duration::from_secs(30);

/// A stack without its servers.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) dev: DevFile,
    pub(super) instances: Vec<Arc<Instance>>,
    pub(super) schedules: Arc<Schedules>,
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

impl Assembly {
    /// Stops what takes requests, messages and ticks, lets what is under way end, and reads the streams to their end.
    pub(super) async fn stop(&mut self) {
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
    }
}

/// Deploys, builds and connects everything on running servers.
pub(super) async fn assemble(
    template: &Template,
    functions: Functions,
    listener: TcpListener,
    services: &Services,
    progress: &Progress,
) -> anyhow::Result<Assembly> {
    let port = listener.local_addr()?.port();
    let mail_dir = services.data().join("mail");
    std::fs::create_dir_all(&mail_dir).with_context(|| format!("cannot make {}", mail_dir.display()))?;
    let mail_url = url::Url::from_file_path(&mail_dir).map_err(|()| anyhow::anyhow!("the mail folder has no URL"))?;
    let addresses = Addresses {
        url: format!("http://127.0.0.1:{port}"),
        aws_endpoint: services.aws_endpoint.clone(),
        database_url: services.database_url.clone(),
        redis_url: services.redis_url.clone(),
        mail_url: mail_url.into(),
    };
    let data = services.data();
    logs::write_to(&data.join("logs").join("functions.log")).context("cannot write the functions' log")?;

    let clients = Clients::new(&addresses.aws_endpoint);
    let scope = Scope::new(template, deploy::STACK, &instances::parameters())?;
    progress(Step::Resources, State::Working("deploying".to_owned()));
    let resources = watched(Step::Resources, progress, Box::pin(deploy::deploy(&clients, template, &scope))).await?;
    progress(Step::Resources, State::Done(format!("{} from template.yaml", resources.len())));
    let parameters = instances::parameters_at(&addresses.url);
    let scope = Scope::new(template, deploy::STACK, &parameters)?.with_resources(resources);

    let running = Running::new();
    progress(Step::Functions, State::Working("starting".to_owned()));
    let policies = services.holds_to_policies();
    let work = start_functions(template, functions, &scope, &addresses, policies, &running, data);
    let (instances, credentials) = watched(Step::Functions, progress, work).await?;
    progress(Step::Functions, State::Done(format!("{} from template.yaml", instances.len())));

    let dev = dev_file(&addresses, credentials, &mail_dir);
    let schedules = Arc::new(Schedules::of(&instances)?);
    let token = format!("{}{}", request_id::fresh(), request_id::fresh());
    let (all, stopping) = watch::channel(false);
    let (streams, streams_stopping) = watch::channel(false);
    let gateway = Arc::new(Gateway {
        routes: Routes::new(routes(&instances)),
        control: Control { token: token.clone(), schedules: schedules.clone(), functions: instances.clone() },
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
    Ok(Assembly { dev, instances, schedules, running, stop: Stop { all, streams }, tasks })
}

/// Builds all functions, migrates the database, and writes the demo data meanwhile.
async fn start_functions(
    template: &Template,
    functions: Functions,
    scope: &Scope,
    addresses: &Addresses,
    policies: bool,
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
        let instance = Instance::start(functions, function, environment, policies, running.clone()).await;
        instance.with_context(|| format!("{handler} does not start"))
    });
    let migrated = async {
        let instances = futures::future::try_join_all(built).await?;
        if let Some(migrate) = instances.iter().find(|instance| instance.declared.handler == MIGRATE) {
            migrate.invoke(RawValue::NULL.to_owned()).await?;
        }
        Ok(instances)
    };
    let (instances, credentials) = tokio::try_join!(migrated, seed::seed(&keyed, data))?;
    if let Some(admin) = instances.iter().find(|instance| instance.declared.handler == ADMIN) {
        admin.invoke(seed::admin(&credentials)?).await.context("cannot make the demo administrator")?;
    }
    Ok((instances, credentials))
}

fn routes(instances: &[Arc<Instance>]) -> impl Iterator<Item = (crate::template::Route, Arc<Instance>)> {
    instances.iter().flat_map(|instance| {
        instance.declared.triggers.iter().filter_map(|trigger| match trigger {
            Trigger::Http(route) => Some((route.clone(), instance.clone())),
            _ => None,
        })
    })
}

fn dev_file(addresses: &Addresses, credentials: dev::Credentials, mail_dir: &Path) -> DevFile {
    DevFile {
        url: addresses.url.clone(),
        api_key: credentials.api_key,
        tenant_id: credentials.tenant_id,
        admin_email: credentials.admin_email,
        admin_password: credentials.admin_password,
        aws_endpoint: addresses.aws_endpoint.clone(),
        database_url: addresses.database_url.clone(),
        redis_url: addresses.redis_url.clone(),
        mail_dir: mail_dir.to_string_lossy().into_owned(),
    }
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
