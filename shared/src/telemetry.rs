//! How logs are written: one JSON object for each line, and an error with its whole cause chain. Which trace the work at
//! hand belongs to: [`TraceContext`].

mod trace;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

pub use trace::{InvalidTraceparent, TRACEPARENT, TraceContext};

/// Sends the process's logs to `writer`, one JSON object for each line; `TENFOLD_LOG` filters them (`tracing`'s
/// directives, default `info`). A second call changes nothing.
pub fn init_logs<W>(writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_env("TENFOLD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing::subscriber::set_global_default(subscriber(filter, writer));
}

/// What writes lines to `writer` in the form of [`init_logs`]: for a test that reads its own.
pub fn subscriber<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(writer).finish()
}

/// An error with all its causes, outermost first.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // An error that shows its source itself is not repeated.
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}
