//! How jobs are made: what a client may ask, and the rules that concern several fields, the time or the queue. The rules
//! of single fields are in their types.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::id::TenantId;
use shared::refusal::{Fault, Refusal};
use shared::telemetry::TraceContext;
use shared::time::{SignedDuration, Timestamp, to_millisecond};
use utoipa::ToSchema;

use crate::backoff::Backoff;
use crate::dependency::Dependency;
use crate::done::OnDone;
use crate::job::{Job, JobId, ParentFailure, Phase, Priority, Runner, Unique};
use crate::name::{JobKey, JobRef, JobType, QueueName, Tags};
use crate::payload::{LARGEST, Payload};
use crate::queue::{LONGEST_TIMEOUT_SECONDS, MOST_ATTEMPTS, Settings};

/// How far ahead a job may be put: 10 years, in seconds.
const FURTHEST_SECONDS: u32 = 10 * 366 * 24 * 60 * 60;

/// The longest period in which a job stays the only one of its key: 31 days, in seconds.
const LONGEST_PERIOD_SECONDS: u32 = 31 * 24 * 60 * 60;

/// The most jobs that one depends on.
pub(crate) const MOST_PARENTS: usize = 20;

/// What a client sends to have a job made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// What it does: a built-in handler (`http.request`, `image.derive`, `mail.send`, `noop`, `report.usage`, `sleep`,
    /// `tenant.export`), or any name that your own workers know.
    #[serde(rename = "type")]
    pub kind: JobType,
    /// Where it waits. A queue comes to be with its first job.
    #[serde(default)]
    pub queue: QueueName,
    /// What it is about: any JSON, at most 5 MB. It is kept as it is written.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    pub payload: Option<Box<RawValue>>,
    /// When it is to be done, up to 10 years ahead; without this and `delay_seconds`, now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub run_at: Option<Timestamp>,
    /// In how many seconds it is to be done: 1 second to 10 years.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 316_224_000)]
    pub delay_seconds: Option<u32>,
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
    /// Makes no second job of the same type, queue and key: the one that is there is answered instead.
    #[serde(default)]
    pub unique: Option<NewUnique>,
    /// Of the jobs with this key, only so many run at once as the queue's `concurrency_per_key` says.
    #[serde(default)]
    pub concurrency_key: Option<JobKey>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Tags,
    /// Jobs that have to end first, up to 20: ids, or in a batch `{"ref": "…"}` with the `ref` of an earlier job of it.
    /// Your worker gets their results with the job.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub depends_on: Vec<Dependency>,
    /// In a batch: by what name later jobs of it depend on this one. No two jobs of a batch have the same.
    #[serde(default, rename = "ref")]
    pub reference: Option<JobRef>,
    /// What becomes of it when one of these does not succeed.
    #[serde(default)]
    pub on_parent_failure: ParentFailure,
    /// What follows its end.
    #[serde(default)]
    pub on_done: Option<OnDone>,
    /// The URL that it is sent to, signed. Without it, as its queue says.
    #[serde(default)]
    #[schema(format = "uri", example = "https://example.com/jobs")]
    pub deliver_to: Option<String>,
}

/// What keeps a job the only one of its key.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUnique {
    /// The key.
    pub key: JobKey,
    /// For so many seconds from now on, though the job ends before; at most 31 days. The job is kept as long, too. Without it,
    /// until the job has ended.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2_678_400)]
    pub period_seconds: Option<u32>,
}

/// Who makes a job, and when.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The new job's id.
    pub id: JobId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Who makes it.
    pub created_by: String,
    /// When.
    pub now: Timestamp,
}

impl NewJob {
    /// A job of this type with nothing else said.
    pub fn of(kind: JobType) -> Self {
        Self {
            kind,
            queue: QueueName::default(),
            payload: None,
            run_at: None,
            delay_seconds: None,
            priority: Priority::default(),
            max_attempts: None,
            backoff: None,
            timeout_seconds: None,
            unique: None,
            concurrency_key: None,
            tags: Tags::default(),
            depends_on: Vec::new(),
            reference: None,
            on_parent_failure: ParentFailure::default(),
            on_done: None,
            deliver_to: None,
        }
    }

