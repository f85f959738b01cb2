//! The program as its users start it: what it prints, leaves on the disk, and leaves behind when it is told to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A stack that a test started.
struct Program {
    process: Child,
    stdout: BufReader<ChildStdout>,
    data: PathBuf,
}

fn tenfold(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenfold"));
    command.args(arguments).arg("--data").arg(data);
    command
}

impl Program {
    /// Starts it and waits until it says that it is ready.
    fn start(data: &Path) -> Self {
        let mut command = tenfold(data, &["--port", "0", "--quiet"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut program = Self { process, stdout, data: data.to_owned() };
        let mut line = String::new();
        while !line.contains("Tenfold is ready: http://127.0.0.1:") {
            line.clear();
            assert_ne!(program.stdout.read_line(&mut line).unwrap(), 0, "it ended before it was ready");
        }
        program
    }

    fn dev(&self) -> Value {
        serde_json::from_slice(&fs::read(self.data.join("dev.json")).unwrap()).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        tenfold(&self.data, arguments).output().unwrap()
    }

    /// Has it end by SIGTERM, and answers whether it ended in order.
    fn end(&mut self) -> bool {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        self.process.wait().unwrap().success()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `host:port` of a URL.
fn address(url: &str) -> &str {
    let rest = url.split("://").nth(1).unwrap();
    rest.split('/').next().unwrap().rsplit('@').next().unwrap()
}

fn get(url: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address(url)).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address(url)).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn it_serves_obeys_its_commands_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut program = Program::start(&data);
    let dev = program.dev();
    let url =
        |name: &str| dev.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("{name} in dev.json")).to_owned();
    for name in ["url", "api_key", "tenant_id", "admin_email", "admin_password", "mail_dir"] {
        assert!(!url(name).is_empty(), "{name}");
    }
    assert!(get(&url("url"), "/health").starts_with("HTTP/1.1 200"));

    let ticked = program.run(&["tick", "platform.scheduler"]);
    assert!(ticked.status.success() && text(&ticked.stdout).contains("done"), "{ticked:?}");
    let unknown = program.run(&["tick", "no.such"]);
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("no.such"), "{unknown:?}");
    let invoked = program.run(&["invoke", "platform.keys", r#"{"name": "mine"}"#]);
    assert!(invoked.status.success() && text(&invoked.stdout).contains("tf_"), "{invoked:?}");
    let variables = text(&program.run(&["environment", "links.redirect"]).stdout);
    for line in ["_HANDLER=links.redirect", &format!("AWS_ENDPOINT_URL={}", url("aws_endpoint"))] {
        assert!(variables.lines().any(|found| found == line), "{line} in {variables}");
    }
    let second = tenfold(&data, &["--port", "0"]).output().unwrap();
    assert!(!second.status.success() && text(&second.stderr).contains("running"), "{second:?}");

    assert!(program.end());
    for name in ["url", "aws_endpoint", "database_url", "redis_url"] {
        assert!(TcpStream::connect(address(&url(name))).is_err(), "{name} still answers");
    }

    // What was made is there again, until it is deleted.
    let mut program = Program::start(&data);
    assert_eq!(program.dev().get("api_key"), dev.get("api_key"));
    let running = program.run(&["reset"]);
    assert!(!running.status.success(), "a stack that runs keeps its data: {running:?}");
    assert!(program.end());
    assert!(program.run(&["reset"]).status.success());
    assert!(!data.join("dev.json").exists() && !data.join("aws").exists());
}

#[test]
fn a_port_that_is_taken_is_told_with_one_that_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = tenfold(&folder.path().join("data"), &["--port", &port]).output().unwrap();
    let told = text(&refused.stderr);
    assert!(!refused.status.success() && told.contains(&port) && told.contains("--port"), "{told}");
}
