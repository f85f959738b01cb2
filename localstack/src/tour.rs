//! `tenfold tour`: a readable walk through what works, which doubles as a smoke test of the whole stack.

mod identity;
mod jobs;
mod links;
mod notes;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::future::BoxFuture;
use http::Method;
use serde_json::Value;

use crate::dev::DevFile;
use crate::instances::Functions;
use crate::loopback::{self, Reply};
use crate::stack::{Options, Stack};
use crate::terminal;

/// What is done by a queue and a worker shows within this time.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// One stop of the tour.
struct Step {
    /// Its heading.
    name: &'static str,
    /// What there is to see.
    shows: &'static str,
    /// Does it; an error ends the tour.
    walk: for<'a> fn(&'a Guide) -> BoxFuture<'a, anyhow::Result<()>>,
}

/// The tour, in its order.
const STEPS: &[Step] = &[
    Step {
        name: "Links",
        shows: "shorten a link, follow it, see the click counted",
        walk: |guide| Box::pin(links::walk(guide)),
    },
    Step {
        name: "Identity",
        shows: "sign up, verify by the mail, sign in, refresh, see the sessions, sign out",
        walk: |guide| Box::pin(identity::walk(guide)),
    },
    Step {
        name: "Jobs",
        shows: "have something done that fails at first, look at a schedule, lease a job to a worker of your own",
        walk: |guide| Box::pin(jobs::walk(guide)),
    },
    Step {
        name: "Notes",
        shows: "make a note, edit it twice, undo it from its history",
        walk: |guide| Box::pin(notes::walk(guide)),
    },
];

/// Leads through the stack of `data`, or through one that is started for it.
pub(crate) async fn run(functions: Functions, data: &Path) -> anyhow::Result<()> {
    let dev = DevFile::read(data).with_context(|| format!("cannot read {}", data.display()))?;
    if let Some(dev) = dev
        && answers(&dev).await
    {
        terminal::say(&format!("The stack at {} is running.", dev.url));
        return walk(dev).await;
    }
    terminal::say("No stack is running: starting one for the tour …");
    let stack = Stack::start(Options::ephemeral(functions)).await?;
    let walked = walk(stack.dev().clone()).await;
    let stopped = stack.shutdown().await;
    walked.and(stopped)
}

async fn answers(dev: &DevFile) -> bool {
    let reply = loopback::send(Method::GET, &dev.url, "/health", None, None).await;
    reply.is_ok_and(|reply| reply.status.is_success())
}

async fn walk(dev: DevFile) -> anyhow::Result<()> {
    let guide = Guide { dev };
    for (index, step) in STEPS.iter().enumerate() {
        terminal::say(&format!("\n{}. {}: {}", index + 1, step.name, step.shows));
        (step.walk)(&guide).await.with_context(|| format!("the step {:?} failed", step.name))?;
    }
    terminal::say("\nAll of it works.");
    Ok(())
}

/// Knows the stack, and says what it does.
struct Guide {
    dev: DevFile,
}

impl Guide {
    /// Says what has been seen.
    #[allow(clippy::unused_self)] // reads as what it is at the call
    fn note(&self, what: &str) {
        terminal::say(&format!("     {what}"));
    }

    /// Sends a request as the demo tenant and expects `status`.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>, status: u16) -> anyhow::Result<Reply> {
        self.send(method, path, body, status, Some(&self.dev.api_key)).await
    }

    /// Sends a request as anyone and expects `status`.
    async fn visit(&self, path: &str, status: u16) -> anyhow::Result<Reply> {
        self.send(Method::GET, path, None, status, None).await
    }

    /// Looks at `path` as the demo tenant until `shows` holds for the answer, and returns that answer.
    async fn watch(&self, path: &str, shows: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        terminal::say(&format!("   → GET {path} until it shows"));
        let looking = async {
            loop {
                let reply = loopback::send(Method::GET, &self.dev.url, path, Some(&self.dev.api_key), None).await?;
                let answer = reply.json();
                if shows(&answer) {
                    return anyhow::Ok(answer);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.with_context(|| format!("GET {path} did not show it in time"))?
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        status: u16,
        token: Option<&str>,
    ) -> anyhow::Result<Reply> {
        let shown = format!("{method} {path}");
        let reply = loopback::send(method, &self.dev.url, path, token, body).await.with_context(|| shown.clone())?;
        terminal::say(&format!("   → {shown} {}", body.map(Value::to_string).unwrap_or_default()));
        terminal::say(&format!("   ← {}", reply.status));
        if reply.status.as_u16() != status {
            bail!("{shown} answered {}, not {status}: {}", reply.status, String::from_utf8_lossy(&reply.body));
        }
        Ok(reply)
    }
}

/// The text at `pointer` of an answer.
fn text<'a>(answer: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    answer.pointer(pointer).and_then(Value::as_str).with_context(|| format!("the answer has no {pointer}: {answer}"))
}
