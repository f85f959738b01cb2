//! `PostgreSQL` from the machine, with a cluster of its own.
//!
//! It listens on loopback only, has no Unix socket, and lets nobody in without the password, which is kept beside the
//! cluster. Under root it runs as another user; where that user cannot reach the stack's data, the cluster is below
//! `/var/tmp` and a file in the data says where.

mod apt;
mod binaries;
mod login;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use binaries::Binaries;
pub(super) use login::Login;

use super::account::Account;
use super::server::{Probe, Server};
use super::storage::{private_dir, remove_if_there, secret, start_afresh, tail, write_private};
use super::supervisor::Process;
use super::{Context, Error, Service, Step};

/// Sorted by code point, with Unicode's rules for upper and lower case.
const LOCALE: &str = if cfg!(target_os = "macos") { "en_US.UTF-8" } else { "C.UTF-8" };

/// Where the path of a cluster outside the data directory is kept.
const ELSEWHERE: &str = "postgres.location";
/// Below which directory such a cluster is, with which prefix. Unlike `/tmp` it outlasts a reboot.
const PUBLIC: (&str, &str) = ("/var/tmp", "tenfold-postgres-");

/// A cluster that is ready to be served.
pub(super) struct Cluster {
    binaries: Binaries,
    home: PathBuf,
    account: Option<Account>,
    password: String,
}

/// Finds the programs, and makes the cluster if there is none.
pub(super) async fn cluster(context: &Context<'_>) -> Result<Cluster, Error> {
    let (home, account) = place(context).await?;
    let password = furnish(&home, account.as_ref())?;
    let data = home.join("data");
    let written = fs::read_to_string(data.join("PG_VERSION")).ok();
    let binaries = binaries::find(context, account.as_ref(), written.as_deref().map(str::trim), &data).await?;
    let cluster = Cluster { binaries, home, account, password };
    if written.is_none() {
        context.working(Step::Service(Service::Postgres), "making the database cluster");
        cluster.init(context).await?;
    }
    cluster.forget_stranger()?;
    Ok(cluster)
}

impl Cluster {
    async fn init(&self, context: &Context<'_>) -> Result<(), Error> {
        let (new, data) = (self.home.join("new"), self.home.join("data"));
        for unfinished in [&new, &data] {
            remove_if_there(unfinished)?;
        }
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let argv = vec![
            path(&self.binaries.directory.join("initdb")),
            format!("--pgdata={}", path(&new)),
            format!("--username={}", login::NAME),
            format!("--pwfile={}", path(&self.home.join("password"))),
            // SCRAM's 4,096 hashes, between which sqlx yields 819 times, take seconds on a busy machine with an unoptimised
            // build. Nobody listens on the loopback interface, and what is stored is hashed.
            "--auth=password".to_owned(),
            "--encoding=UTF8".to_owned(),
            format!("--locale={LOCALE}"),
            "--no-sync".to_owned(),
            // The log's first segment would be a third of the cluster otherwise.
            "--wal-segsize=1".to_owned(),
        ];
        let process = self.process(context, "initdb", argv);
        if context.supervisor.run(&process).await? != 0 {
            return Err(Error::InitDb { data, tail: tail(&process.log), log: process.log });
        }
        fs::rename(&new, &data).map_err(Error::file("cannot rename", &new))
    }

