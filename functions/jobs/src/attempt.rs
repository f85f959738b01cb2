//! One try to do a job, and what it came to.

use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use shared::random::Random;
use shared::time::{SignedDuration, Timestamp};
use utoipa::ToSchema;

use crate::job::{Job, Phase};

/// How many ended attempts are kept with a job.
pub const KEPT: usize = 20;

/// Characters of a failure's message that are kept.
const LONGEST_MESSAGE: usize = 500;

/// An attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = JobAttempt)]
pub struct Attempt {
    /// Which one, from 1. After a retry by hand it begins again.
    pub number: u32,
    /// When it was begun.
    #[serde(serialize_with = "shared::time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "shared::time::millis")]
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
    /// Who made it.
    pub worker: Option<String>,
    /// Why it failed; null for one that succeeded.
    pub failure: Option<Failure>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = JobFailure)]
pub struct Failure {
    /// What kind of failure: `timeout`, `lease_expired`, `http_500`, `connection`, or the worker's own word.
    #[schema(example = "http_503")]
    pub class: String,
    /// What happened: up to 500 characters.
    pub message: String,
    /// The same for failures of the same kind: class and message without what differs from one to the next, such as
    /// numbers and ids. Dead jobs are grouped by it.
    #[schema(example = "5f0c1e9a2b7d4c68")]
    pub fingerprint: String,
}

impl Failure {
    /// A failure with its fingerprint. What is too long is cut.
    pub fn new(class: impl Into<String>, message: impl AsRef<str>) -> Self {
        let class: String = class.into();
        let class: String = class.chars().filter(|character| !character.is_control()).take(100).collect();
        let message: String = message.as_ref().chars().take(LONGEST_MESSAGE).collect();
        let fingerprint = fingerprint(&class, &message);
        Self { class, message, fingerprint }
    }
}

/// Words with a digit in them differ from failure to failure (ids, times, addresses): they count as one word.
fn fingerprint(class: &str, message: &str) -> String {
    let mut text = String::from(class);
    for word in message.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        text.push(' ');
        if word.chars().any(|character| character.is_ascii_digit()) { text.push('0') } else { text.push_str(word) }
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    HEXLOWER.encode(digest.as_ref().get(..8).unwrap_or_default())
}

/// What an attempt came to, by whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, with a result as JSON.
    Succeeded(Option<String>),
    /// It failed.
    Failed {
        /// How.
        failure: Failure,
        /// Whether no further attempt can succeed.
        permanent: bool,
        /// Wait at least so long.
        retry_after: Option<Duration>,
    },
    /// It is not its time: it waits, and the attempt does not count.
    Snoozed(Duration),
    /// It stopped because it was asked to.
    Cancelled,
}

impl Outcome {
    /// A failure after which it is tried again.
    pub const fn failed(failure: Failure) -> Self {
        Self::Failed { failure, permanent: false, retry_after: None }
    }

    /// A failure for good.
    pub const fn poison(failure: Failure) -> Self {
        Self::Failed { failure, permanent: true, retry_after: None }
    }
}

/// Where a job goes from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Succeeded(Option<String>),
    /// It waits until then.
    Waiting(Timestamp),
    /// Given up.
    Dead,
    /// Called off.
    Cancelled,
}

impl Next {
    /// The phase that it leads to.
    pub const fn phase(&self) -> Phase {
        match self {
            Self::Succeeded(_) => Phase::Succeeded,
            Self::Waiting(_) => Phase::Waiting,
            Self::Dead => Phase::Dead,
            Self::Cancelled => Phase::Cancelled,
        }
    }
}

impl Job {
    /// Where `outcome` leads, and the attempt for the history (a snoozed one is no attempt).
    pub fn after(&self, outcome: Outcome, now: Timestamp, random: &Random) -> (Next, Option<Attempt>) {
        let later = |wait: Duration| {
            SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
        };
        let ended = |failure| Attempt {
            number: self.attempt,
            started_at: self.started_at.unwrap_or(now),
            ended_at: now,
            worker: self.worker.clone(),
            failure,
        };
        match outcome {
            Outcome::Succeeded(result) => (Next::Succeeded(result), Some(ended(None))),
            Outcome::Snoozed(_) if self.cancel_requested => (Next::Cancelled, None),
            Outcome::Snoozed(wait) => (Next::Waiting(later(wait)), None),
            Outcome::Cancelled => (Next::Cancelled, Some(ended(None))),
            Outcome::Failed { failure, .. } if self.cancel_requested => (Next::Cancelled, Some(ended(Some(failure)))),
            Outcome::Failed { failure, permanent, .. } if permanent || self.attempt >= self.max_attempts => {
                (Next::Dead, Some(ended(Some(failure))))
            }
            Outcome::Failed { failure, retry_after, .. } => {
                let wait = self.backoff.wait(self.attempt, random).max(retry_after.unwrap_or_default());
                (Next::Waiting(later(wait)), Some(ended(Some(failure))))
            }
        }
    }

    /// Whether the claim was ended by `outcome`: said once more, it is no news.
    pub fn was_ended_by(&self, claim: u64, outcome: &Outcome) -> bool {
        let failed_so = |failure| self.history.last().and_then(|attempt| attempt.failure.as_ref()) == Some(failure);
        self.claims == claim
            && match (self.phase, outcome) {
                (Phase::Succeeded, Outcome::Succeeded(result)) => self.result == *result,
                (Phase::Waiting | Phase::Dead | Phase::Cancelled, Outcome::Failed { failure, .. }) => {
                    failed_so(failure)
                }
                (Phase::Cancelled, Outcome::Cancelled) => true,
                // That a job was put off is written nowhere.
                _ => false,
            }
    }

    /// The history with one more attempt.
    pub fn history_with(&self, attempt: Option<Attempt>) -> Vec<Attempt> {
        let all: Vec<_> = self.history.iter().cloned().chain(attempt).collect();
        let past = all.len().saturating_sub(KEPT);
        all.into_iter().skip(past).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_kind_have_one_fingerprint() {
        let print = |class: &str, message: &str| Failure::new(class, message).fingerprint;
        let first = print("http_500", "order 4711 at 10.0.0.1 failed: no stock");
        assert_eq!(first, print("http_500", "order 9 at 10.0.0.27 failed: no stock"));
        assert_ne!(first, print("http_500", "order 9 at 10.0.0.27 failed: no money"));
        assert_ne!(first, print("http_502", "order 4711 at 10.0.0.1 failed: no stock"));
        assert_eq!(Failure::new("x", "ä".repeat(900)).message.chars().count(), 500);
    }
}
