//! `GET /v2/links/{id}/stats`: how often a link was followed, and from where.

use std::collections::BTreeMap;

use axum::extract::State;
use jiff::civil::Date;
use serde::Serialize;
use shared::http::{Days, Document, Json, Path, Problem, Query};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use crate::app::App;
use crate::link::LinkId;
use crate::store::counting::{MOST_REFERRERS, OTHER_REFERRERS};
use crate::store::counts::{Counts, DayCounts};
use crate::visitor::Referrer;

/// The most days of one answer.
const MOST_DAYS: i32 = 366;

/// How often a link was followed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "link_id": "link_01k9z4n2y6e0qv3m8t5w7x9abc", "total": {"clicks": 120, "bots": 31, "previews": 8},
    "from": "2026-05-01", "to": "2026-05-31", "days": [{"day": "2026-05-04", "clicks": 3, "bots": 1, "previews": 0}],
    "referrers": {"hosts": [{"host": "news.example", "clicks": 2}], "direct": 1, "other": 0}, "countries": {"AT": 3}, "devices": {"mobile": 2, "desktop": 1},
}))]
pub struct Stats {
    /// The link.
    #[schema(value_type = String)]
    link_id: LinkId,
    /// Since it was made.
    total: Counts,
    /// The first day of what follows.
    #[schema(value_type = String, format = Date)]
    from: Date,
    /// The last.
    #[schema(value_type = String, format = Date)]
    to: Date,
    /// The days on which there was a visit.
    days: Vec<Day>,
    /// Clicks by what led to the link.
    referrers: Referrers,
    /// Clicks by country (ISO 3166-1), where the deployment has a `CloudFront` distribution that tells.
    countries: BTreeMap<String, u64>,
    /// Clicks by class of device: desktop, mobile, tablet, tv, other.
    devices: BTreeMap<String, u64>,
}

/// Clicks by what led to a link.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Referrers {
    /// The hundred hosts with the most clicks, the most first.
    hosts: Vec<ReferringHost>,
    /// Clicks without a referring host.
    direct: u64,
    /// Clicks from other hosts: the rest, and what came past the hundredth host of a day.
    other: u64,
}

/// A host that led to a link.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReferringHost {
    /// Its name.
    host: String,
    /// The clicks.
    clicks: u64,
}

/// The visits of one day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Day {
    /// The day in UTC.
    #[schema(value_type = String, format = Date)]
    day: Date,
    /// The visits.
    #[serde(flatten)]
    counts: Counts,
}

/// How often a link was followed, and from where.
///
/// A visit is counted within seconds. Clicks are those of people; bots and previews are told apart.
#[utoipa::path(
    get, path = "/v2/links/{id}/stats", operation_id = "get_link_stats", tag = "links",
    params(("id" = String, Path, example = "link_01k9z4n2y6e0qv3m8t5w7x9abc"), Days),
    responses(
        (status = 200, description = "The counts", body = Stats),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn stats(
    State(app): State<App>,
    caller: Caller<permission::ReadLinks>,
    Path(id): Path<LinkId>,
    Query(days): Query<Days>,
) -> Result<Json<Stats>, Problem> {
    let (from, to) = days.between(MOST_DAYS, app.clock.now())?;
    let (link, total, days) = futures::future::try_join3(
        app.links.get(&caller.tenant, &id),
        app.links.total(&caller.tenant, &id),
        app.links.days(&caller.tenant, &id, from, to),
    )
    .await?;
    let link = link.ok_or_else(Problem::not_found)?;
    Ok(Json(Stats {
        link_id: link.id,
        total,
        from,
        to,
        referrers: Referrers::of(summed(&days, |day| &day.referrers)),
        countries: summed(&days, |day| &day.countries),
        devices: summed(&days, |day| &day.devices),
        days: days.iter().map(|day| Day { day: day.day, counts: day.counts }).collect(),
    }))
}

fn summed(days: &[DayCounts], part: impl Fn(&DayCounts) -> &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in days.iter().flat_map(part) {
        *sums.entry(name.clone()).or_default() += count;
    }
    sums
}

impl Referrers {
    /// The hosts with the most clicks. The rest is added up, or visitors could make the answer as long as they like.
    fn of(mut sums: BTreeMap<String, u64>) -> Self {
        let direct = sums.remove(Referrer::DIRECT).unwrap_or_default();
        let counted_together = sums.remove(OTHER_REFERRERS).unwrap_or_default();
        let mut hosts: Vec<_> = sums.into_iter().map(|(host, clicks)| ReferringHost { host, clicks }).collect();
        hosts.sort_by_key(|host| std::cmp::Reverse(host.clicks));
        let rest = hosts.split_off(hosts.len().min(MOST_REFERRERS));
        let other = counted_together + rest.iter().map(|host| host.clicks).sum::<u64>();
        Self { hosts, direct, other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_referrers_the_largest_are_told_and_none_is_lost() {
        let mut sums: BTreeMap<_, _> = (1..=150_u64).map(|count| (format!("h{count}.example"), count)).collect();
        sums.insert(Referrer::DIRECT.to_owned(), 1000);
        sums.insert(OTHER_REFERRERS.to_owned(), 7);
        let told = Referrers::of(sums);
        assert_eq!((told.hosts.len(), told.direct), (MOST_REFERRERS, 1000));
        assert_eq!(told.other, 7 + (1..=50).sum::<u64>());
        let first = told.hosts.first().map(|host| (host.host.as_str(), host.clicks));
        assert_eq!(first, Some(("h150.example", 150)));
        assert_eq!(told.hosts.iter().map(|host| host.clicks).min(), Some(51));
    }
}
