//! Schedules, their places in the index, and what came of their ticks.

use shared::dynamo::{Delete, Item, Lost, Put, Query, TransactWrite, Update, n, s, text};
use shared::id::TenantId;
use shared::time::{Timestamp, rfc3339_millis};

use super::attention::SHARDS;
use super::{ATTENTION, Along, Attention, InsertError, JobStore, Part, StoreError, item, key, read};
use crate::job::Job;
use crate::schedule::record::{Schedule, ScheduleId};
use crate::schedule::run::Run;

/// A run with its place.
#[derive(Debug)]
pub struct KeptRun {
    /// The run.
    pub run: Run,
    /// Its place among the runs of the schedule.
    pub place: String,
}

/// The most schedules of a tenant.
pub const MOST_SCHEDULES: u32 = 1000;

/// Schedules that are due.
#[derive(Debug)]
pub struct Due {
    /// Whose, and which.
    pub schedules: Vec<(TenantId, ScheduleId)>,
    /// Where the next page starts.
    pub next: Option<Item>,
}

fn schedule_sk(id: &ScheduleId) -> String {
    format!("schedule#{id}")
}

fn runs_partition(tenant: &TenantId, id: &ScheduleId) -> String {
    format!("{tenant}#runs#{id}")
}

fn due_partition(shard: u32) -> String {
    format!("schedule#{shard}")
}

/// A schedule as it is kept, with its place in the index.
fn schedule_item(schedule: &Schedule) -> Result<Item, StoreError> {
    let (tenant, id) = (&schedule.tenant_id, &schedule.id);
    let mut item = item(tenant.to_string(), schedule_sk(id), schedule)?;
    if let Some(next_at) = schedule.next_at {
        let shard = crc32fast::hash(id.uuid().as_bytes()) % SHARDS;
        let sk = format!("{}#{tenant}#{id}", rfc3339_millis(next_at));
        Attention { pk: due_partition(shard), sk }.put(&mut item);
    }
    Ok(item)
}

impl JobStore {
    /// A schedule.
    pub async fn schedule(&self, tenant: &TenantId, id: &ScheduleId) -> Result<Option<Schedule>, StoreError> {
        self.dynamo.get(&self.table, key(tenant.to_string(), schedule_sk(id)), true).await?.map(read).transpose()
    }

    /// Writes a new schedule; [`InsertError::Full`] when there are [`MOST_SCHEDULES`].
    pub async fn insert_schedule(&self, schedule: &Schedule, along: Along) -> Result<(), InsertError> {
        let put = self.schedule_put(schedule)?.only_if("attribute_not_exists(pk)");
        let count = self
            .count_schedules(&schedule.tenant_id, 1)
            .only_if("attribute_not_exists(held) OR held < :most")
            .value(":most", n(MOST_SCHEDULES));
        let key = along.idempotency.map(|write| (write, InsertError::KeyUsed));
        let writes = [
            (TransactWrite::Put(put), InsertError::Store(StoreError::Stale)),
            (TransactWrite::Update(count), InsertError::Full),
        ];
        let writes = key.into_iter().chain(writes).collect();
        self.dynamo.transact_or(writes).await.map_err(|lost| match lost {
            Lost::Condition(meaning, _) => meaning,
            Lost::Conflict => StoreError::Conflict.into(),
            Lost::Dynamo(error) => error.into(),
        })
    }

    /// The write that counts so many schedules more.
    fn count_schedules(&self, tenant: &TenantId, more: i64) -> Update {
        Update::new(&self.table, key(tenant.to_string(), "count#schedules"), "ADD held :more").value(":more", n(more))
    }

    /// Writes an edited schedule, when the record still has the revision before.
    pub async fn update_schedule(&self, schedule: &Schedule) -> Result<(), StoreError> {
        self.put_once(self.schedule_change(schedule)?, &schedule_item(schedule)?).await
    }