    /// The server of this cluster on this port, and the database's address.
    pub(super) fn server(&self, context: &Context<'_>, port: u16) -> (String, Server) {
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "max_connections=200".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            // Compiling a query costs more than any of ours takes.
            "jit=off".to_owned(),
        ];
        if context.ephemeral {
            let careless = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
            settings.extend(careless.map(str::to_owned));
        }
        let program = self.binaries.directory.join("postgres").to_string_lossy().into_owned();
        let mut argv = vec![program, "-D".to_owned(), self.home.join("data").to_string_lossy().into_owned()];
        argv.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));

        let login = Login { port, password: self.password.clone() };
        let process = self.process(context, Service::Postgres.name(), argv);
        (login.url(), Server { service: Service::Postgres, process, probe: Probe::Database(login) })
    }

    fn process(&self, context: &Context<'_>, name: &'static str, argv: Vec<String>) -> Process {
        let env = [("PATH", "/usr/bin:/bin"), ("LC_ALL", LOCALE), ("TZ", "UTC")];
        Process {
            name,
            argv,
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>(),
            cwd: self.home.clone(),
            log: context.data.join("logs").join(name).with_extension("log"),
            // A fast shutdown: open transactions are rolled back.
            stop_signal: "SIGINT",
            grace: Duration::from_secs(5),
            account: self.account.clone(),
        }
    }

    /// A killed server leaves its process id behind. If another program has that id now, which is common where a
    /// container starts its ids anew, the server would refuse to start.
    fn forget_stranger(&self) -> Result<(), Error> {
        let data = self.home.join("data");
        let file = data.join("postmaster.pid");
        let Ok(contents) = fs::read_to_string(&file) else {
            return Ok(());
        };
        let pid = contents.lines().next().unwrap_or_default();
        let process = Path::new("/proc").join(pid);
        // A server's working directory is its data. No one else's server can have ours as its own.
        if process.exists() && fs::read_link(process.join("cwd")).ok() != data.canonicalize().ok() {
            fs::remove_file(&file).map_err(Error::file("cannot delete", &file))?;
        }
        Ok(())
    }
}

/// The directory for the cluster and the password, and the user to run as.
async fn place(context: &Context<'_>) -> Result<(PathBuf, Option<Account>), Error> {
    let inside = context.data.join("postgres");
    let Some(account) = Account::for_postgres()? else {
        return Ok((inside, None));
    };
    // What an ordinary user began goes on as that user.
    let account = owner(&inside).filter(|owner| owner.uid != 0).unwrap_or(account);
    if account.reaches(context.data) {
        return Ok((inside, Some(account)));
    }
    if let Some(known) = elsewhere(context.data)
        && let Some(owner) = owner(&known)
    {
        return Ok((known, Some(owner)));
    }
    let (parent, prefix) = PUBLIC;
    let made = tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(parent);
    let made = made.map_err(Error::file("cannot make a directory in", parent))?.keep();
    write_private(&context.data.join(ELSEWHERE), made.to_string_lossy().as_bytes())?;
    if context.ephemeral {
        context.supervisor.remove_at_end(&made).await?;
    }
    Ok((made, Some(account)))
}

/// The directory outside the data that an earlier run noted, if it is there and private.
fn elsewhere(data: &Path) -> Option<PathBuf> {
    let path = PathBuf::from(fs::read_to_string(data.join(ELSEWHERE)).ok()?);
    let name = path.file_name()?.to_str()?;
    let metadata = fs::symlink_metadata(&path).ok()?;
    let named_by_us = path.parent() == Some(Path::new(PUBLIC.0)) && name.starts_with(PUBLIC.1);
    let private = metadata.is_dir() && metadata.mode() & 0o777 == 0o700 && metadata.uid() != 0;
    (named_by_us && private).then_some(path)
}

/// Deletes a cluster that is outside the data directory.
pub(super) fn remove_elsewhere(data: &Path) -> Result<(), Error> {
    if let Some(path) = elsewhere(data) {
        remove_if_there(&path)?;
    }
    remove_if_there(&data.join(ELSEWHERE))
}

fn owner(directory: &Path) -> Option<Account> {
    let metadata = fs::symlink_metadata(directory).ok().filter(fs::Metadata::is_dir)?;
    Some(Account { uid: metadata.uid(), gid: metadata.gid() })
}

/// Makes the directory with the password in it, unless an earlier run did, and returns the password.
///
/// The directory is handed to its user last: by then nothing is left to write there, which under root could be led astray
/// by that user, and its owner tells whether all of this was done.
fn furnish(home: &Path, account: Option<&Account>) -> Result<String, Error> {
    let file = home.join("password");
    let done = account.is_none_or(|account| owner(home).as_ref() == Some(account))
        && fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_file());
    if done {
        return secret(&file);
    }
    start_afresh(home)?;
    private_dir(home)?;
    let password = secret(&file)?;
    if let Some(Account { uid, gid }) = account {
        lchown(&file, Some(*uid), Some(*gid)).map_err(Error::file("cannot change the owner of", &file))?;
        chown(home, Some(*uid), Some(*gid)).map_err(Error::file("cannot change the owner of", home))?;
    }
    Ok(password)
}
