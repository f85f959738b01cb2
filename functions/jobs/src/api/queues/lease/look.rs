//! A look at a queue: the jobs that a worker may take now, one after the other.
//!
//! The index of what is ready does not have the keys of jobs. So jobs are read before they are handed out, and those of a key
//! that is at its limit are passed over: how many jobs run of it is asked once, which costs a tenth of a claim in vain and
//! nothing of the queue's rate.
//!
//! While jobs that are sent wait for that rate, a look goes as far as the first of them: what is behind it has its time later.

use std::collections::{BTreeSet, HashMap, VecDeque};

use futures::future::try_join_all;
use shared::dynamo::Item;
use shared::random::Random;
use shared::time::Timestamp;

use super::round::Round;
use crate::job::{Job, JobId, Phase, Priority};
use crate::name::JobKey;
use crate::queue::Settings;
use crate::store::claim::{Slot, queue_scope};
use crate::store::{Parked, StoreError};

/// The most entries of the index that a look goes over, for each priority.
const MOST_ENTRIES: usize = 1000;

/// How many entries are asked for at first, for each job that is wanted: others may take some.
pub(super) const LOOK_AT: usize = 4;

/// The most jobs that are read at the same time.
const MOST_AT_ONCE: usize = 16;

/// The keys of jobs that were passed over: a worker that waits does not read them again at each of its looks.
pub(super) type Passed = HashMap<JobId, JobKey>;

/// See the module.
pub(super) struct Look<'a> {
    round: &'a Round<'a>,
    settings: &'a Settings,
    passed: &'a mut Passed,
    levels: VecDeque<Level>,
    /// What the index has that was not read yet.
    entries: VecDeque<JobId>,
    /// What was read and not handed out yet.
    jobs: VecDeque<Job>,
    /// How many are read at the same time, the next time.
    at_once: usize,
    /// How many jobs run of the limits that it has met, with those that it has handed out.
    running: HashMap<String, u32>,
}

/// How far the index of a priority was gone over.
struct Level {
    priority: Priority,
    /// What is ready later is not looked at.
    until: Option<Timestamp>,
    start: Option<Item>,
    page: usize,
    left: usize,
}

impl<'a> Look<'a> {
    /// A look by somebody who remembers what was `passed` over before, up to the `first` job that waits for the queue's rate.
    pub(super) fn new(
        round: &'a Round<'a>,
        settings: &'a Settings,
        first: Option<&Parked>,
        passed: &'a mut Passed,
    ) -> Self {
        let page = LOOK_AT * round.most();
        let until = |priority| first.filter(|first| first.priority == priority).and_then(Parked::ready_at);
        let level = |priority| Level { priority, until: until(priority), start: None, page, left: MOST_ENTRIES };
        let is_before = |priority: &Priority| first.is_none_or(|first| *priority <= first.priority);
        Self {
            round,
            settings,
            passed,
            levels: turns(&round.app.engine.random).into_iter().filter(is_before).map(level).collect(),
            entries: VecDeque::new(),
            jobs: VecDeque::new(),
            at_once: round.most().min(MOST_AT_ONCE),
            running: HashMap::new(),
        }
    }

    /// The next job whose limits have room for it, as far as is known; it counts in them from then on.
    pub(super) async fn next(&mut self) -> Result<Option<Job>, StoreError> {
        loop {
            while let Some(job) = self.jobs.pop_front() {
                let slots = self.slots(job.concurrency_key.as_ref());
                // The queue's own limit is the last of them, and decides for all that follow.
                match slots.iter().rfind(|slot| self.is_full(slot)) {
                    None => {
                        for slot in slots {
                            *self.running.entry(slot.scope).or_default() += 1;
                        }
                        return Ok(Some(job));
                    }
                    Some(full) if full.scope == queue_scope(self.round.queue) => return Ok(None),
                    Some(_) => self.passed.extend(job.concurrency_key.map(|key| (job.id, key))),
                }
            }
            if self.entries.is_empty() && !self.turn_page().await? {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    /// Passes over the jobs of a limit from now on: others have taken what room there was.
    pub(super) fn pass_over(&mut self, scope: String) {
        self.running.insert(scope, u32::MAX);
    }

    fn slots(&self, key: Option<&JobKey>) -> Vec<Slot> {
        Slot::all_of(self.settings, self.round.queue, key)
    }

    fn is_full(&self, slot: &Slot) -> bool {
        self.running.get(&slot.scope).is_some_and(|running| *running >= slot.limit)
    }

    /// Gets further entries of the index, of the next priority when there are no more; false when there are none at all.
    async fn turn_page(&mut self) -> Result<bool, StoreError> {
        let Round { app, tenant, queue, .. } = self.round;
        let now = app.engine.clock.now();
        while let Some(level) = self.levels.front_mut() {
            let place = (level.priority, level.start.take());
            let until = level.until.map_or(now, |until| until.min(now));
            let limit = level.page.min(level.left);
            let found = app.engine.jobs.ready_page(tenant, queue, place, until, limit).await?;
            (level.start, level.page, level.left) = (found.next, level.page * 2, level.left - limit);
            if level.start.is_none() || level.left == 0 {
                self.levels.pop_front();
            }
            if !found.ids.is_empty() {
                self.entries = found.ids.into();
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the next jobs, and how many run of their limits.
    async fn read(&mut self) -> Result<(), StoreError> {
        let (store, tenant) = (&self.round.app.engine.jobs, self.round.tenant);
        let mut ids = Vec::new();
        while ids.len() < self.at_once
            && let Some(id) = self.entries.pop_front()
        {
            let passed = self.passed.get(&id).map(|key| self.slots(Some(key)));
            if !passed.is_some_and(|slots| slots.iter().any(|slot| self.is_full(slot))) {
                ids.push(id);
            }
        }
        self.at_once = (self.at_once * 2).min(MOST_AT_ONCE);
        let read = try_join_all(ids.iter().map(|id| store.get(tenant, id))).await?;
        // The index is behind the table, and other workers look at it too.
        self.jobs.extend(read.into_iter().flatten().filter(|job| job.phase == Phase::Waiting));
        let met: BTreeSet<_> =
            self.jobs.iter().flat_map(|job| self.slots(job.concurrency_key.as_ref())).map(|slot| slot.scope).collect();
        let unknown: Vec<_> = met.into_iter().filter(|scope| !self.running.contains_key(scope)).collect();
        let counts = try_join_all(unknown.iter().map(|scope| store.running(tenant, scope))).await?;
        self.running.extend(unknown.into_iter().zip(counts));
        Ok(())
    }
}

/// The levels in the order of this turn: a level is first in 6, 3 and 1 of 10 turns, so that none starves.
fn turns(random: &Random) -> [Priority; 3] {
    let [high, normal, low] = Priority::ALL;
    match random.bytes::<1>()[0] {
        0..=153 => [high, normal, low],
        154..=230 => [normal, high, low],
        _ => [low, high, normal],
    }
}
