//! The files that tell other programs about a stack: `dev.json` for scripts, `control.json` for `tenfold tick`, and
//! `credentials.json`, which keeps the demo credentials from run to run. Only their owner can read them.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files;

/// `dev.json`: where a stack is, and how to get in.
#[derive(Clone, Serialize, Deserialize)]
pub struct DevFile {
    /// The stack's URL, without a slash at the end.
    pub url: String,
    /// The demo tenant's API key.
    pub api_key: String,
    /// The demo tenant.
    pub tenant_id: String,
    /// The demo administrator's address.
    pub admin_email: String,
    /// The demo administrator's password.
    pub admin_password: String,
    /// The AWS APIs.
    pub aws_endpoint: String,
    /// The database.
    pub database_url: String,
    /// The cache.
    pub redis_url: String,
    /// The folder that mail is written to.
    pub mail_dir: String,
}

/// `control.json`: how `tenfold tick` reaches a running stack.
#[derive(Serialize, Deserialize)]
pub(crate) struct ControlFile {
    /// The stack's URL.
    pub(crate) url: String,
    /// What it wants to see.
    pub(crate) token: String,
}

/// `credentials.json`: the demo credentials.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) api_key: String,
    pub(crate) tenant_id: String,
    pub(crate) admin_email: String,
    pub(crate) admin_password: String,
}

pub(crate) const DEV: &str = "dev.json";
pub(crate) const CONTROL: &str = "control.json";
pub(crate) const CREDENTIALS: &str = "credentials.json";

impl std::fmt::Debug for DevFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DevFile").field("url", &self.url).finish_non_exhaustive()
    }
}

impl DevFile {
    /// The file of the stack in `data`; `None` when none has run there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(data: &Path) -> io::Result<Option<Self>> {
        read(&data.join(DEV))
    }
}

/// Reads a file; `None` when there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file that its owner alone can read, whole or not at all.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    files::write_private(path, &text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONTROL);
        assert!(read::<ControlFile>(&path).unwrap().is_none());
        for token in ["a", "b"] {
            write(&path, &ControlFile { url: "http://x".to_owned(), token: token.to_owned() }).unwrap();
            assert_eq!(read::<ControlFile>(&path).unwrap().unwrap().token, token);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
