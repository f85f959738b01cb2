//! `GET /v1/versions/usage`: who of the tenant still uses what is deprecated.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::civil::Date;
use serde::Serialize;
use shared::http::versions::usage::{Record, Used};
use shared::http::{Days, Document, Json, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use super::App;

/// The most days of one answer.
const MOST_DAYS: i32 = 92;

/// What the tenant's clients use that is deprecated.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VersionUsage, example = json!({
    "from": "2026-11-01", "to": "2026-11-30", "truncated": false,
    "clients": [{
        "client": "key_01k9z4n2y6e0qv3m8t5w7x9abc", "kind": "api_key", "requests": 4711,
        "uses": [{"deprecation": "notes-v1", "requests": 4711, "first_day": "2026-11-03", "last_day": "2026-11-30"}],
    }],
}))]
pub struct UsageView {
    /// The first day.
    #[schema(value_type = String, format = Date)]
    from: Date,
    /// The last.
    #[schema(value_type = String, format = Date)]
    to: Date,
    /// Whether there is more than was counted: ask for fewer days.
    truncated: bool,
    /// The clients, the one with the most uses first.
    clients: Vec<ClientUsage>,
}

/// What one client uses.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ClientVersionUsage)]
pub struct ClientUsage {
    /// The id of a user, an API key or an OAuth client.
    client: String,
    /// `user`, `api_key` or `client`. New kinds may come.
    kind: String,
    /// How many uses there were. A request that uses two deprecated things is two.
    requests: u64,
    /// Of what.
    uses: Vec<DeprecationUsage>,
}

/// How one deprecated thing is used.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DeprecationUsage)]
pub struct DeprecationUsage {
    /// Its name in `GET /v1/versions`.
    deprecation: &'static str,
    /// How many requests used it.
    requests: u64,
    /// The first day on which one did.
    #[schema(value_type = String, format = Date)]
    first_day: Date,
    /// The last.
    #[schema(value_type = String, format = Date)]
    last_day: Date,
}

/// Who still uses what is deprecated.
///
/// Requests are counted for each client and day in UTC, within seconds, and kept for 400 days.
#[utoipa::path(
    get, path = "/v1/versions/usage", operation_id = "get_version_usage", tag = "versions",
    params(Days),
    responses(
        (status = 200, description = "The usage", body = UsageView),
        (status = 422, description = "validation", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn usage(
    State(app): State<App>,
    caller: Caller<permission::ViewAudit>,
    Query(days): Query<Days>,
) -> Result<Json<UsageView>, Problem> {
    let (from, to) = days.between(MOST_DAYS, app.clock.now())?;
    let used = app.usage.between(&caller.tenant, from, to).await?;
    Ok(Json(UsageView::of(from, to, &used)))
}

impl UsageView {
    fn of(from: Date, to: Date, used: &Used) -> Self {
        let mut clients: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
        for record in &used.records {
            clients.entry(&record.client).or_default().push(record);
        }
        let mut clients: Vec<_> =
            clients.iter().filter_map(|(client, records)| ClientUsage::of(client, records)).collect();
        clients.sort_by_key(|client| std::cmp::Reverse(client.requests));
        Self { from, to, truncated: used.truncated, clients }
    }
}

impl ClientUsage {
    /// `records` are those of one client, the oldest first.
    fn of(client: &str, records: &[&Record]) -> Option<Self> {
        let mut uses: BTreeMap<&'static str, DeprecationUsage> = BTreeMap::new();
        for record in records {
            for (deprecation, requests) in &record.counts {
                let first = DeprecationUsage { deprecation, requests: 0, first_day: record.day, last_day: record.day };
                let all = uses.entry(deprecation).or_insert(first);
                all.requests += requests;
                all.last_day = record.day;
            }
        }
        let uses: Vec<_> = uses.into_values().collect();
        let kind = records.last()?.kind.clone();
        Some(Self { client: client.to_owned(), kind, requests: uses.iter().map(|all| all.requests).sum(), uses })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn days_are_added_up_for_each_client_the_busiest_first() {
        let record = |client: &str, day: &str, counts: &[(&'static str, u64)]| Record {
            client: client.to_owned(),
            kind: "api_key".to_owned(),
            day: day.parse().unwrap(),
            counts: counts.iter().copied().collect(),
        };
        let records = vec![
            record("key_a", "2026-11-01", &[("notes-v1", 2)]),
            record("key_b", "2026-11-01", &[("notes-v1", 40), ("notes-format-md", 1)]),
            record("key_a", "2026-11-03", &[("notes-v1", 3)]),
        ];
        let (from, to) = ("2026-11-01".parse().unwrap(), "2026-11-30".parse().unwrap());
        let view = UsageView::of(from, to, &Used { records, truncated: false });
        let told: Vec<_> = view.clients.iter().map(|all| (all.client.as_str(), all.requests, all.uses.len())).collect();
        assert_eq!(told, [("key_b", 41, 2), ("key_a", 5, 1)]);
        let a = &view.clients[1].uses[0];
        assert_eq!((a.requests, a.first_day, a.last_day), (5, from, "2026-11-03".parse().unwrap()));
    }
}