    /// Removes a schedule as it was read. Its jobs and the record of its runs stay.
    pub async fn delete_schedule(&self, schedule: &Schedule) -> Result<(), StoreError> {
        let delete = Delete::new(&self.table, key(schedule.tenant_id.to_string(), schedule_sk(&schedule.id)))
            .only_if("revision = :revision")
            .value(":revision", n(schedule.revision));
        let count = self.count_schedules(&schedule.tenant_id, -1);
        self.transact(vec![TransactWrite::Delete(delete), TransactWrite::Update(count)]).await
    }

    /// Writes what a tick comes to: the schedule after it, the run, and the job if there is one. All of it or nothing:
    /// when the schedule was changed since it was read, also by another scheduler, it is a stale write.
    pub async fn fire(
        &self,
        schedule: &Schedule,
        run: &Run,
        job: Option<&Job>,
        along: Along,
    ) -> Result<(), InsertError> {
        let mut kept = item(runs_partition(&schedule.tenant_id, &schedule.id), run.place(), run)?;
        kept.insert("removed_at".to_owned(), n(run.removed_at().as_second()));
        let mut writes = vec![self.schedule_change(schedule)?, Put::new(&self.table, kept)];
        if let Some(job) = job {
            writes.push(self.job_put(job)?);
        }
        self.write(along, writes.into_iter().map(TransactWrite::Put).collect()).await
    }

    fn schedule_put(&self, schedule: &Schedule) -> Result<Put, StoreError> {
        Ok(Put::new(&self.table, schedule_item(schedule)?))
    }

    fn schedule_change(&self, schedule: &Schedule) -> Result<Put, StoreError> {
        let put = self.schedule_put(schedule)?;
        Ok(put.only_if("revision = :before").value(":before", n(schedule.revision - 1)))
    }

    /// The tenant's schedules, the newest first, after one of them.
    pub async fn schedules(
        &self,
        tenant: &TenantId,
        after: Option<&ScheduleId>,
        limit: usize,
    ) -> Result<Part<Schedule>, StoreError> {
        let query = Query::new(&self.table, "pk = :pk AND begins_with(sk, :prefix)")
            .value(":pk", s(tenant.to_string()))
            .value(":prefix", s("schedule#"))
            .after(after.map(|id| key(tenant.to_string(), schedule_sk(id)).into()))
            .descending();
        self.part(query, limit).await
    }

    /// The schedules of one shard that have a tick up to `until`, the longest due first.
    pub async fn due_schedules(
        &self,
        shard: u32,
        until: Timestamp,
        start: Option<Item>,
        limit: usize,
    ) -> Result<Due, StoreError> {
        let query = Query::new(&self.table, "attention_pk = :pk AND attention_sk < :until")
            .index(ATTENTION)
            .value(":pk", s(due_partition(shard)))
            .value(":until", s(format!("{}$", rfc3339_millis(until))))
            .after(start)
            .limit(limit);
        let page = self.dynamo.query(query).await?;
        Ok(Due { schedules: page.items.iter().filter_map(found).collect(), next: page.next })
    }

    /// What came of a schedule's ticks, the newest first, after one of these places.
    pub async fn runs(
        &self,
        tenant: &TenantId,
        id: &ScheduleId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<KeptRun>, StoreError> {
        let pk = runs_partition(tenant, id);
        let query = Query::new(&self.table, "pk = :pk")
            .value(":pk", s(&pk))
            .after(after.map(|place| key(pk, place).into()))
            .descending()
            .limit(limit);
        let items = self.dynamo.query(query).await?.items;
        let kept =
            |item: Item| Ok(KeptRun { place: text(&item, "sk").unwrap_or_default().to_owned(), run: read(item)? });
        items.into_iter().map(kept).collect()
    }
}

/// The schedule of an item of the index: the index has the table's own key of it.
fn found(item: &Item) -> Option<(TenantId, ScheduleId)> {
    let tenant = text(item, "pk")?.parse().ok()?;
    Some((tenant, text(item, "sk")?.strip_prefix("schedule#")?.parse().ok()?))
}
