//! `tenfold jobs watch`: the progress of jobs of the demo tenant, as bars.

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
    let bars = MultiProgress::new();
    let states = try_join_all(ids.iter().map(|id| follow(&dev, id, bars.add(ProgressBar::new(PARTS))))).await?;
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

/// Draws one job with each change, and answers its last state.
async fn follow(dev: &DevFile, id: &str, bar: ProgressBar) -> anyhow::Result<String> {
    bar.set_style(ProgressStyle::with_template("{prefix:40} {bar:30} {percent:>3} % {msg}")?);
    let mut version: Option<String> = None;
    loop {
        let path = format!("/v2/jobs/{id}?wait=20");
        let known = version.as_deref();
        let reply = loopback::send_if_changed(&dev.url, &path, &dev.api_key, known).await?;
        if reply.status.as_u16() == 304 {
            continue;
        }
        let job = expected(reply.status.is_success(), &reply, id)?;
        let state = text(&job, "state");
        let fraction = job.pointer("/progress/fraction").and_then(Value::as_f64).unwrap_or_default();
        bar.set_prefix(format!("{id} {}", text(&job, "type")));
        bar.set_position(if state == "succeeded" { PARTS } else { percent(fraction) });
        let said = job.pointer("/progress/message").and_then(Value::as_str).unwrap_or_default();
        bar.set_message(format!("{state}, attempt {} {said}", job.get("attempts_begun").unwrap_or(&Value::Null)));
        if ENDS.contains(&state) {
            bar.abandon();
            return Ok(state.to_owned());
        }
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
