//! Jobs that depend on others: who is to hear of an end.
//!
//! A job that is made to depend on one that has not ended marks that one in the same transaction, and leaves an item under
//! it. Whoever ends a marked job tells all whose items are there, and takes these away; as long as there are any, the
//! sweeper looks at the ended job again.

use shared::dynamo::{AttributeValue, Delete, Put, Query, TransactWrite, Update, n, s, text};
use shared::id::TenantId;
use shared::time::{Timestamp, rfc3339_millis};

use super::attention::dead_partition;
use super::{Attention, JobStore, StoreError, job_key, key, stale};
use crate::job::{Job, JobId, Phase};

fn children_partition(tenant: &TenantId, parent: &JobId) -> String {
    format!("{tenant}#children#{parent}")
}

impl JobStore {
    /// The writes at the jobs that `job` waits for; their conditions fail when one has ended.
    pub(super) fn parent_writes(&self, job: &Job) -> Vec<TransactWrite> {
        let mut writes = Vec::new();
        for parent in &job.waits_for {
            let mark = Update::new(
                &self.table,
                job_key(&job.tenant_id, parent),
                "SET has_children = :yes, revision = revision + :one",
            )
            .only_if("#phase IN (:waiting, :running)")
            .name("#phase", "phase")
            .value(":waiting", s("waiting"))
            .value(":running", s("running"))
            .value(":yes", AttributeValue::Bool(true))
            .value(":one", n(1));
            let pk = children_partition(&job.tenant_id, parent);
            let item = key(pk, job.id.to_string()).into();
            writes.push(TransactWrite::Update(mark));
            writes.push(TransactWrite::Put(Put::new(&self.table, item)));
        }
        writes
    }

    /// Some of the jobs that have not heard of the end of `parent`.
    pub async fn children(&self, tenant: &TenantId, parent: &JobId, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let query = Query::new(&self.table, "pk = :pk")
            .value(":pk", s(children_partition(tenant, parent)))
            .limit(limit)
            .consistent();
        let items = self.dynamo.query(query).await?.items;
        Ok(items.iter().filter_map(|item| text(item, "sk")?.parse().ok()).collect())
    }

    /// `child` has heard of the end of `parent`.
    pub async fn told(&self, tenant: &TenantId, parent: &JobId, child: &JobId) -> Result<(), StoreError> {
        let delete = Delete::new(&self.table, key(children_partition(tenant, parent), child.to_string()));
        Ok(self.dynamo.delete(delete).await?)
    }

    /// Takes `parent` off what `child` waits for, as it was read; the last one makes it ready at `ready_at`.
    /// [`StoreError::Stale`] when it was the last but one, and is the last now, or the child was changed otherwise.
    pub async fn unblock(&self, child: &Job, parent: &JobId, ready_at: Timestamp) -> Result<(), StoreError> {
        let at = job_key(&child.tenant_id, &child.id);
        let update = if child.waits_for.len() > 1 {
            // Others that end at the same time take themselves off as well, which is no reason to begin again.
            Update::new(&self.table, at, "SET revision = revision + :one DELETE waits_for :parents")
                .only_if("#phase = :waiting AND contains(waits_for, :parent) AND size(waits_for) > :one")
                .value(":parents", AttributeValue::Ss(vec![parent.to_string()]))
                .value(":parent", s(parent.to_string()))
        } else {
            let set =
                format!("SET ready_at = :ready_at, revision = revision + :one, {} REMOVE waits_for", Attention::SET);
            let update = Update::new(&self.table, at, set)
                .only_if("#phase = :waiting AND revision = :revision")
                .value(":ready_at", s(rfc3339_millis(ready_at)))
                .value(":revision", n(child.revision));
            Attention::ready(child, ready_at).values(update)
        };
        let update = update.name("#phase", "phase").value(":waiting", s("waiting")).value(":one", n(1));
        self.dynamo.update(update).await.map(drop).map_err(stale)
    }

    /// All have heard of the end of `job`: nobody has to look at it any more. A dead one takes its place among the dead.
    pub async fn family_told(&self, job: &Job) -> Result<(), StoreError> {
        let at = job_key(&job.tenant_id, &job.id);
        let update = if job.phase == Phase::Dead {
            let dead =
                "SET attention_pk = :dead, attention_sk = place_among_dead REMOVE has_children, place_among_dead";
            Update::new(&self.table, at, dead).value(":dead", s(dead_partition(&job.tenant_id, &job.queue)))
        } else {
            Update::new(&self.table, at, "REMOVE has_children, attention_pk, attention_sk")
        };
        let update = update
            .only_if("#phase = :phase AND begins_with(attention_pk, :sweep)")
            .name("#phase", "phase")
            .value(":phase", s(job.phase.as_str()))
            .value(":sweep", s("sweep#"));
        match self.dynamo.update(update).await.map_err(stale) {
            Ok(_) | Err(StoreError::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
