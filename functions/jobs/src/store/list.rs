//! The tenant's jobs in the order in which they were made, and the dead ones of a queue.

use futures::future::try_join_all;
use shared::dynamo::{Item, Query, n, s, text};
use shared::id::TenantId;
use shared::time::{Timestamp, rfc3339_millis};

use super::attention::dead_partition;
use super::{ATTENTION, JobStore, PARTITIONS, StoreError, read};
use crate::job::{Job, JobId, Priority, State};
use crate::name::{JobType, QueueName, Tag};

/// The most reads of 1 MB in one partition for one page.
const MOST_READS: usize = 2;

/// Which jobs, in which order.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only of this queue.
    pub queue: Option<QueueName>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this type.
    pub kind: Option<JobType>,
    /// Only with this tag.
    pub tag: Option<Tag>,
    /// Only with this priority.
    pub priority: Option<Priority>,
    /// Only made at or after this time.
    pub created_from: Option<Timestamp>,
    /// Only made before this time.
    pub created_before: Option<Timestamp>,
    /// The oldest first.
    pub ascending: bool,
    /// After this job.
    pub after: Option<JobId>,
    /// At most so many.
    pub limit: usize,
}

/// A page of jobs. With a filter it can be short and still have a next one.
#[derive(Debug)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// The job after which the next page starts.
    pub next: Option<JobId>,
}

/// What was found in one partition, and how far it was read.
struct Partition {
    jobs: Vec<Job>,
    /// The last job that was looked at, when there may be more behind it.
    read_to: Option<JobId>,
}

impl JobStore {
    /// One page of the tenant's jobs. Each partition is read from the same place on; what lies beyond the end of the one
    /// that was read least is left for the next page.
    pub async fn list(&self, tenant: &TenantId, query: &ListQuery, now: Timestamp) -> Result<JobPage, StoreError> {
        let parts =
            try_join_all((0..PARTITIONS).map(|partition| self.partition(tenant, partition, query, now))).await?;
        let order = |left: &JobId, right: &JobId| if query.ascending { left.cmp(right) } else { right.cmp(left) };
        let frontier = parts.iter().filter_map(|part| part.read_to).min_by(|left, right| order(left, right));
        let mut jobs: Vec<Job> = parts.into_iter().flat_map(|part| part.jobs).collect();
        if let Some(frontier) = frontier {
            jobs.retain(|job| order(&job.id, &frontier).is_le());
        }
        jobs.sort_by(|left, right| order(&left.id, &right.id));
        let next = if jobs.len() > query.limit {
            jobs.truncate(query.limit);
            jobs.last().map(|job| job.id)
        } else {
            frontier
        };
        Ok(JobPage { jobs, next })
    }

    async fn partition(
        &self,
        tenant: &TenantId,
        partition: u32,
        query: &ListQuery,
        now: Timestamp,
    ) -> Result<Partition, StoreError> {
        let Some(keyed) = self.keyed(tenant, partition, query) else {
            return Ok(Partition { jobs: Vec::new(), read_to: None });
        };
        let base = filtered(keyed, query, now);
        let wanted = query.limit + 1;
        let (mut items, mut start): (Vec<Item>, Option<Item>) = (Vec::new(), None);
        for _ in 0..MOST_READS {
            let page = base.clone().after(start.take());
            let page = if is_filtered(query) { page } else { page.limit(wanted - items.len()) };
            let page = self.dynamo.query(page).await?;
            items.extend(page.items);
            start = page.next;
            if items.len() >= wanted || start.is_none() {
                break;
            }
        }
        let more = items.len() > wanted;
        items.truncate(wanted);
        let jobs: Vec<Job> = items.into_iter().map(read).collect::<Result<_, _>>()?;
        let read_to = if more { jobs.last().map(|job| job.id) } else { start.as_ref().and_then(id_of) };
        Ok(Partition { jobs, read_to })
    }

    /// The query by key: ids begin with the time, so that a range of times is a range of ids. None for an empty range.
    pub(super) fn keyed(&self, tenant: &TenantId, partition: u32, query: &ListQuery) -> Option<Query> {
        let at = |time: Timestamp| format!("job#{}", first_id(time));
        let mut low = query.created_from.map_or_else(|| "job#".to_owned(), at);
        let mut high = query.created_before.map_or_else(|| "job$".to_owned(), at);
        if let Some(after) = query.after {
            // What follows an id, or what it follows: ids have one length.
            if query.ascending {
                low = low.max(format!("job#{after}~"));
            } else {
                high = high.min(format!("job#{after}"));
            }
        }
        // BETWEEN takes both ends: the high one is an id that is not to be found again, or none at all.
        let high = below(&high);
        if low > high {
            return None;
        }
        let mut keyed = Query::new(&self.table, "pk = :pk AND sk BETWEEN :low AND :high")
            .value(":pk", s(format!("{tenant}#{partition}")))
            .value(":high", s(high))
            .value(":low", s(low));
        if !query.ascending {
            keyed = keyed.descending();
        }
        Some(keyed)
    }

