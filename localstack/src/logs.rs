//! The functions' logs, one JSON object for each line, in a file: the terminal stays readable.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// Lines before the file is there are kept up to this many bytes.
const KEPT: usize = 256 * 1024;

enum Sink {
    /// Nobody wants them.
    Off,
    /// The file is not there yet.
    Waiting(Vec<u8>),
    File(File),
}

static SINK: Mutex<Sink> = Mutex::new(Sink::Off);

/// Starts to collect the process's logs.
pub(crate) fn collect() {
    *SINK.lock().unwrap_or_else(PoisonError::into_inner) = Sink::Waiting(Vec::new());
    shared::telemetry::init_logs(Writer);
}

/// Writes the logs to `path` from now on, what was collected first. Nothing happens when none are collected.
pub(crate) fn write_to(path: &Path) -> io::Result<()> {
    let mut sink = SINK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Sink::Waiting(kept) = &*sink {
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(kept)?;
        *sink = Sink::File(file);
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Writer;

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *SINK.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::File(file) => return file.write(line),
            Sink::Waiting(kept) if kept.len() + line.len() <= KEPT => kept.extend_from_slice(line),
            Sink::Waiting(_) | Sink::Off => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}