    /// The job, if every rule is kept. `is_built_in` says whether this service has a handler for its type. It depends on the
    /// jobs that have an id.
    pub fn into_job(self, origin: Origin, settings: &Settings, is_built_in: bool) -> Result<Job, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut bounded = |value: Option<u32>, most: u32, pointer: &'static str| {
            if value.is_some_and(|value| !(1..=most).contains(&value)) {
                faults.push(Refusal::new("out_of_range", format!("must be 1 to {most}")).at(pointer));
            }
        };
        bounded(self.max_attempts, MOST_ATTEMPTS, "/max_attempts");
        bounded(self.timeout_seconds, LONGEST_TIMEOUT_SECONDS, "/timeout_seconds");
        bounded(self.delay_seconds, FURTHEST_SECONDS, "/delay_seconds");
        let period = self.unique.as_ref().and_then(|unique| unique.period_seconds);
        bounded(period, LONGEST_PERIOD_SECONDS, "/unique/period_seconds");
        faults.extend(self.backoff.iter().flat_map(Backoff::faults));
        let payload = self.payload.as_deref().unwrap_or(RawValue::NULL);
        if payload.get().len() > LARGEST {
            faults.push(Refusal::new("too_large", "may have at most 5 MB").at("/payload"));
        }
        if self.depends_on.len() > MOST_PARENTS {
            faults.push(Refusal::new("too_many", "there may be at most 20").at("/depends_on"));
        }
        if is_built_in && self.deliver_to.is_some() {
            faults.push(Refusal::new("not_allowed", "a job of a built-in type is not sent anywhere").at("/deliver_to"));
        }
        let later =
            |seconds: u32| origin.now.checked_add(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MAX);
        let ready_at = match (self.run_at, self.delay_seconds) {
            (Some(_), Some(_)) => {
                faults.push(Refusal::new("conflict", "give run_at or delay_seconds, not both").at("/delay_seconds"));
                origin.now
            }
            (Some(at), None) if at <= origin.now => {
                faults.push(Refusal::new("in_the_past", "must be in the future").at("/run_at"));
                at
            }
            (Some(at), None) if is_too_far(at, origin.now) => {
                faults.push(Refusal::new("out_of_range", "may be at most 10 years ahead").at("/run_at"));
                at
            }
            (Some(at), None) => at,
            (None, Some(seconds)) => later(seconds),
            (None, None) => origin.now,
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let runner = match self.deliver_to.or_else(|| settings.deliver_to.clone()) {
            _ if is_built_in => Runner::BuiltIn,
            Some(url) => Runner::Http { url },
            None => Runner::Pull,
        };
        Ok(Job {
            id: origin.id,
            tenant_id: origin.tenant_id,
            kind: self.kind,
            queue: self.queue,
            payload: Payload::of(payload),
            priority: self.priority,
            runner,
            phase: Phase::Waiting,
            ready_at: to_millisecond(ready_at),
            attempt: 0,
            max_attempts: self.max_attempts.unwrap_or(settings.max_attempts),
            claims: 0,
            acknowledged: 0,
            backoff: self.backoff.unwrap_or_else(|| settings.backoff.clone()),
            timeout_seconds: self.timeout_seconds.unwrap_or(settings.timeout_seconds),
            unique: self.unique.map(|unique| Unique { key: unique.key, until: unique.period_seconds.map(later) }),
            concurrency_key: self.concurrency_key,
            tags: self.tags,
            waits_for: BTreeSet::new(),
            depends_on: self.depends_on.iter().filter_map(Dependency::id).collect(),
            on_parent_failure: self.on_parent_failure,
            has_children: false,
            on_done: self.on_done,
            lease_until: None,
            started_at: None,
            worker: None,
            mark: None,
            slots: Vec::new(),
            parked: None,
            progress: None,
            cancel_requested: false,
            result: None,
            history: Vec::new(),
            retention_days: settings.retention_days,
            created_at: to_millisecond(origin.now),
            created_by: origin.created_by,
            trace: TraceContext::current(),
            finished_at: None,
            revision: 1,
        })
    }
}

/// Whether `at` is further ahead than a job may be put.
pub(crate) fn is_too_far(at: Timestamp, now: Timestamp) -> bool {
    at.duration_since(now) > SignedDuration::from_secs(FURTHEST_SECONDS.into())
}
