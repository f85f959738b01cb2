//! Mail as files in a folder.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use url::Url;

use super::{InvalidTransport, SendError};
use crate::mail::mime::Mail;
use crate::time::rfc3339_millis;

/// Where mails are written. Folder and files are for their owner only: mails hold one-time links.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn from_url(url: &Url) -> Result<Self, InvalidTransport> {
        let path = url.to_file_path().map_err(|()| InvalidTransport::Url("names no folder"))?;
        Ok(Self(path))
    }

    /// Writes the mail, whole or not at all, as `<RFC 3339 with milliseconds>-<message id>.eml`, so that names sort by
    /// time. The same mail again replaces its file.
    pub(super) async fn write(&self, mail: &Mail, content: Vec<u8>) -> Result<(), SendError> {
        let folder = self.0.clone();
        let name = format!("{}-{}.eml", rfc3339_millis(mail.date), mail.message_id.as_str());
        let written = tokio::task::spawn_blocking(move || write(&folder, &name, &content)).await;
        let written = written.map_err(|error| SendError::Transient(error.into()))?;
        written.map_err(|error| SendError::Transient(error.into()))
    }
}

fn write(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Readable by its owner only, and removed when it does not get its name.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name))?;
    Ok(())
}
