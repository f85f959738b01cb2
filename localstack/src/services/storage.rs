//! Where a stack keeps its data, and that only one stack uses it at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::supervisor::Supervisor;
use super::{Error, postgres};
use crate::dev::{self, ControlFile};
use crate::files;

/// Where a stack keeps its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In this directory, made when missing, kept from run to run.
    Kept(PathBuf),
    /// In a fresh directory below the system's temporary one, deleted when the stack is over.
    Ephemeral,
}

/// A data directory that this process holds.
pub(crate) struct Opened {
    pub(crate) data: PathBuf,
    lock: Option<File>,
    temporary: Option<tempfile::TempDir>,
}

impl Opened {
    /// Leaves the deletion of a temporary directory to the supervisor, which outlives this process.
    pub(super) async fn hand_over(self, supervisor: &Supervisor) -> Result<Option<File>, Error> {
        if let Some(temporary) = self.temporary {
            supervisor.remove_at_end(temporary.path()).await?;
            let _ = temporary.keep();
        }
        Ok(self.lock)
    }
}

/// Makes the data directory if need be and holds it for this process.
///
/// # Errors
/// [`Error::AlreadyRunning`] when a stack holds it, or when the file system refuses.
pub(crate) fn open(storage: &Storage) -> Result<Opened, Error> {
    match storage {
        Storage::Ephemeral => {
            let temporary = tempfile::Builder::new()
                .prefix("tenfold-")
                .permissions(Permissions::from_mode(PASSABLE))
                .tempdir()
                .map_err(Error::system("cannot make a temporary directory"))?;
            let data = temporary.path().to_owned();
            Ok(Opened { data, lock: None, temporary: Some(temporary) })
        }
        Storage::Kept(path) => {
            DirBuilder::new()
                .recursive(true)
                .mode(PASSABLE)
                .create(path)
                .map_err(Error::file("cannot make the data directory", path))?;
            let data = path.canonicalize().map_err(Error::file("cannot resolve", path))?;
            let lock = hold(&data)?;
            Ok(Opened { data, lock: Some(lock), temporary: None })
        }
    }
}

/// The user that `PostgreSQL` runs as may pass through a data directory but not list it. What is private in it has
/// permissions of its own.
const PASSABLE: u32 = 0o711;

/// Takes the lock of a data directory and writes our process id into it.
fn hold(data: &Path) -> Result<File, Error> {
    let path = data.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::file("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => {
            let write = |file: &mut File| {
                file.set_len(0)?;
                write!(file, "{}", std::process::id())
            };
            write(&mut file).map_err(Error::file("cannot write", &path))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            if file.read_to_string(&mut pid).is_err() || pid.is_empty() {
                pid.push('?');
            }
            Err(already_running(data, &pid))
        }
        Err(TryLockError::Error(source)) => Err(Error::File { what: "cannot lock", path, source }),
    }
}

fn already_running(data: &Path, pid: &str) -> Error {
    // Not `dev.json`, which outlives its stack. An unreadable file only leaves the address out.
    let control: Option<ControlFile> = dev::read(&data.join(dev::CONTROL)).unwrap_or_default();
    Error::AlreadyRunning { data: data.to_owned(), url: control.map(|control| control.url), pid: pid.to_owned() }
}

/// Files that a stack has from its first start on, by which its folder is known from any other one.
const MARKS: [&str; 2] = ["supervise.py", "supervise.lock"];

/// How long the servers of a stack that has just gone may still be writing: their supervisor kills what does not end.
const LAST_WRITES: Duration = Duration::from_secs(15);
/// The pause between two looks whether they are done.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Deletes everything that the servers keep for the stack in `data`; the Python environment stays if it is elsewhere.
/// Nothing happens, which is false, in a folder that has no stack's data.
///
/// # Errors
/// When a stack is running on this data, or when the file system refuses.
pub fn remove(data: &Path) -> Result<bool, Error> {
    if !MARKS.iter().any(|mark| data.join(mark).exists()) {
        return Ok(false);
    }
    let _lock = hold(data)?;
    let supervisor = data.join("supervise.lock");
    if let Ok(lock) = File::open(&supervisor) {
        let began = Instant::now();
        while let Err(error) = lock.try_lock() {
            match error {
                TryLockError::WouldBlock if began.elapsed() < LAST_WRITES => std::thread::sleep(LOOK_AGAIN),
                // A throw-away stack, which holds no lock of its own.
                TryLockError::WouldBlock => return Err(already_running(data, "?")),
                TryLockError::Error(source) => {
                    return Err(Error::File { what: "cannot lock", path: supervisor, source });
                }
            }
        }
    }
    postgres::remove_elsewhere(data)?;
    for name in ["aws", "postgres", "redis", "logs", "ports.json", "supervise.py", "supervise.lock"] {
        remove_if_there(&data.join(name))?;
    }
    Ok(true)
}

/// Makes a directory that only the current user can look into, with its parents.
pub(super) fn private_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file("cannot make the directory", path))
}

/// Empties a directory, or makes it.
pub(super) fn start_afresh(path: &Path) -> Result<(), Error> {
    remove_if_there(path)?;
    private_dir(path)
}

/// Writes a file that only the current user can read, whole or not at all.
pub(super) fn write_private(path: &Path, contents: &[u8]) -> Result<(), Error> {
    files::write_private(path, contents).map_err(Error::file("cannot write", path))
}

/// Deletes a file or a directory, if it is there.
pub(super) fn remove_if_there(path: &Path) -> Result<(), Error> {
    files::remove(path).map_err(Error::file("cannot delete", path))
}

/// The secret kept in this file; made, with 244 random bits, when there is none.
pub(super) fn secret(path: &Path) -> Result<String, Error> {
    match fs::read_to_string(path) {
        Ok(secret) if !secret.is_empty() => Ok(secret),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { what: "cannot read", path: path.to_owned(), source: error })
        }
        _ => {
            let secret = random_token();
            write_private(path, secret.as_bytes())?;
            Ok(secret)
        }
    }
}

/// 64 hexadecimal digits, 244 of their bits random.
pub(super) fn random_token() -> String {
    shared::random::Random::system().text(b"0123456789abcdef", 64)
}

/// The last lines of a log, at most 2 KB of them, or why there are none.
pub(super) fn tail(log: &Path) -> String {
    const LIMIT: u64 = 2048;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(LIMIT);
        file.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let text = String::from_utf8_lossy(&end);
        let whole = if start == 0 { &*text } else { text.split_once('\n').map_or(&*text, |(_, rest)| rest) };
        Ok(whole.trim_end().to_owned())
    };
    read().unwrap_or_else(|error| format!("(no log: {error})"))
}
