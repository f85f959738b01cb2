//! `tenfold` without a command: starts the stack, shows how to use it, and serves until it is told to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use shared::random::Random;
use tokio::signal::unix::{SignalKind, signal};

use crate::dev::DevFile;
use crate::services::State;
use crate::stack::{Options, Stack, Step};
use crate::terminal;

/// Starts a stack and serves until Ctrl-C, SIGTERM, or a server that ends again and again.
pub(super) async fn run(options: Options, quiet: bool) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let screen = Screen::default();
    let stack = tokio::select! {
        stack = Stack::start_with(options, Arc::new(move |step, state| screen.show(step, &state))) => stack?,
        _ = tokio::signal::ctrl_c() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    welcome(stack.dev(), &stack.data().join("logs").display().to_string());
    if !quiet {
        terminal::show_notes();
    }
    let crashed = tokio::select! {
        _ = tokio::signal::ctrl_c() => None,
        _ = terminate.recv() => None,
        error = stack.keep_up() => Some(error),
    };
    terminal::say("\nStopping …");
    let stopped = tokio::select! {
        stopped = stack.shutdown() => stopped,
        // Asked twice: at once. The supervisor sees to the servers.
        _ = tokio::signal::ctrl_c() => Ok(()),
    };
    match crashed {
        Some(error) => Err(error.into()),
        None => stopped,
    }
}

fn welcome(dev: &DevFile, logs: &str) {
    let DevFile { url, api_key, .. } = dev;
    // A name of its own at each start: the links of the last one are still there.
    let alias = format!("hello-{}", Random::system().text(b"abcdefghjkmnpqrstuvwxyz23456789", 4));
    terminal::say(&format!(
        r#"
Tenfold is ready: {url}

Demo API key:  {api_key}
Logs:          {logs}

Try it in a second terminal:

  KEY={api_key}

  # Shorten a link
  curl {url}/v2/links -H "Authorization: Bearer $KEY" \
    -H 'Content-Type: application/json' -d '{{"target": "https://example.com/", "alias": "{alias}"}}'

  # Follow it
  curl -i {url}/l/{alias}

  # See the click counted, within seconds
  LINK=$(curl -s "{url}/v2/links?search={alias}" -H "Authorization: Bearer $KEY" | grep -o 'link_[0-9a-z]*')
  curl {url}/v2/links/$LINK/stats -H "Authorization: Bearer $KEY"

A walk through what works: cargo run -- tour. Ctrl-C stops.
"#
    ));
}

/// One line for each step.
#[derive(Default)]
struct Screen {
    lines: MultiProgress,
    steps: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Screen {
    fn show(&self, step: Step, state: &State) {
        let name = step.to_string();
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let line = steps.entry(name.clone()).or_insert_with(|| self.line(&name));
        match state {
            State::Working(what) => line.set_message(what.clone()),
            State::Done(what) => finish(line, '✓', what),
            State::Failed => finish(line, '✗', "failed"),
        }
    }

    fn line(&self, name: &str) -> ProgressBar {
        let line = self.lines.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:26} {msg}") {
            line.set_style(style);
        }
        line.set_prefix(name.to_owned());
        line.enable_steady_tick(Duration::from_millis(100));
        line
    }
}

fn finish(line: &ProgressBar, mark: char, what: &str) {
    if let Ok(style) = ProgressStyle::with_template(&format!("{mark} {{prefix:26}} {{msg}}")) {
        line.set_style(style);
    }
    line.finish_with_message(what.to_owned());
}
