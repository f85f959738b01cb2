//! `tenfold jobs watch`: the progress of jobs of the demo tenant, as bars; where no terminal is there to draw them, as a line
//! for each change.

use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use http::Method;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::dev::DevFile;
use crate::loopback::{self, Reply};

/// The parts of a bar.
const PARTS: u64 = 100;

/// States in which nothing more happens to a job by itself.
const ENDS: [&str; 3] = ["succeeded", "dead", "cancelled"];

/// Shows jobs until they have ended: those named, or else the newest that have not. Fails when one did not succeed.
pub(super) async fn watch(data: &std::path::Path, ids: Vec<String>) -> anyhow::Result<()> {
    let dev = DevFile::read(data).with_context(|| format!("cannot read {}", data.display()))?;
    let Some(dev) = dev else { bail!("no stack is running on {}", data.display()) };
    let ids = if ids.is_empty() { under_way(&dev).await? } else { ids };
    if ids.is_empty() {
        crate::terminal::say("No job is under way.");
        return Ok(());
    }
    // Bars are drawn where errors are told.
    let bars = std::io::stderr().is_terminal().then(MultiProgress::new);
    let shown = |bars: &MultiProgress| Shown::bar(bars.add(ProgressBar::new(PARTS)));
    let follows = ids.iter().map(async |id| {
        let shown = bars.as_ref().map_or(Ok(Shown::Lines), shown)?;
        follow(&dev, id, &shown).await
    });
    let states = try_join_all(follows).await?;
    match states.iter().filter(|state| *state != "succeeded").count() {
        0 => Ok(()),
        count => bail!("{count} of {} did not succeed", states.len()),
    }
}

/// The newest jobs that have not ended.
async fn under_way(dev: &DevFile) -> anyhow::Result<Vec<String>> {
    let jobs = get(dev, "/v2/jobs?limit=200").await?.json();
    let jobs = jobs.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let open = jobs.iter().filter(|job| !ENDS.contains(&text(job, "state")));
    Ok(open.map(|job| text(job, "id").to_owned()).take(20).collect())
}

/// How one job is shown.
enum Shown {
    Bar(ProgressBar),
    Lines,
}

impl Shown {
    fn bar(bar: ProgressBar) -> anyhow::Result<Self> {
        bar.set_style(ProgressStyle::with_template("{prefix:40} {bar:30} {percent:>3} % {msg}")?);
        Ok(Self::Bar(bar))
    }

    fn show(&self, at: &Standing) {
        match self {
            Self::Bar(bar) => {
                bar.set_prefix(at.job.clone());
                bar.set_position(at.percent);
                bar.set_message(at.said.clone());
                if at.is_end {
                    bar.abandon();
                }
            }
            Self::Lines => crate::terminal::say(&format!("{} {} % {}", at.job, at.percent, at.said)),
        }
    }
}

/// Where a job stands.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    /// Which one it is.
    job: String,
    percent: u64,
    /// What is told of it.
    said: String,
    is_end: bool,
}

impl Standing {
    fn of(job: &Value) -> Self {
        let state = text(job, "state");
        let fraction = job.pointer("/progress/fraction").and_then(Value::as_f64).unwrap_or_default();
        let said = job.pointer("/progress/message").and_then(Value::as_str).unwrap_or_default();
        let said = format!("{state}, attempt {}: {said}", job.get("attempts_begun").unwrap_or(&Value::Null));
        Self {
            job: format!("{} {}", text(job, "id"), text(job, "type")),
            percent: if state == "succeeded" { PARTS } else { percent(fraction) },
            said: said.trim_end_matches([':', ' ']).to_owned(),
            is_end: ENDS.contains(&state),
        }
    }
}

/// Shows one job with each change, and answers its last state.
async fn follow(dev: &DevFile, id: &str, shown: &Shown) -> anyhow::Result<String> {
    let (mut version, mut last): (Option<String>, Option<Standing>) = (None, None);
    loop {
        let path = format!("/v2/jobs/{id}?wait=20");
        let known = version.as_deref();
        let reply = loopback::send_if_changed(&dev.url, &path, &dev.api_key, known).await?;
        if reply.status.as_u16() == 304 {
            continue;
        }
        let job = expected(reply.status.is_success(), &reply, id)?;
        let at = Standing::of(&job);
        // A sign of life changes a job, and nothing of what is told of it.
        if last.as_ref() != Some(&at) {
            shown.show(&at);
        }
        if at.is_end {
            return Ok(text(&job, "state").to_owned());
        }
        last = Some(at);
        version = reply.header("etag").map(str::to_owned);
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is between 0 and 100
fn percent(fraction: f64) -> u64 {
    (fraction.clamp(0.0, 1.0) * 100.0) as u64
}

async fn get(dev: &DevFile, path: &str) -> anyhow::Result<Reply> {
    let reply = loopback::send(Method::GET, &dev.url, path, Some(&dev.api_key), None).await?;
    expected(reply.status.is_success(), &reply, path)?;
    Ok(reply)
}

fn expected(good: bool, reply: &Reply, what: &str) -> anyhow::Result<Value> {
    let answer = reply.json();
    if !good {
        bail!("{what}: {} {}", reply.status, text(&answer, "detail"));
    }
    Ok(answer)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_told_by_where_it_stands() {
        let job = |state: &str, progress: Value| {
            let job =
                json!({"id": "job_1", "type": "sleep", "state": state, "attempts_begun": 2, "progress": progress});
            Standing::of(&job)
        };
        let standing = |percent, said: &str, is_end| {
            let (job, said) = ("job_1 sleep".to_owned(), said.to_owned());
            Standing { job, percent, said, is_end }
        };
        assert_eq!(job("retrying", Value::Null), standing(0, "retrying, attempt 2", false));
        let progress = json!({"fraction": 0.4, "message": "2 of 5"});
        assert_eq!(job("running", progress.clone()), standing(40, "running, attempt 2: 2 of 5", false));
        assert_eq!(job("dead", progress), standing(40, "dead, attempt 2: 2 of 5", true));
        assert_eq!(job("succeeded", Value::Null), standing(100, "succeeded, attempt 2", true));
    }
}
