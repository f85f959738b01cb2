//! The record of a job, and its states.
//!
//! ```text
//!            ┌───────────┐ its time  ┌────────┐  claim   ┌─────────┐ success ┌───────────┐
//!  enqueue ─▶│ scheduled │ ────────▶ │ queued │ ───────▶ │ running │ ──────▶ │ succeeded │
//!            └───────────┘           └────────┘          └─────────┘         └───────────┘
//!                  its time ▲  ┌──────────┐  failure, attempts left │ │ no attempts left, or poison  ┌──────┐
//!                           └─ │ retrying │ ◀───────────────────────┘ └────────────────────────────▶ │ dead │
//!                              └──────────┘                                                           └──────┘
//!  cancel leads from scheduled, queued and retrying to cancelled at once, and from running as soon as the worker hears
//!  of it; retry leads from dead, cancelled and succeeded back to queued.
//! ```
//! A job that depends on others is blocked until they have ended, and scheduled or queued then.
//!
//! Blocked, scheduled, queued and retrying are one stored phase, [`Phase::Waiting`]: the passing of time is no write. Every
//! transition is one conditional write that names the phase it leaves and, out of running, the claim it holds
//! ([`Job::claims`], the fencing token): what a worker says after its lease has ended and the job was claimed again is
//! refused.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::id::{Id, Kind, TenantId};
use shared::telemetry::TraceContext;
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::done::OnDone;
use crate::name::{JobKey, JobType, QueueName, Tags};
use crate::payload::Payload;

/// The kind of a job's id.
#[derive(Debug)]
pub enum JobKind {}
impl Kind for JobKind {
    const PREFIX: &'static str = "job";
}

/// The id of a job.
pub type JobId = Id<JobKind>;

/// How long a claim holds without a sign of life.
pub const LEASE: Duration = Duration::from_mins(1);

/// How long a job that has ended is kept: 14 days, unless its queue says otherwise or its `unique` period is longer.
pub const RETENTION_DAYS: u32 = 14;

/// What is stored of where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// For its time, or for a worker.
    Waiting,
    /// A worker holds it.
    Running,
    /// Done.
    Succeeded,
    /// Given up.
    Dead,
    /// Called off.
    Cancelled,
}

impl Phase {
    /// As it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more happens to the job by itself.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }
}

/// What becomes of a job when one that it depends on does not succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobParentFailure)]
pub enum ParentFailure {
    /// It is cancelled, and so are those that depend on it.
    #[default]
    Cancel,
    /// It is done all the same.
    Run,
}

/// Where a job stands. New states may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobState)]
pub enum State {
    /// Jobs that it depends on have not ended.
    Blocked,
    /// Its time has not come.
    Scheduled,
    /// It waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// It failed, and its next attempt has a time.
    Retrying,
    /// It is done.
    Succeeded,
    /// It failed for good.
    Dead,
    /// It was called off.
    Cancelled,
}

impl State {
    /// As clients see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// How soon a waiting job is taken up: each level has workers of its own, in the ratio 6 to 3 to 1, so none starves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobPriority)]
pub enum Priority {
    /// Before the others.
    High,
    /// As usual.
    #[default]
    Normal,
    /// When there is time.
    Low,
}

impl Priority {
    /// All, the highest first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Sorts before those that are taken up later.
    pub const fn rank(self) -> char {
        match self {
            Self::High => '1',
            Self::Normal => '2',
            Self::Low => '3',
        }
    }
}

/// Who does a job.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Runner {
    /// A handler of this service, found by the job's type.
    BuiltIn,
    /// The server at a URL, which is sent the job.
    Http {
        /// Where to.
        url: String,
    },
    /// A worker that leases it.
    Pull,
}

/// What keeps a job the only one of its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Unique {
    /// The key.
    pub key: JobKey,
    /// Until when no other is made, though this one has ended; none: until it has ended.
    pub until: Option<Timestamp>,
}

/// How far a running job says it is.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JobProgress)]
pub struct Progress {
    /// From 0 to 1.
    #[schema(minimum = 0, maximum = 1, example = 0.4)]
    pub fraction: f64,
    /// What it is doing: up to 200 characters.
    #[serde(default)]
    pub message: Option<String>,
}

