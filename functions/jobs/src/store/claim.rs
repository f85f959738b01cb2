//! Claims: a worker takes a job, keeps it, or finds that it may not.

use std::time::Duration;

use shared::dynamo::{DynamoError, Item, Lost, TransactWrite, Update, n, number, s};
use shared::id::TenantId;
use shared::random::Random;
use shared::time::{SignedDuration, Timestamp, rfc3339_millis};

use super::{Attention, JobStore, StoreError, job_key, key, read, value};
use crate::job::{Job, JobId, Phase, Progress, Runner};
use crate::message::Ready;
use crate::name::{JobKey, QueueName};
use crate::queue::Settings;

/// How long the count of a limit is kept after a place was returned: far longer than any job runs, as another of the same limit
/// may run still. A claim takes the removal back.
const COUNT_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

/// A limit of concurrency in which a claim counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What is limited: a queue, or a key of it.
    pub scope: String,
    /// How many may run at once.
    pub limit: u32,
}

impl Slot {
    /// The limits for a job of a queue with these settings.
    pub fn all_of(settings: &Settings, queue: &QueueName, concurrency_key: Option<&JobKey>) -> Vec<Self> {
        let of_queue = settings.concurrency.map(|limit| Self { scope: queue_scope(queue), limit });
        let of_key =
            concurrency_key.map(|key| Self { scope: key_scope(queue, key), limit: settings.concurrency_per_key });
        of_key.into_iter().chain(of_queue).collect()
    }
}

/// The scope of a whole queue.
pub fn queue_scope(queue: &QueueName) -> String {
    format!("queue#{queue}")
}

/// The scope of the rate of a queue.
pub fn rate_scope(queue: &QueueName) -> String {
    format!("rate#{queue}")
}

fn key_scope(queue: &QueueName, key: &JobKey) -> String {
    format!("key#{queue}#{}", super::hash(&[key.as_str()]))
}

/// Who claims, and for how long.
#[derive(Clone, Debug)]
pub struct Claimant<'a> {
    /// Its name, for the history.
    pub worker: &'a str,
    /// A [`mark`] of this claim.
    pub mark: &'a str,
    /// When.
    pub now: Timestamp,
    /// How long the claim holds without a sign of life.
    pub lease: Duration,
    /// The limits that it counts in.
    pub slots: &'a [Slot],
}

/// A new text by which a claim is known again whose answer was lost.
pub fn mark(random: &Random) -> String {
    random.word(12)
}

/// What came of a claim.
#[derive(Debug)]
pub enum Claim {
    /// The job is the claimant's.
    Claimed(Box<Job>),
    /// A limit is reached: the scope.
    Full(String),
    /// It is not for the taking: as it stands, or gone.
    Refused(Option<Box<Job>>),
}

enum Meaning {
    Slot(String),
    Job,
}

pub(super) fn slot_partition(tenant: &TenantId, scope: &str) -> String {
    format!("{tenant}#slot#{scope}")
}

impl JobStore {
    /// Claims a job that waits and whose time has come: one write; with limits of concurrency, a transaction.
    pub async fn claim(&self, ready: &Ready, pull: bool, claimant: &Claimant<'_>) -> Result<Claim, StoreError> {
        let Ready { tenant_id, job_id, .. } = ready;
        let update = self.claim_update(tenant_id, job_id, pull, claimant)?;
        if claimant.slots.is_empty() {
            return match self.dynamo.update(update).await {
                Ok(item) => Ok(Claim::Claimed(Box::new(read(item)?))),
                Err(DynamoError::ConditionFailed { current }) => refused(current, claimant),
                Err(DynamoError::Conflict(_)) => Err(StoreError::Conflict),
                Err(error) => Err(error.into()),
            };
        }
        let slots = claimant.slots.iter().map(|slot| {
            let at = key(slot_partition(tenant_id, &slot.scope), "slot");
            let update = Update::new(&self.table, at, "ADD #running :one REMOVE removed_at")
                .only_if("attribute_not_exists(#running) OR #running < :limit")
                .name("#running", "running")
                .value(":one", n(1))
                .value(":limit", n(slot.limit));
            (TransactWrite::Update(update), Meaning::Slot(slot.scope.clone()))
        });
        // The job goes first: when it is not for the taking, its limits are of no interest.
        let writes = std::iter::once((TransactWrite::Update(update), Meaning::Job)).chain(slots).collect();
        match self.dynamo.transact_or(writes).await {
            // A transaction does not answer with the item; nobody else writes it now but to ask for its cancellation.
            Ok(()) => match self.get(tenant_id, job_id).await? {
                Some(job) => Ok(Claim::Claimed(Box::new(job))),
                None => Ok(Claim::Refused(None)),
            },
            Err(Lost::Condition(Meaning::Job, current)) => refused(current, claimant),
            Err(Lost::Condition(Meaning::Slot(scope), _)) => Ok(Claim::Full(scope)),
            Err(Lost::Conflict) => Err(StoreError::Conflict),
            Err(Lost::Dynamo(error)) => Err(error.into()),
        }
    }

