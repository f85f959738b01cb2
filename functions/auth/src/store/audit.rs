//! The audit trail, read.

use shared::dynamo::{Query, s};
use shared::id::TenantId;
use shared::time::Timestamp;

use super::{AccountStore, Keyset, ListPage, WriteError};
use crate::audit::{Action, AuditId, AuditRecord};

/// Which records.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only of this action.
    pub action: Option<Action>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only of this time or later, to the millisecond.
    pub from: Option<Timestamp>,
    /// Only of before this time, to the millisecond.
    pub before: Option<Timestamp>,
}

impl AccountStore {
    /// One page of a tenant's audit trail, newest first.
    pub async fn audit_page(
        &self,
        tenant: &TenantId,
        filter: &AuditFilter,
        keyset: &Keyset,
    ) -> Result<ListPage<AuditRecord>, WriteError> {
        let pk = format!("{tenant}#audit");
        let from = filter.from.map_or(0, Timestamp::as_millisecond);
        let before = filter.before.map_or(i64::MAX, Timestamp::as_millisecond);
        if before <= from {
            return Ok(ListPage { rows: Vec::new(), next: None });
        }
        let mut query = Query::new(&self.table, "pk = :pk AND sk BETWEEN :from AND :before")
            .value(":pk", s(&pk))
            .value(":from", s(first_of(from)))
            .value(":before", s(first_of(before)))
            .descending();
        let mut filters = Vec::new();
        if let Some(action) = filter.action {
            filters.push("#action = :action");
            query = query.name("#action", "action").value(":action", s(action.as_str()));
        }
        if let Some(actor) = &filter.actor {
            filters.push("#actor = :actor");
            query = query.name("#actor", "actor").value(":actor", s(actor));
        }
        if !filters.is_empty() {
            query = query.filter(filters.join(" AND "));
        }
        self.page(&pk, query, !filters.is_empty(), keyset).await
    }
}

/// What sorts before the ids of a millisecond and after those of the one before: their first 48 bits are the time (RFC
/// 9562, section 5.7), and none has zeros alone after it.
fn first_of(millisecond: i64) -> String {
    const LAST: u128 = (1 << 48) - 1;
    let millisecond = u128::try_from(millisecond).unwrap_or(0).min(LAST);
    AuditId::from_uuid(uuid::Uuid::from_u128(millisecond << 80)).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use shared::random::Random;

    #[test]
    fn the_ids_of_a_millisecond_lie_between_its_bound_and_the_next() {
        for millisecond in [0, 1, 1_762_000_000_000, 4_102_444_800_000] {
            let id = AuditId::new(Timestamp::from_millisecond(millisecond).unwrap(), &Random::seeded(1)).to_string();
            assert!(first_of(millisecond) < id && id < first_of(millisecond + 1), "{id}");
        }
        assert!(first_of(-1) <= first_of(0) && first_of(i64::MAX).starts_with("audit_7"));
    }
}
