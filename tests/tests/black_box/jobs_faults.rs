//! Jobs when the network, a service of AWS, a worker or the sweeper fails: none is lost, none ends twice, and its attempts
//! say what happened.
//!
//! The functions are the test's own ([`own_jobs::OwnJobs`]): the test brings their messages and moves their clock past leases,
//! backoffs and the sweeper's first look, so that nothing waits.

mod calls;
mod changes;
mod chaos;
mod enqueueing;
mod exports;
mod fairness;
mod families;
mod kept;
mod killed;
mod leases;
mod leasing;
mod limits;
mod lost_answers;
mod mails;
mod messages;
mod own_jobs;
mod poison;
mod rates;
mod signing;
mod sweeper;

use serde_json::{Value, json};
use tests::Fault;

use crate::jobs::Receiver;

/// A process that dies before a call is done and after it, and an answer that is lost: what else can happen to a call is
/// like the first, or tried again by the SDK.
const LOSSES: [(Fault, bool); 3] = [(Fault::LostRequest, true), (Fault::LostAnswer, false), (Fault::LostAnswer, true)];

/// The failures of a job's attempts, `done` for one that succeeded.
fn story_of(job: &Value) -> Vec<String> {
    let attempts = job["attempts"].as_array().unwrap();
    assert_eq!(json!(attempts.len()), job["attempt"], "each attempt is told: {job}");
    for (number, attempt) in (1..).zip(attempts) {
        assert_eq!(attempt["number"], json!(number), "{job}");
    }
    let class = |attempt: &Value| attempt["failure"]["class"].as_str().unwrap_or("done").to_owned();
    attempts.iter().map(class).collect()
}

/// Checks that a job is done, after attempts whose workers were lost, and says how many those were.
#[track_caller]
fn done_after_losses(job: &Value, when: &str) -> usize {
    assert_eq!(job["state"], "succeeded", "{when}: {job}");
    let mut story = story_of(job);
    assert_eq!(story.pop().as_deref(), Some("done"), "{when}: {job}");
    assert!(story.iter().all(|class| class == "lease_expired"), "{when}: {story:?}");
    story.len()
}

/// A job that is sent to `receiver` and tried again a second after a failure.
fn sent_to(receiver: &Receiver) -> Value {
    json!({
        "type": "order.pack", "deliver_to": receiver.url("/"), "payload": {"order": 4711}, "max_attempts": 5,
        "backoff": {"kind": "fixed", "seconds": 1},
    })
}
