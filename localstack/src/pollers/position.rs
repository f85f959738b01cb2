//! How far a stream has been read, kept in a file so that the next run goes on where this one ended.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;

/// How far one shard has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Position {
    /// The record with this sequence number has been handled.
    After(String),
    /// The shard is closed and all of it has been handled.
    End,
}

/// How far a stream has been read.
#[derive(Debug)]
pub(super) struct Positions {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    stream: String,
    shards: BTreeMap<String, Position>,
}

impl Positions {
    /// What the file says about `stream`; nothing, when it is missing, unreadable, or about another one.
    pub(super) fn load(path: &Path, stream: &str) -> Self {
        let kept = std::fs::read(path).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        let kept = kept.filter(|kept| kept.stream == stream);
        let kept = kept.unwrap_or_else(|| Kept { stream: stream.to_owned(), shards: BTreeMap::new() });
        Self { path: path.to_owned(), kept }
    }

    /// How far `shard` has been read; `None` when it has not been begun.
    pub(super) fn of(&self, shard: &str) -> Option<&Position> {
        self.kept.shards.get(shard)
    }

    /// Forgets `shard`: its position is no longer valid.
    pub(super) fn forget(&mut self, shard: &str) {
        self.kept.shards.remove(shard);
    }

    /// Keeps how far `shard` has been read. A crash before this means that records come again.
    pub(super) fn keep(&mut self, shard: &str, position: Position) {
        self.kept.shards.insert(shard.to_owned(), position);
        if let Err(error) = self.write() {
            tracing::warn!(%error, path = %self.path.display(), "the position in a stream was not kept");
        }
    }

    fn write(&self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        files::write_private(&self.path, &serde_json::to_vec(&self.kept)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn positions_outlive_the_process_but_not_the_stream() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("streams/relay.json");
        let mut positions = Positions::load(&path, "arn:1");
        assert_eq!(positions.of("s"), None);
        positions.keep("s", Position::After("7".to_owned()));
        positions.keep("t", Position::End);
        let again = Positions::load(&path, "arn:1");
        assert_eq!((again.of("s"), again.of("t")), (Some(&Position::After("7".to_owned())), Some(&Position::End)));
        assert_eq!(Positions::load(&path, "arn:2").of("s"), None);
    }
}
