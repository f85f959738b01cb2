//! Jobs that are put aside until a limit of concurrency or a rate has room, or their queue goes on.
//!
//! A parked job has no message on its way. Its place is an item of its own, read consistently, so that whoever returns a
//! slot and whoever parks cannot miss one another: the one parks and then looks at the slot, the other returns the slot
//! and then looks for parked jobs.

use serde::{Deserialize, Serialize};
use shared::dynamo::{Check, Delete, Key, Put, Query, TransactWrite, Update, n, s};
use shared::id::TenantId;
use shared::telemetry::TraceContext;
use shared::time::{Timestamp, rfc3339_millis};

use super::attention::GRACE;
use super::{Attention, JobStore, StoreError, item, job_key, key, read};
use crate::job::{Job, JobId, Phase, Priority};
use crate::message::Ready;
use crate::name::QueueName;

/// A parked job.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Parked {
    /// What is sent when it goes on.
    pub ready: Ready,
    /// Which of the worker's queues it is sent to.
    pub priority: Priority,
    /// The job's trace, of which that message is part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// Its place.
    sk: String,
}

impl Parked {
    /// What it waits for.
    fn scope(&self) -> &str {
        // The priority, the time and the id follow it.
        self.sk.rsplitn(4, '#').last().unwrap_or_default()
    }

    /// Since when it waits.
    pub fn ready_at(&self) -> Option<Timestamp> {
        self.sk.rsplit('#').nth(1)?.parse().ok()
    }
}

/// All that is parked in a queue, so that its scopes can be found.
fn partition(tenant: &TenantId, queue: &QueueName) -> String {
    format!("{tenant}#parked#{queue}")
}

fn place(scope: &str, job: &Job) -> String {
    format!("{scope}#{}#{}#{}", job.priority.rank(), rfc3339_millis(job.ready_at), job.id)
}

pub(super) fn parked_key(scope: &str, job: &Job) -> Key {
    key(partition(&job.tenant_id, &job.queue), place(scope, job))
}

impl JobStore {
    /// Parks a waiting job in `scope`.
    pub async fn park(&self, job: &Job, scope: &str) -> Result<(), StoreError> {
        let (ready, sk) = (Ready::of(job), place(scope, job));
        let parked = Parked { ready, priority: job.priority, trace: job.trace, sk };
        let put = Put::new(&self.table, item(partition(&job.tenant_id, &job.queue), &parked.sk, &parked)?);
        let update = Update::new(
            &self.table,
            job_key(&job.tenant_id, &job.id),
            "SET parked = :scope, revision = revision + :one",
        )
        .only_if("#phase = :waiting AND claims = :claims AND ready_at = :ready_at AND attribute_not_exists(parked)")
        .name("#phase", "phase")
        .value(":waiting", s(Phase::Waiting.as_str()))
        .value(":claims", n(job.claims))
        .value(":ready_at", s(rfc3339_millis(job.ready_at)))
        .value(":scope", s(scope))
        .value(":one", n(1));
        self.transact(vec![TransactWrite::Update(update), TransactWrite::Put(put)]).await
    }

    /// The first jobs parked in `scope`, those of the highest priority first.
    pub async fn parked(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        scope: &str,
        limit: usize,
    ) -> Result<Vec<Parked>, StoreError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :scope)")
            .value(":pk", s(partition(tenant, queue)))
            .value(":scope", s(format!("{scope}#")))
            .limit(limit)
            .consistent();
        self.dynamo.query(query).await?.items.into_iter().map(read).collect()
    }

    /// The first scope after `scope` in which jobs of the queue are parked.
    pub async fn next_scope(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        scope: &str,
    ) -> Result<Option<String>, StoreError> {
        // A `$` sorts after the `#` that follows a scope.
        let query = Query::new(&self.table, "pk = :pk AND sk > :after")
            .value(":pk", s(partition(tenant, queue)))
            .value(":after", s(format!("{scope}$")))
            .limit(1)
            .consistent();
        let first = self.dynamo.query(query).await?.items.into_iter().next().map(read).transpose()?;
        Ok(first.map(|parked: Parked| parked.scope().to_owned()))
    }

    /// Takes a job out of `scope` at `now`, so that it can be sent again; [`StoreError::Stale`] when somebody else has. It may
    /// be lost between: the sweeper looks at it after [`GRACE`]. That is when it would anyway, unless it has waited for longer.
    pub async fn unpark(
        &self,
        tenant: &TenantId,
        scope: &str,
        parked: &Parked,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let place = key(partition(tenant, &parked.ready.queue), &parked.sk);
        let delete = Delete::new(&self.table, place.clone()).only_if("attribute_exists(pk)");
        let has_waited = parked.ready_at().is_none_or(|ready_at| now.duration_since(ready_at) > GRACE);
        let sweep_at = has_waited.then(|| now.checked_add(GRACE).unwrap_or(Timestamp::MAX));
        let update = self.unpark_update(tenant, &parked.ready.job_id, scope, sweep_at);
        let both = vec![TransactWrite::Delete(delete), TransactWrite::Update(update)];
        match self.transact(both).await {
            Err(StoreError::Stale) => {
                self.clear_place(tenant, scope, parked, place).await?;
                Err(StoreError::Stale)
            }
            done => done,
        }
    }

    /// Removes a place whose job is not parked here. It may be again by now: then the place is in use.
    async fn clear_place(&self, tenant: &TenantId, scope: &str, parked: &Parked, place: Key) -> Result<(), StoreError> {
        let gone = Check::new(&self.table, job_key(tenant, &parked.ready.job_id))
            .only_if("attribute_not_exists(parked) OR parked <> :scope")
            .value(":scope", s(scope));
        let delete = Delete::new(&self.table, place);
        match self.transact(vec![TransactWrite::Check(gone), TransactWrite::Delete(delete)]).await {
            Err(StoreError::Stale | StoreError::Conflict) => Ok(()),
            done => done,
        }
    }

    /// Takes a job out of `scope` that has no place there; [`StoreError::Stale`] when it is not parked there any more.
    pub async fn unpark_alone(&self, job: &Job, scope: &str) -> Result<(), StoreError> {
        // The sweeper, which does this, sees to its own next look.
        let update = self.unpark_update(&job.tenant_id, &job.id, scope, None);
        match self.dynamo.update(update).await.map(drop).map_err(super::stale) {
            Err(StoreError::Stale) => {
                let is_done = |job: &Job| job.phase == Phase::Waiting && job.parked.is_none();
                let was_it = self.was_changed(job, is_done).await?;
                if was_it { Ok(()) } else { Err(StoreError::Stale) }
            }
            done => done,
        }
    }

    fn unpark_update(&self, tenant: &TenantId, id: &JobId, scope: &str, sweep_at: Option<Timestamp>) -> Update {
        let attention = sweep_at.map(|at| Attention::sweep(tenant, id, at));
        let more = if attention.is_some() { format!(", {}", Attention::SET) } else { String::new() };
        let set = format!("SET revision = revision + :one{more} REMOVE parked");
        let update = Update::new(&self.table, job_key(tenant, id), set)
            .only_if("parked = :scope")
            .value(":scope", s(scope))
            .value(":one", n(1));
        attention.into_iter().fold(update, |update, attention| attention.values(update))
    }
}
