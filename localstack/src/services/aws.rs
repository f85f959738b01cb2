//! The AWS APIs, by `MiniStack` in a process with an environment of its own: nothing of the user's AWS configuration reaches
//! it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::server::{Probe, Server};
use super::storage::{private_dir, random_token, start_afresh};
use super::supervisor::Process;
use super::{Context, Error, Service};

/// The program that starts it, with what it lacks.
const PROGRAM: [(&str, &str); 5] = [
    ("__main__.py", include_str!("ministack/__main__.py")),
    ("callers.py", include_str!("ministack/callers.py")),
    ("durable.py", include_str!("ministack/durable.py")),
    ("fair_queues.py", include_str!("ministack/fair_queues.py")),
    ("ordered_indexes.py", include_str!("ministack/ordered_indexes.py")),
];

/// What goes on in `MiniStack` beside the APIs, none of it wanted here: listeners on fixed ports, and a look for containers
/// of its own to remove.
const OFF: [(&str, &str); 3] =
    [("IOT_MTLS_ENABLED", "0"), ("SFTP_ENABLED", "0"), ("DOCKER_HOST", "unix:///nonexistent/docker.sock")];

/// `MiniStack` on this port, and its address. Its state survives unless the stack is ephemeral; of
/// what was written in the second before it is killed some may be lost.
pub(super) fn server(context: &Context<'_>, python: &Path, port: u16) -> Result<(String, Server), Error> {
    let home = context.data.join("aws");
    let temporary = home.join("tmp");
    private_dir(&temporary)?;
    let program = home.join("program");
    start_afresh(&program)?;
    for (name, text) in PROGRAM {
        let path = program.join(name);
        fs::write(&path, text).map_err(Error::file("cannot write", &path))?;
    }
    let endpoint = format!("http://127.0.0.1:{port}");
    let token = random_token();
    let path = |name: &str| home.join(name).to_string_lossy().into_owned();

    let mut env: BTreeMap<String, String> = OFF.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), value.to_owned());
    set("PATH", "/usr/local/bin:/usr/bin:/bin");
    set("LANG", "C.UTF-8");
    set("HOME", &path(""));
    set("TMPDIR", &path("tmp"));
    set("BIND_HOST", "127.0.0.1");
    set("GATEWAY_PORT", &port.to_string());
    set("AWS_ENDPOINT_URL", &endpoint);
    set("MINISTACK_HOST", "127.0.0.1");
    set("LOG_LEVEL", "WARNING");
    // Shown by the health page, where it tells our server from a stranger's.
    set("MINISTACK_EDITION", &token);
    set("S3_DATA_DIR", &path("s3"));
    set("STATE_DIR", &path("state"));
    if context.options.policies {
        set("AUTH", "true");
    }
    if !context.ephemeral {
        set("PERSIST_STATE", "1");
        set("S3_PERSIST", "1");
    }

    let process = Process {
        name: Service::Aws.name(),
        argv: vec![python.to_string_lossy().into_owned(), "-I".to_owned(), "-B".to_owned(), path("program")],
        env,
        cwd: home,
        log: context.data.join("logs/aws.log"),
        stop_signal: "SIGTERM",
        // It writes its whole state at the end.
        grace: Duration::from_secs(10),
        account: None,
    };
    let probe = Probe::Tcp {
        port,
        question: "GET /_ministack/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".to_owned(),
        expected: vec!["200".to_owned(), token],
    };
    Ok((endpoint, Server { service: Service::Aws, process, probe }))
}
