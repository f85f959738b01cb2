//! Python with others' packages, for what is proved with somebody else's programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use localstack::default_data;

use crate::stack;

/// The Python of the stack, which has installed it by the time that it serves.
pub fn python() -> PathBuf {
    stack();
    default_data().join("venv/bin/python")
}

/// The folder `name` of the data with the packages of `requirements`, which are installed when it is missing or of others:
/// by the first of all test runs.
///
/// # Panics
/// When they cannot be installed.
pub fn packages(name: &str, requirements: &Path) -> PathBuf {
    let folder = default_data().join(name);
    let wanted = fs::read(requirements).expect("the requirements are there");
    let is_there = || fs::read(folder.join("requirements.txt")).is_ok_and(|stamp| stamp == wanted);
    if !is_there() {
        let python = python();
        let lock = File::create(folder.with_extension("lock")).expect("the data folder is there");
        lock.lock().expect("it can be locked");
        if !is_there() {
            let new = folder.with_extension("new");
            let _ = fs::remove_dir_all(&new);
            install(&python, requirements, &new);
            fs::write(new.join("requirements.txt"), &wanted).expect("it can be written");
            let _ = fs::remove_dir_all(&folder);
            fs::rename(&new, &folder).expect("it takes its place");
        }
    }
    folder
}

/// Everything is pinned, so there is nothing to resolve; and no package's build script runs.
fn install(python: &Path, requirements: &Path, folder: &Path) {
    let mut pip = Command::new(python);
    pip.args(["-I", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"])
        .args(["--require-hashes", "--only-binary=:all:", "--no-deps", "--requirement"])
        .arg(requirements)
        .arg("--target")
        .arg(folder);
    for elsewhere in ["PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON"] {
        pip.env_remove(elsewhere);
    }
    assert!(pip.status().expect("pip starts").success(), "the packages were not installed");
}
