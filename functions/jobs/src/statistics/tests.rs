//! From the writes of jobs to the numbers of their queue.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use serde_json::json;

use super::waits::STEP;
use super::*;
use crate::attempt::{Attempt, Failure};
use crate::job::{Job, JobId, Phase};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn new_job(number: u8, now: i64, ready: i64) -> Job {
    let id = JobId::from_uuid(uuid::Uuid::from_u128(u128::from(number)));
    let job = json!({
        "id": id, "tenant_id": "tenant_01k9z4n2y6e0qv3m8t5w7x9abc", "type": "a", "queue": "default", "payload": {"inline": "1"},
        "priority": "normal", "runner": {"by": "pull"}, "phase": "waiting", "ready_at": at(ready).to_string(), "attempt": 0,
        "max_attempts": 3, "claims": 0, "backoff": {"kind": "fixed", "seconds": 1}, "timeout_seconds": 60,
        "retention_days": 1, "created_at": at(now).to_string(), "created_by": "x", "revision": 1,
    });
    serde_json::from_value(job).unwrap()
}

/// What happens to a job.
#[derive(Clone, Debug)]
enum Step {
    Claim,
    Heartbeat,
    Succeed,
    /// With another attempt so many seconds later.
    Fail(i64),
    Die,
    Snooze(i64),
    Cancel,
    Park,
    Retry,
    Reschedule(i64),
    Remove,
}

/// The job after a step at a time, as the store would write it; unchanged where that is no step of such a job.
fn after(job: &Job, step: &Step, now: i64) -> Option<Job> {
    let mut job = job.clone();
    let ended = |job: &mut Job, failure: Option<Failure>| {
        let attempt = Attempt { number: job.attempt, started_at: at(now), ended_at: at(now), worker: None, failure };
        job.history = job.history_with(Some(attempt));
    };
    match (step, job.phase) {
        (Step::Claim, Phase::Waiting) if job.ready_at <= at(now) => {
            (job.phase, job.attempt, job.parked) = (Phase::Running, job.attempt + 1, None);
        }
        (Step::Heartbeat, Phase::Running) => job.lease_until = Some(at(now + 60)),
        (Step::Succeed, Phase::Running) => {
            ended(&mut job, None);
            (job.phase, job.finished_at) = (Phase::Succeeded, Some(at(now)));
        }
        (Step::Fail(wait), Phase::Running) => {
            ended(&mut job, Some(Failure::new("x", "y")));
            (job.phase, job.ready_at) = (Phase::Waiting, at(now + wait));
        }
        (Step::Die, Phase::Running) => {
            ended(&mut job, Some(Failure::new("x", "y")));
            (job.phase, job.finished_at) = (Phase::Dead, Some(at(now)));
        }
        (Step::Snooze(wait), Phase::Running) => {
            (job.phase, job.ready_at, job.attempt) = (Phase::Waiting, at(now + wait), job.attempt - 1);
        }
        (Step::Cancel, Phase::Waiting) => (job.phase, job.finished_at) = (Phase::Cancelled, Some(at(now))),
        (Step::Park, Phase::Waiting) if job.ready_at <= at(now) => job.parked = Some("queue#default".to_owned()),
        (Step::Retry, Phase::Succeeded | Phase::Dead | Phase::Cancelled) => {
            (job.phase, job.ready_at, job.attempt, job.finished_at) = (Phase::Waiting, at(now), 0, None);
        }
        (Step::Reschedule(wait), Phase::Waiting) => (job.ready_at, job.parked) = (at(now + wait), None),
        (Step::Remove, Phase::Succeeded | Phase::Dead | Phase::Cancelled) => return None,
        _ => {}
    }
    Some(job)
}

fn steps() -> impl Strategy<Value = Step> {
    let wait = || prop_oneof![0..600_i64, 0..100_000_i64];
    prop_oneof![
        4 => Just(Step::Claim),
        1 => Just(Step::Heartbeat),
        2 => Just(Step::Succeed),
        2 => wait().prop_map(Step::Fail),
        1 => Just(Step::Die),
        1 => wait().prop_map(Step::Snooze),
        1 => Just(Step::Cancel),
        1 => Just(Step::Park),
        1 => Just(Step::Retry),
        1 => wait().prop_map(Step::Reschedule),
        1 => Just(Step::Remove),
    ]
}

