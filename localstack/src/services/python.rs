//! Python: the machine's own, and the virtual environment with the pinned packages.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::storage::{private_dir, remove_if_there, tail};
use super::supervisor::Process;
use super::{Context, Error, State, Step};

/// The packages, each with its version and hashes.
const REQUIREMENTS: &str = include_str!("../../requirements.txt");
/// A copy of [`REQUIREMENTS`], written when all of them are installed.
const STAMP: &str = "requirements.txt";

/// The oldest version that `MiniStack` runs on.
const OLDEST: (u32, u32) = (3, 10);
/// The oldest version that the package with Valkey is made for.
const OLDEST_WITH_VALKEY: (u32, u32) = (3, 11);

/// What a Python says about itself.
#[derive(Deserialize)]
struct Interpreter {
    executable: PathBuf,
    version: (u32, u32),
    venv: bool,
}

const ASK: &str = "\
import sys, json
from importlib.util import find_spec
print(json.dumps({'executable': sys.executable, 'version': list(sys.version_info[:2]),
                  'venv': bool(find_spec('venv') and find_spec('ensurepip'))}))";

/// From the most to the least likely; a plain `python3` that is too old may stand beside a newer one.
const NAMES: [&str; 7] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];

/// A Python to run the supervisor with: the environment's if that is complete, else the machine's.
pub(super) async fn find(venv: &Path) -> Result<PathBuf, Error> {
    if is_complete(venv) {
        return Ok(interpreter(venv));
    }
    let mut found = "none on PATH".to_owned();
    let (mut without_venv, mut without_valkey) = (None, None);
    for name in NAMES {
        let Some(python) = ask(name).await else {
            continue;
        };
        let (major, minor) = python.version;
        if python.version < OLDEST {
            found = format!("{major}.{minor} at {}", python.executable.display());
        } else if !python.venv {
            without_venv.get_or_insert(python.executable);
        } else if python.version < OLDEST_WITH_VALKEY {
            without_valkey.get_or_insert(python.executable);
        } else {
            return Ok(python.executable);
        }
    }
    match (without_valkey, without_venv) {
        (Some(python), _) => Ok(python),
        (None, Some(python)) => Err(Error::PythonVenv { python }),
        (None, None) => Err(Error::Python { found }),
    }
}

async fn ask(name: &str) -> Option<Interpreter> {
    let mut command = Command::new(name);
    let output = command.args(["-I", "-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output().await.ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

fn interpreter(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Whether the packages are installed as pinned and their Python, a link to the machine's, still exists.
fn is_complete(venv: &Path) -> bool {
    fs::read(venv.join(STAMP)).is_ok_and(|stamp| stamp == REQUIREMENTS.as_bytes()) && interpreter(venv).exists()
}

/// The interpreter of the environment, which is made first when it is missing or out of date.
pub(super) async fn ensure(context: &Context<'_>) -> Result<PathBuf, Error> {
    let venv = context.options.venv.as_path();
    let work = async {
        if !is_complete(venv) {
            let _lock = lock(venv, context).await?;
            if !is_complete(venv) {
                install(venv, context).await?;
            }
        }
        venv.canonicalize().map_err(Error::file("cannot resolve", venv))
    };
    let venv = context.watch(Step::Python, work).await?;
    (context.progress)(Step::Python, State::Done(venv.display().to_string()));
    Ok(interpreter(&venv))
}

/// Holds the right to change the environment, against other stacks that start at the same time.
async fn lock(venv: &Path, context: &Context<'_>) -> Result<fs::File, Error> {
    if let Some(parent) = venv.parent() {
        fs::create_dir_all(parent).map_err(Error::file("cannot make the directory", parent))?;
    }
    let path = beside(venv, ".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(Error::file("cannot open", &path))?;
    let mut waiting = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut waiting, true) {
                    context.working(Step::Python, "waiting for another stack to install it");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(TryLockError::Error(source)) => {
                return Err(Error::File { what: "cannot lock", path, source });
            }
        }
    }
}

/// Installs beside the environment and then takes its place, so that an interrupted installation leaves nothing half-done.
async fn install(venv: &Path, context: &Context<'_>) -> Result<(), Error> {
    let (new, old) = (beside(venv, ".new"), beside(venv, ".old"));
    for path in [&new, &old] {
        remove_if_there(path)?;
    }
    private_dir(&new)?;
    let requirements = new.join("wanted.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(Error::file("cannot write", &requirements))?;

    let text = |path: &Path| path.to_string_lossy().into_owned();
    context.working(Step::Python, "making the virtual environment");
    run(context, "make a virtual environment", context.python, &["-I", "-m", "venv", &text(&new)]).await?;
    context.working(Step::Python, "installing packages from PyPI (90 MB)");
    // Everything is pinned, so there is nothing to resolve; and no package's build script runs.
    let pip = ["-I", "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"];
    let what = ["--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile", "-r", &text(&requirements)];
    run(context, "install the Python packages", &interpreter(&new), &[&pip[..], &what[..]].concat()).await?;

    fs::rename(&requirements, new.join(STAMP)).map_err(Error::file("cannot rename", &requirements))?;
    if venv.exists() {
        fs::rename(venv, &old).map_err(Error::file("cannot rename", venv))?;
    }
    fs::rename(&new, venv).map_err(Error::file("cannot rename", &new))?;
    remove_if_there(&old)
}

async fn run(context: &Context<'_>, what: &'static str, python: &Path, arguments: &[&str]) -> Result<(), Error> {
    let log = context.data.join("logs/python.log");
    let program = python.to_string_lossy().into_owned();
    let process = Process {
        name: "python",
        argv: std::iter::once(program).chain(arguments.iter().map(|&argument| argument.to_owned())).collect(),
        env: environment(std::env::vars_os()),
        cwd: context.data.to_owned(),
        log: log.clone(),
        // It must not write any more once our lock is gone; what it leaves is deleted by the next installation.
        stop_signal: "SIGKILL",
        grace: Duration::ZERO,
        account: None,
    };
    match context.supervisor.run(&process).await? {
        0 => Ok(()),
        _ => Err(Error::Install { what, tail: tail(&log), log }),
    }
}

/// Our own environment, as proxies, certificates and package indexes are set there, without what would send the packages
/// elsewhere.
fn environment(ours: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    const ELSEWHERE: [&str; 5] = ["PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON"];
    ours.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !ELSEWHERE.contains(&name.as_str()) && !name.starts_with("PYTHON"))
        .collect()
}

fn beside(path: &Path, ending: impl AsRef<OsStr>) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
