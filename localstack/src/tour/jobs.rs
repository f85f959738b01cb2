//! The task queue's stop.

use anyhow::bail;
use http::Method;
use serde_json::{Value, json};

use super::{Guide, text};

pub(super) async fn walk(guide: &Guide) -> anyhow::Result<()> {
    let work = json!({
        "type": "sleep", "payload": {"milliseconds": 500, "fail_attempts": 1},
        "backoff": {"kind": "fixed", "seconds": 1}, "unique": {"key": "tour"},
    });
    let made = guide.call(Method::POST, "/v2/jobs", Some(&work), 201).await?.json();
    let id = text(&made, "/id")?;
    let same = guide.call(Method::POST, "/v2/jobs", Some(&work), 200).await?.json();
    if text(&same, "/id")? != id {
        bail!("a second job of the same key was made");
    }
    guide.note("Asked for twice, it is there once: it is the only one of its key.");
    let done = guide.watch(&format!("/v2/jobs/{id}?wait=10"), |job| state(job) == "succeeded").await?;
    let failed = done.pointer("/attempts/0/failure/message").and_then(Value::as_str).unwrap_or_default();
    guide.note(&format!("The first attempt failed ({failed}), the second did it."));

    let nightly = json!({
        "name": "Nightly report", "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "job": {"type": "noop"},
    });
    let schedule = guide.call(Method::POST, "/v2/schedules", Some(&nightly), 201).await?.json();
    guide.note(&format!("A schedule. Its next times: {}", schedule.pointer("/next_times").unwrap_or(&Value::Null)));
    guide.call(Method::DELETE, &format!("/v2/schedules/{}", text(&schedule, "/id")?), None, 204).await?;

    let pulled = json!({"type": "tour.pull", "queue": "tour", "payload": {"page": 1}});
    let made = guide.call(Method::POST, "/v2/jobs", Some(&pulled), 201).await?.json();
    let id = text(&made, "/id")?;
    let lease = json!({"max": 1, "wait_seconds": 5, "worker": "guide"});
    let leased = guide.call(Method::POST, "/v2/queues/tour/lease", Some(&lease), 200).await?.json();
    let Some(claim) = leased.pointer("/jobs/0/claim").and_then(Value::as_u64) else {
        bail!("no job was leased: {leased}")
    };
    let complete = format!("/v2/jobs/{id}/complete");
    guide.call(Method::POST, &complete, Some(&json!({"claim": claim + 1})), 409).await?;
    guide.note("A worker of your own leased it. Who names another claim is refused.");
    let result = json!({"claim": claim, "result": {"pages": 1}});
    let done = guide.call(Method::POST, &complete, Some(&result), 200).await?.json();
    guide.note(&format!("It is {}: {}", state(&done), done.pointer("/result").unwrap_or(&Value::Null)));

    let made = guide.call(Method::POST, "/v2/jobs", Some(&json!({"type": "tenant.export"})), 201).await?.json();
    let export = format!("/v2/jobs/{}", text(&made, "/id")?);
    let done = guide.watch(&format!("{export}?wait=10"), |job| state(job) == "succeeded").await?;
    guide.call(Method::GET, &format!("{export}/files/{}", text(&done, "/result/manifest")?), None, 303).await?;
    let files = done.pointer("/result/files").and_then(Value::as_array).map_or(0, Vec::len);
    guide.note(&format!("All that the tenant has is in {files} files, without a secret; the manifest names them."));
    Ok(())
}

fn state(job: &Value) -> &str {
    job.pointer("/state").and_then(Value::as_str).unwrap_or_default()
}
