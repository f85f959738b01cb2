//! What clients change of a job.

use shared::dynamo::{AttributeValue, Delete, TransactWrite, Update, n, s};
use shared::events::OUTBOX;
use shared::time::{Timestamp, rfc3339_millis, to_millisecond};

use super::{Along, Attention, InsertError, JobStore, StoreError, job_key, read};
use crate::job::{Job, Phase};

impl JobStore {
    /// Calls a waiting job off, as it was read, and makes the job that follows.
    pub async fn cancel_waiting(
        &self,
        job: &Job,
        now: Timestamp,
        outbox: AttributeValue,
        follow_up: Option<&Job>,
    ) -> Result<(), StoreError> {
        let mut set = "SET #phase = :cancelled, finished_at = :now, removed_at = :removed_at, #outbox = :outbox, \
                       revision = revision + :one"
            .to_owned();
        if job.has_children {
            set = format!("{set}, {} REMOVE parked, waits_for", Attention::SET);
        } else {
            set.push_str(" REMOVE parked, waits_for, attention_pk, attention_sk");
        }
        let update = self
            .unchanged(job, &set)
            .name("#outbox", OUTBOX)
            .value(":outbox", outbox)
            .value(":cancelled", s(Phase::Cancelled.as_str()))
            .value(":now", s(rfc3339_millis(now)))
            .value(":removed_at", n(job.removed_at(now).as_second()));
        let update = if job.has_children { Attention::family(job, now).values(update) } else { update };
        let follow_up = follow_up.map(|next| self.job_put(next)).transpose()?;
        let more: Vec<_> = self
            .unique_release(job)
            .into_iter()
            .chain(self.parked_place(job))
            .chain(follow_up.map(TransactWrite::Put))
            .collect();
        match self.with(update, more).await {
            Err(StoreError::Stale) => {
                let (phase, at) = (Phase::Cancelled, Some(to_millisecond(now)));
                let was_it = self.was_changed(job, |job| job.phase == phase && job.finished_at == at).await?;
                if was_it { Ok(()) } else { Err(StoreError::Stale) }
            }
            done => done,
        }
    }

    /// Asks the worker of a running job to stop. Answers the job.
    pub async fn request_cancel(&self, job: &Job) -> Result<Job, StoreError> {
        let update = Update::new(
            &self.table,
            job_key(&job.tenant_id, &job.id),
            "SET cancel_requested = :yes, revision = revision + :one",
        )
        .only_if("#phase = :running AND claims = :claims")
        .name("#phase", "phase")
        .value(":running", s(Phase::Running.as_str()))
        .value(":claims", n(job.claims))
        .value(":yes", AttributeValue::Bool(true))
        .value(":one", n(1));
        read(self.dynamo.update(update).await.map_err(super::stale)?)
    }

    /// Makes of a job, as it was read, what [`Job::again`] says.
    pub async fn queue_again(&self, job: &Job, again: &Job, along: Along) -> Result<(), InsertError> {
        let mut set =
            format!("SET #phase = :waiting, ready_at = :ready_at, revision = revision + :one, {}", Attention::SET);
        let mut remove = vec!["parked"];
        if job.phase.is_end() {
            set.push_str(", attempt = :zero, acknowledged = claims");
            remove.extend(["finished_at", "removed_at", "#result", "progress", "place_among_dead"]);
        }
        let frees_key = job.unique.is_some() && again.unique.is_none();
        if frees_key {
            remove.push("#unique");
        }
        let mut update = self
            .unchanged(job, &format!("{set} REMOVE {}", remove.join(", ")))
            .value(":waiting", s(Phase::Waiting.as_str()))
            .value(":ready_at", s(rfc3339_millis(again.ready_at)));
        if job.phase.is_end() {
            update = update.name("#result", "result").value(":zero", n(0));
        }
        if frees_key {
            update = update.name("#unique", "unique");
        }
        let update = Attention::waiting(again, again.ready_at).values(update);
        let writes = std::iter::once(TransactWrite::Update(update)).chain(self.parked_place(job));
        match self.write(along, writes.collect()).await {
            Err(InsertError::Store(StoreError::Stale)) => {
                let is_done = |job: &Job| job.phase == Phase::Waiting && job.ready_at == again.ready_at;
                let was_it = self.was_changed(job, is_done).await?;
                if was_it { Ok(()) } else { Err(StoreError::Stale.into()) }
            }
            done => done,
        }
    }

    /// The removal of the place where a job is parked.
    fn parked_place(&self, job: &Job) -> Option<TransactWrite> {
        let scope = job.parked.as_deref()?;
        let key = super::parked::parked_key(scope, job);
        Some(TransactWrite::Delete(Delete::new(&self.table, key)))
    }

    /// A change of a job that is as it was read.
    fn unchanged(&self, job: &Job, expression: &str) -> Update {
        Update::new(&self.table, job_key(&job.tenant_id, &job.id), expression)
            .only_if("#phase = :phase AND revision = :revision")
            .name("#phase", "phase")
            .value(":phase", s(job.phase.as_str()))
            .value(":revision", n(job.revision))
            .value(":one", n(1))
    }

    async fn with(&self, update: Update, more: Vec<TransactWrite>) -> Result<(), StoreError> {
        if more.is_empty() {
            return self.dynamo.update(update).await.map(drop).map_err(super::stale);
        }
        self.transact(std::iter::once(TransactWrite::Update(update)).chain(more).collect()).await
    }
}
