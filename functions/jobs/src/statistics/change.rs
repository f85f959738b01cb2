//! What one write of a job means for the numbers of its queue: from the record before and after it, and nothing else.

use shared::time::{SignedDuration, Timestamp};

use crate::job::{Job, Phase};

/// Jobs that become ready later than this after they were written are not kept by their time.
pub const SOON: SignedDuration = SignedDuration::from_mins(5);

/// Where a job counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It waits for others.
    Blocked,
    /// It waits for its time, or for a worker.
    Waiting {
        /// After a failure.
        again: bool,
        /// From when on it is ready.
        ready_at: Timestamp,
        /// Whether it is only counted.
        far: bool,
    },
    /// A worker has it.
    Running,
    /// It is done.
    Succeeded,
    /// It failed for good.
    Dead,
    /// It was called off.
    Cancelled,
}

impl Place {
    /// Of a job as it is stored, by nothing else: so it leaves the place that it came to.
    pub fn of(job: &Job) -> Self {
        match job.phase {
            Phase::Waiting if !job.waits_for.is_empty() => Self::Blocked,
            Phase::Waiting => {
                let written_at = job.history.last().map_or(job.created_at, |attempt| attempt.ended_at);
                // One that is done again by hand, or has waited for others, was written when it became ready, or so.
                let anew = job.attempt == 0 && !(job.history.is_empty() && job.depends_on.is_empty());
                let soon = job.parked.is_some() || anew || job.ready_at.duration_since(written_at) <= SOON;
                Self::Waiting { again: job.attempt > 0, ready_at: job.ready_at, far: !soon }
            }
            Phase::Running => Self::Running,
            Phase::Succeeded => Self::Succeeded,
            Phase::Dead => Self::Dead,
            Phase::Cancelled => Self::Cancelled,
        }
    }
}

/// Something that is counted by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job was made.
    Made,
    /// An attempt has succeeded, and its job with it.
    Succeeded,
    /// An attempt has failed.
    Failed,
    /// A job was given up.
    Dead,
    /// A job was called off.
    Cancelled,
}

/// What one write of a job means for the statistics of its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Names the record of the stream.
    pub mark: u64,
    /// The partition of the table that the job is in.
    pub partition: u32,
    /// Where the job counted before; none for a new one.
    pub from: Option<Place>,
    /// Where it counts now; none for one that is gone.
    pub to: Option<Place>,
    /// What has happened, and when.
    pub events: Vec<(Event, Timestamp)>,
}

impl Change {
    /// Of a job from `old` to `new`; none when the write does not matter here.
    pub fn between(old: Option<&Job>, new: Option<&Job>, event_id: &str) -> Option<Self> {
        let (from, to) = (old.map(Place::of), new.map(Place::of));
        let events = new.map(|new| events(old, new)).unwrap_or_default();
        let job = old.or(new).filter(|_| from != to || !events.is_empty())?;
        Some(Self { mark: mark(event_id), partition: crate::store::partition(&job.id), from, to, events })
    }
}

/// 48 bits of the hash of a record's id: few enough to keep many, and too many to meet by chance.
fn mark(event_id: &str) -> u64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, event_id.as_bytes());
    digest.as_ref().iter().take(6).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

fn events(old: Option<&Job>, new: &Job) -> Vec<(Event, Timestamp)> {
    let Some(old) = old else { return vec![(Event::Made, new.created_at)] };
    let mut events = Vec::new();
    let attempt = new.history.last().filter(|last| old.history.last() != Some(last));
    if let Some(attempt) = attempt {
        if attempt.failure.is_some() {
            events.push((Event::Failed, attempt.ended_at));
        } else if new.phase == Phase::Succeeded {
            events.push((Event::Succeeded, attempt.ended_at));
        }
    }
    let finished_at = new.finished_at.unwrap_or(new.created_at);
    match new.phase {
        Phase::Dead if old.phase != Phase::Dead => events.push((Event::Dead, finished_at)),
        Phase::Cancelled if old.phase != Phase::Cancelled => events.push((Event::Cancelled, finished_at)),
        _ => {}
    }
    events
}
