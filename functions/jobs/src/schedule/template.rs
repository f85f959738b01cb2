//! The job that a schedule makes each time.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::record::Schedule;
use crate::backoff::Backoff;
use crate::done::OnDone;
use crate::job::Priority;
use crate::name::{JobKey, JobType, QueueName, Tags};
use crate::rules::NewJob;

/// A job that is made again and again: what can be said of a new job, but for its time and for what it is unique by.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ScheduledJob)]
pub struct Template {
    /// What it does: the name of a built-in handler, or any name that your own workers know.
    #[serde(rename = "type")]
    pub kind: JobType,
    /// Where it waits. A queue comes to be with its first schedule or job.
    #[serde(default)]
    pub queue: QueueName,
    /// What it is about: any JSON, at most 4 KB.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    pub payload: Option<Box<RawValue>>,
    /// How soon it is taken up.
    #[serde(default)]
    pub priority: Priority,
    /// How often it is tried: 1 to 50. Without it, as its queue says.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 50)]
    pub max_attempts: Option<u32>,
    /// How it waits between attempts. Without it, as its queue says.
    #[serde(default)]
    pub backoff: Option<Backoff>,
    /// How long one attempt may take: 1 to 840 seconds. Without it, as its queue says.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 840)]
    pub timeout_seconds: Option<u32>,
    /// Of the jobs with this key, only so many run at once as the queue's `concurrency_per_key` says.
    #[serde(default)]
    pub concurrency_key: Option<JobKey>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Tags,
    /// What follows its end.
    #[serde(default)]
    pub on_done: Option<OnDone>,
    /// The URL that it is sent to, signed. Without it, as its queue says.
    #[serde(default)]
    #[schema(format = "uri", example = "https://example.com/jobs")]
    pub deliver_to: Option<String>,
}

impl From<Template> for NewJob {
    fn from(template: Template) -> Self {
        Self {
            queue: template.queue,
            payload: template.payload,
            priority: template.priority,
            max_attempts: template.max_attempts,
            backoff: template.backoff,
            timeout_seconds: template.timeout_seconds,
            concurrency_key: template.concurrency_key,
            tags: template.tags,
            on_done: template.on_done,
            deliver_to: template.deliver_to,
            ..Self::of(template.kind)
        }
    }
}

impl Template {
    /// What a merge patch is applied to that says this `backoff` and `on_done`. Both are of one kind or another: what a patch
    /// gives another kind replaces what is there, whose members have no meaning there.
    pub fn patched_by(self, backoff: Option<&Value>, on_done: Option<&Value>) -> Self {
        let kind = backoff.and_then(|backoff| backoff.get("kind")?.as_str());
        let names =
            |member: &str| on_done.and_then(|on_done| on_done.get(member)).is_some_and(|value| !value.is_null());
        let backoff = self.backoff.filter(|backoff| kind.is_none_or(|kind| backoff.kind() == kind));
        let on_done = self.on_done.filter(|on_done| match on_done {
            OnDone::Url { .. } => !names("job"),
            OnDone::Job { .. } => !names("url"),
        });
        Self { backoff, on_done, ..self }
    }

    /// As it is stored: the text of the schedule before, when it means the same, since a merge patch writes payloads
    /// anew.
    pub(super) fn text(&self, before: Option<&Schedule>) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        let value = |text: &str| serde_json::from_str::<Value>(text).ok();
        let same = before.filter(|before| value(&before.job) == value(&text));
        same.map_or(text, |before| before.job.clone())
    }
}