/// A job.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Job {
    /// Which one.
    pub id: JobId,
    /// Whose.
    pub tenant_id: TenantId,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: JobType,
    /// Where it waits.
    pub queue: QueueName,
    /// What it is about.
    pub payload: Payload,
    /// How soon it is taken up.
    pub priority: Priority,
    /// Who does it.
    pub runner: Runner,
    /// Where it stands.
    pub phase: Phase,
    /// Before this it is not taken up.
    #[serde(serialize_with = "shared::time::millis")]
    pub ready_at: Timestamp,
    /// How many attempts were begun.
    pub attempt: u32,
    /// How many may be.
    pub max_attempts: u32,
    /// How often it was claimed: the fencing token of the claim that holds it. It never goes back.
    pub claims: u64,
    /// The last claim whose message the server at its URL has taken over, or that came before it was done again: what is
    /// sent from then on is another message.
    #[serde(default, skip_serializing_if = "is_no_claim")]
    pub acknowledged: u64,
    /// How it is tried again.
    pub backoff: Backoff,
    /// How long one attempt may take.
    pub timeout_seconds: u32,
    /// What it is the only one of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Unique>,
    /// What it shares a limit of concurrency with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_key: Option<JobKey>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// The jobs that it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<JobId>,
    /// Those of them that have not ended, as far as it has heard. It is not taken up before there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", with = "serde_dynamo::string_set")]
    pub waits_for: BTreeSet<JobId>,
    /// What becomes of it when one of them does not succeed.
    #[serde(default)]
    pub on_parent_failure: ParentFailure,
    /// Whether others depend on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_children: bool,
    /// What follows its end.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::done::as_text")]
    pub on_done: Option<OnDone>,
    /// Until when the claim holds.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub lease_until: Option<Timestamp>,
    /// When the attempt under way, or the last one, was begun.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub started_at: Option<Timestamp>,
    /// Who holds it, or held it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// What the claim was written with: one whose answer was lost knows itself again by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// The limits of concurrency that the claim counts in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<String>,
    /// The limit for which it is parked: there is no message for it on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Whether the worker was asked to stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    /// What came of it, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The attempts that have ended, the oldest first; at most [`crate::attempt::KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Attempt>,
    /// Days that it is kept after its end.
    pub retention_days: u32,
    /// When it was made.
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// By whom: a user, an API key, a schedule or a job.
    pub created_by: String,
    /// The trace in which it was made: its messages and attempts belong to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "shared::time::millis_or_null")]
    pub finished_at: Option<Timestamp>,
    /// Grows with each write.
    pub revision: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde asks
const fn is_no_claim(claim: &u64) -> bool {
    *claim == 0
}

impl Job {
    /// Where it stands at `now`.
    pub fn state(&self, now: Timestamp) -> State {
        match self.phase {
            Phase::Waiting if !self.waits_for.is_empty() => State::Blocked,
            Phase::Waiting if self.ready_at <= now => State::Queued,
            Phase::Waiting if self.attempt > 0 => State::Retrying,
            Phase::Waiting => State::Scheduled,
            Phase::Running => State::Running,
            Phase::Succeeded => State::Succeeded,
            Phase::Dead => State::Dead,
            Phase::Cancelled => State::Cancelled,
        }
    }

    /// Whether a claim holds it at `now`.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.phase == Phase::Running && self.lease_until.is_some_and(|until| until > now)
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds))
    }

    /// The jobs that it waits for, each once, in the order in which they were named.
    pub fn waits_for_in_order(&self) -> Vec<JobId> {
        let mut left = self.waits_for.clone();
        self.depends_on.iter().filter(|id| left.remove(id)).copied().collect()
    }

    /// When what is left of it is removed, if it ends at `at`: not while another of its key is answered with it.
    pub fn removed_at(&self, at: Timestamp) -> Timestamp {
        let kept = SignedDuration::from_hours(24 * i64::from(self.retention_days));
        let end = at.checked_add(kept).unwrap_or(Timestamp::MAX);
        self.unique.as_ref().and_then(|unique| unique.until).map_or(end, |until| until.max(end))
    }

    /// What becomes of it when it is done again, or at another time, from `ready_at` on. One that has ended has all its
    /// attempts again. What it was the only one of by being under way, it is not any more.
    #[must_use]
    pub fn again(&self, ready_at: Timestamp) -> Self {
        let revision = self.revision + 1;
        let waiting = Self { phase: Phase::Waiting, ready_at, parked: None, revision, ..self.clone() };
        if !self.phase.is_end() {
            return waiting;
        }
        let unique = self.unique.clone().filter(|unique| unique.until.is_some());
        let acknowledged = self.claims;
        Self { attempt: 0, acknowledged, finished_at: None, result: None, progress: None, unique, ..waiting }
    }

    /// The job when who has the claim has said what comes of it: a server that did so has taken the message over.
    #[must_use]
    pub fn acknowledged(self) -> Self {
        match self.runner {
            Runner::Http { .. } => Self { acknowledged: self.claims, ..self },
            Runner::BuiltIn | Runner::Pull => self,
        }
    }

    /// Whether it tells of the end of another job, and is no work of its own.
    pub fn is_notification(&self) -> bool {
        self.kind == JobType::callback() && self.queue == QueueName::callbacks()
    }

    /// The id of the message with which it is sent. The same each time it is sent again because the server has not taken it
    /// over: then it was never done, or is done twice. What tells of the end of another job is one message for ever.
    pub fn message_id(&self) -> String {
        if self.is_notification() {
            return self.id.to_string();
        }
        format!("{}_{}", self.id, self.acknowledged + 1)
    }

    /// Its result as JSON.
    pub fn result_json(&self) -> Option<Box<RawValue>> {
        RawValue::from_string(self.result.clone()?).ok()
    }
}