/// The changes of some jobs to whom things happen in turn, each after some seconds, and the jobs that are left.
fn story(script: Vec<(u8, i64, Step)>) -> (Vec<Change>, Vec<Job>, i64) {
    let mut jobs: Vec<(u8, Option<Job>)> = Vec::new();
    let (mut changes, mut now) = (Vec::new(), 0);
    for (index, (number, pause, step)) in script.into_iter().enumerate() {
        now += pause;
        let place = jobs.iter().position(|(other, _)| *other == number);
        let (old, new) = match place {
            None => (None, Some(new_job(number, now, now + if let Step::Reschedule(wait) = step { wait } else { 0 }))),
            Some(place) => {
                let old = jobs[place].1.clone();
                (old.clone(), old.and_then(|job| after(&job, &step, now)))
            }
        };
        changes.extend(Change::between(old.as_ref(), new.as_ref(), &format!("event {index}")));
        match place {
            None => jobs.push((number, new)),
            Some(place) => jobs[place].1 = new,
        }
    }
    (changes, jobs.into_iter().filter_map(|(_, job)| job).collect(), now)
}

fn scripts() -> impl Strategy<Value = Vec<(u8, i64, Step)>> {
    proptest::collection::vec((0..40_u8, 0..90_i64, steps()), 0..200)
}

fn total(depth: Depth) -> u64 {
    let Depth { blocked, scheduled, queued, running, retrying, succeeded, dead, cancelled } = depth;
    blocked + scheduled + queued + running + retrying + succeeded + dead + cancelled
}

proptest! {
    #[test]
    fn whatever_happens_to_jobs_the_sum_of_the_changes_is_where_they_stand(script in scripts()) {
        let (changes, jobs, end) = story(script);
        let now = at(end);
        let mut statistics = Statistics::default();
        for change in &changes {
            statistics.count(std::slice::from_ref(change), now);
        }
        let mut expected = Depth::default();
        for job in &jobs {
            expected.add(job.state(now));
        }
        let depth = statistics.depth(now);
        prop_assert_eq!(total(depth), total(expected));
        prop_assert_eq!(
            (depth.running, depth.succeeded, depth.dead, depth.cancelled),
            (expected.running, expected.succeeded, expected.dead, expected.cancelled)
        );
        // By the step, or by wider bars where there are many, and but for those that are only counted.
        let far = statistics.far_scheduled + statistics.far_retrying;
        prop_assert!(depth.queued + far >= expected.queued);
        if statistics.first.bars() + statistics.again.bars() < 40 {
            let mut soon = Depth::default();
            for job in &jobs {
                soon.add(job.state(at(end + STEP)));
            }
            prop_assert!(depth.queued <= soon.queued, "{:?} {:?}", depth, soon);
        }
    }

    #[test]
    fn however_batches_come_again_each_change_counts_once(
        script in scripts(),
        cuts in proptest::collection::vec((1..100_usize, 0..4_usize, 0..100_usize), 1..40),
    ) {
        let (changes, _, end) = story(script);
        let now = at(end);
        let mut once = Statistics::default();
        for change in &changes {
            once.count(std::slice::from_ref(change), now);
        }
        let mut statistics = Statistics::default();
        let (mut from, mut cuts) = (0, cuts.into_iter().cycle());
        while from < changes.len() {
            let (size, again, rest) = cuts.next().unwrap();
            let batch = &changes[from..(from + size).min(changes.len())];
            statistics.count(batch, now);
            // It was counted, and Lambda has not heard of it.
            match again {
                0 => {}
                1 => prop_assert!(!statistics.count(batch, now)),
                2 => {
                    for half in batch.chunks(batch.len().div_ceil(2)) {
                        prop_assert!(!statistics.count(half, now));
                    }
                }
                // From a record on that is said to have failed, and with others that have come since.
                _ => {
                    let to = (from + size + rest).min(changes.len());
                    statistics.count(&changes[from + batch.len() / 2..to], now);
                    from = to.max(from + batch.len()) - batch.len();
                }
            }
            from += batch.len();
        }
        prop_assert_eq!(statistics.depth(now), once.depth(now));
        prop_assert_eq!(statistics.recent(now), once.recent(now));
    }

    #[test]
    fn the_histogram_stays_small_and_loses_nobody(waits in proptest::collection::vec((-100_000..100_000_i64, any::<bool>()), 0..500)) {
        let mut histogram = Waits::default();
        let mut there = Vec::new();
        for (second, goes) in waits {
            histogram.add(at(second), at(0));
            there.push(second);
            if goes {
                histogram.remove(at(there.swap_remove(there.len() / 2)));
            }
            prop_assert!(histogram.bars() <= 40);
            let (ready, later) = histogram.split(at(0));
            prop_assert_eq!(ready + later, there.len() as u64);
        }
        for second in there {
            histogram.remove(at(second));
        }
        prop_assert_eq!(histogram, Waits::default());
    }
}