    fn claim_update(
        &self,
        tenant: &TenantId,
        id: &JobId,
        pull: bool,
        claimant: &Claimant<'_>,
    ) -> Result<Update, StoreError> {
        let now = claimant.now;
        let until = lease_end(now, claimant.lease);
        let slots: Vec<_> = claimant.slots.iter().map(|slot| &slot.scope).collect();
        let mut set =
            "SET #phase = :running, attempt = attempt + :one, claims = claims + :one, revision = revision + :one, \
                       lease_until = :until, started_at = :now, #worker = :worker, mark = :mark, slots = :slots"
                .to_owned();
        // A pulled job leaves the list of those that can be leased. Any other keeps its place: the sweeper looks at it
        // when it would have anyway, and finds the lease then.
        if pull {
            set = format!("{set}, {}", Attention::SET);
        }
        let update = Update::new(&self.table, job_key(tenant, id), format!("{set} REMOVE progress"))
            .only_if(
                "#phase = :waiting AND ready_at <= :now AND attribute_not_exists(parked) \
                      AND attribute_not_exists(waits_for)",
            )
            .name("#phase", "phase")
            .name("#worker", "worker")
            .value(":running", s("running"))
            .value(":waiting", s("waiting"))
            .value(":one", n(1))
            .value(":until", s(rfc3339_millis(until)))
            .value(":now", s(rfc3339_millis(now)))
            .value(":worker", s(claimant.worker))
            .value(":mark", s(claimant.mark))
            .value(":slots", value(&slots)?);
        Ok(if pull { Attention::sweep(tenant, id, until).values(update) } else { update })
    }

    /// A sign of life: the claim holds for another `lease`. Answers the job as it is now, on which the worker sees whether
    /// it is asked to stop; [`StoreError::Stale`] when the claim is lost.
    pub async fn heartbeat(
        &self,
        job: &Job,
        now: Timestamp,
        lease: Duration,
        progress: Option<&Progress>,
    ) -> Result<Job, StoreError> {
        let until = lease_end(now, lease);
        let mut set = "SET lease_until = :until, revision = revision + :one".to_owned();
        if progress.is_some() {
            set.push_str(", progress = :progress");
        }
        let pull = job.runner == Runner::Pull;
        if pull {
            set = format!("{set}, {}", Attention::SET);
        }
        let mut update = held(Update::new(&self.table, job_key(&job.tenant_id, &job.id), set), job)
            .value(":until", s(rfc3339_millis(until)))
            .value(":one", n(1));
        if let Some(progress) = progress {
            update = update.value(":progress", value(progress)?);
        }
        if pull {
            update = Attention::sweep(&job.tenant_id, &job.id, until).values(update);
        }
        read(self.dynamo.update(update).await.map_err(super::stale)?)
    }

    /// Leaves a claimed job to work that goes on elsewhere, for as long as the job's attempt may take; the sweeper looks at
    /// it then. What was sent is taken over.
    pub async fn entrust(&self, job: &Job, now: Timestamp) -> Result<(), StoreError> {
        let until = lease_end(now, job.timeout());
        let set =
            format!("SET lease_until = :until, acknowledged = :claims, revision = revision + :one, {}", Attention::SET);
        let update = held(Update::new(&self.table, job_key(&job.tenant_id, &job.id), set), job)
            .value(":until", s(rfc3339_millis(until)))
            .value(":one", n(1));
        let update = Attention::sweep(&job.tenant_id, &job.id, until).values(update);
        self.dynamo.update(update).await.map(drop).map_err(super::stale)
    }

    /// How many jobs run of a scope.
    pub async fn running(&self, tenant: &TenantId, scope: &str) -> Result<u32, StoreError> {
        let item = self.dynamo.get(&self.table, key(slot_partition(tenant, scope), "slot"), true).await?;
        Ok(item.and_then(|item| number(&item, "running")).unwrap_or(0))
    }

    /// The return of a claim's places in its limits at `now`.
    pub(super) fn slot_returns<'a>(&'a self, job: &'a Job, now: Timestamp) -> impl Iterator<Item = TransactWrite> + 'a {
        let removed_at = now.checked_add(COUNT_KEPT).unwrap_or(Timestamp::MAX).as_second();
        job.slots.iter().map(move |scope| {
            let at = key(slot_partition(&job.tenant_id, scope), "slot");
            let update = Update::new(&self.table, at, "ADD #running :less SET removed_at = :removed_at")
                .name("#running", "running")
                .value(":less", n(-1))
                .value(":removed_at", n(removed_at));
            TransactWrite::Update(update)
        })
    }
}

/// The text of the condition of [`held`].
pub(super) const HELD: &str = "#phase = :running AND claims = :claims";

/// The condition that the claim of `job` still holds it: what comes after the lease was lost is refused.
pub(super) fn held(update: Update, job: &Job) -> Update {
    update.only_if(HELD).name("#phase", "phase").value(":running", s("running")).value(":claims", n(job.claims))
}

fn lease_end(now: Timestamp, lease: Duration) -> Timestamp {
    SignedDuration::try_from(lease).ok().and_then(|lease| now.checked_add(lease).ok()).unwrap_or(Timestamp::MAX)
}

fn refused(current: Item, claimant: &Claimant<'_>) -> Result<Claim, StoreError> {
    if current.is_empty() {
        return Ok(Claim::Refused(None));
    }
    let job: Job = read(current)?;
    // The answer of this very claim was lost, and the SDK wrote it a second time.
    let is_claimed = job.phase == Phase::Running && job.mark.as_deref() == Some(claimant.mark);
    Ok(if is_claimed { Claim::Claimed(Box::new(job)) } else { Claim::Refused(Some(Box::new(job))) })
}