    /// The dead jobs of a queue: the fingerprint, the time and the id of each, grouped by fingerprint. At most `most` of
    /// them, and whether there are more.
    pub async fn dead(
        &self,
        tenant: &TenantId,
        queue: &QueueName,
        fingerprint: Option<&str>,
        most: usize,
    ) -> Result<(Vec<Dead>, bool), StoreError> {
        let prefix = fingerprint.map_or_else(String::new, |print| format!("{print}#"));
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let query = Query::new(&self.table, "attention_pk = :pk AND begins_with(attention_sk, :prefix)");
            let query = if prefix.is_empty() {
                Query::new(&self.table, "attention_pk = :pk")
            } else {
                query.value(":prefix", s(&prefix))
            };
            let query = query
                .index(ATTENTION)
                .value(":pk", s(dead_partition(tenant, queue)))
                .after(start.take())
                .limit(most + 1 - found.len());
            let page = self.dynamo.query(query).await?;
            found.extend(page.items.iter().filter_map(dead));
            start = page.next;
            if found.len() > most || start.is_none() {
                break;
            }
        }
        let more = found.len() > most;
        found.truncate(most);
        Ok((found, more))
    }
}

/// A dead job, as its queue lists it.
#[derive(Clone, Debug)]
pub struct Dead {
    /// What the failure has in common with others.
    pub fingerprint: String,
    /// Since when.
    pub at: Timestamp,
    /// Which job.
    pub id: JobId,
}

fn dead(item: &Item) -> Option<Dead> {
    let mut parts = text(item, "attention_sk")?.split('#');
    Some(Dead {
        fingerprint: parts.next()?.to_owned(),
        at: parts.next()?.parse().ok()?,
        id: parts.next()?.parse().ok()?,
    })
}

pub(super) fn id_of(item: &Item) -> Option<JobId> {
    text(item, "sk")?.strip_prefix("job#")?.parse().ok()
}

/// The smallest id of a time.
fn first_id(at: Timestamp) -> JobId {
    let millis = u128::try_from(at.as_millisecond()).unwrap_or(0);
    JobId::from_uuid(uuid::Uuid::from_u128(millis << 80))
}

/// The largest key that is smaller than this one, among keys that end in a letter or digit of an id.
fn below(key: &str) -> String {
    let mut bytes = key.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last -= 1;
    }
    let shorter = String::from_utf8(bytes).unwrap_or_default();
    format!("{shorter}~")
}

const fn is_filtered(query: &ListQuery) -> bool {
    query.queue.is_some()
        || query.state.is_some()
        || query.kind.is_some()
        || query.tag.is_some()
        || query.priority.is_some()
}

fn filtered(query: Query, list: &ListQuery, now: Timestamp) -> Query {
    let mut conditions: Vec<&str> = Vec::new();
    let mut query = query;
    if let Some(queue) = &list.queue {
        conditions.push("#queue = :queue");
        query = query.name("#queue", "queue").value(":queue", s(queue.as_str()));
    }
    if let Some(kind) = &list.kind {
        conditions.push("#type = :type");
        query = query.name("#type", "type").value(":type", s(kind.as_str()));
    }
    if let Some(tag) = &list.tag {
        conditions.push("contains(#tags, :tag)");
        query = query.name("#tags", "tags").value(":tag", s(tag.as_str()));
    }
    if let Some(priority) = list.priority {
        conditions.push("#priority = :priority");
        let name = match priority {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        };
        query = query.name("#priority", "priority").value(":priority", s(name));
    }
    if let Some(state) = list.state {
        let (phase, more, by_time, attempts) = match state {
            State::Blocked => ("waiting", Some("attribute_exists(waits_for)"), false, false),
            State::Queued => ("waiting", Some("ready_at <= :now AND attribute_not_exists(waits_for)"), true, false),
            State::Scheduled => {
                ("waiting", Some("ready_at > :now AND attempt = :zero AND attribute_not_exists(waits_for)"), true, true)
            }
            State::Retrying => ("waiting", Some("ready_at > :now AND attempt > :zero"), true, true),
            State::Running => ("running", None, false, false),
            State::Succeeded => ("succeeded", None, false, false),
            State::Dead => ("dead", None, false, false),
            State::Cancelled => ("cancelled", None, false, false),
        };
        conditions.push("#phase = :phase");
        query = query.name("#phase", "phase").value(":phase", s(phase));
        if let Some(more) = more {
            conditions.push(more);
        }
        if by_time {
            query = query.value(":now", s(rfc3339_millis(now)));
        }
        if attempts {
            query = query.value(":zero", n(0));
        }
    }
    if conditions.is_empty() { query } else { query.filter(conditions.join(" AND ")) }
}