#[test]
fn attempts_and_ends_are_counted_by_their_minute() {
    let script = |steps: &[(i64, Step)]| steps.iter().map(|(pause, step)| (1, *pause, step.clone())).collect();
    let (changes, jobs, end) = story(script(&[
        (0, Step::Claim),
        (1, Step::Claim),
        (1, Step::Fail(0)),
        (1, Step::Claim),
        (1, Step::Heartbeat),
        (1, Step::Snooze(0)),
        (1, Step::Claim),
        (1, Step::Die),
        (60, Step::Retry),
        (0, Step::Claim),
        (0, Step::Succeed),
        (1, Step::Retry),
        (0, Step::Cancel),
    ]));
    let mut statistics = Statistics::default();
    assert!(statistics.count(&changes, at(end)));
    assert_eq!(jobs.len(), 1);
    let expected = Tally { made: 1, succeeded: 1, failed: 2, dead: 1, cancelled: 1 };
    assert_eq!(statistics.recent(at(end)).0, expected);
    assert_eq!(statistics.minutes.len(), 2);
    // The first minute leaves the window before the second one.
    let first_minute_is_over = at(14 * 60 + 60);
    let left = statistics.recent(first_minute_is_over).0;
    assert_eq!(left, Tally { made: 0, failed: 0, dead: 0, ..expected });
    assert_eq!(statistics.recent(at(3600)).0, Tally::default());
    assert!(!statistics.count(&changes, at(3600)));
    assert_eq!(statistics.minutes, []);
}

#[test]
fn the_oldest_is_known_while_a_backlog_grows_and_shrinks() {
    let mut statistics = Statistics::default();
    let mut changes = Vec::new();
    for number in 0..200_u8 {
        let job = new_job(number, i64::from(number) * 60, i64::from(number) * 60);
        changes.extend(Change::between(None, Some(&job), &number.to_string()));
    }
    let now = at(200 * 60);
    for change in &changes {
        statistics.count(std::slice::from_ref(change), now);
    }
    assert_eq!((statistics.depth(now).queued, statistics.oldest(now)), (200, Some(at(STEP))));
    for number in 0..150_u8 {
        let job = new_job(number, i64::from(number) * 60, i64::from(number) * 60);
        let claimed = after(&job, &Step::Claim, 200 * 60).unwrap();
        let change = Change::between(Some(&job), Some(&claimed), &format!("claim {number}")).unwrap();
        statistics.count(&[change], now);
        let (oldest, waited) = (statistics.oldest(now).unwrap(), now.duration_since(at(i64::from(number + 1) * 60)));
        let error = (now.duration_since(oldest) - waited).abs();
        assert!(error.as_secs() <= 10 * 60, "{number}: {error}");
    }
    assert_eq!(statistics.depth(now).queued, 50);
    assert_eq!(Statistics::default().oldest(now), None);
}

#[test]
fn a_job_from_before_there_were_statistics_does_not_distort_them() {
    let (changes, _, end) = story(vec![(1, 0, Step::Claim), (1, 0, Step::Claim), (1, 0, Step::Succeed)]);
    let mut statistics = Statistics::default();
    statistics.count(&changes[1..], at(end));
    assert_eq!(statistics.depth(at(end)), Depth { succeeded: 1, ..Depth::default() });
}
