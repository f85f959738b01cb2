//! `links.export`: what the export of a tenant has of links. See [`shared::export`].
//!
//! # Calls
//! For a hundred links: a read of their page, one of the counts of click limits, and one read of the counts of each link.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::dynamo::Dynamo;
use shared::events::export::LINKS;
use shared::export::{Exporter, PartWriter, Source, Step};
use shared::id::TenantId;
use shared::lambda::{Function, QueueSettings, Runtime};
use shared::time::Clock;
use shared::{BoxError, BoxFuture};
use url::Url;

use crate::app::Base;
use crate::blocklist::Domain;
use crate::link::{Link, LinkId};
use crate::store::counts::{Counted, Counts, DayCounts};
use crate::store::{LinkStore, ListQuery};
use crate::view::LinkView;

/// Links that are read at once.
const PAGE: usize = 100;

/// Links whose counts are read at the same time: each read is of 1 MB at most.
const CONCURRENCY: usize = 8;

/// How long a message stays invisible without a sign of life.
const LEASE: Duration = Duration::from_mins(1);

struct Links {
    store: LinkStore,
    /// None where the deployment does not know its own address.
    base: Option<Base>,
    clock: Clock,
}

/// A link with what its clicks add up to. Where the deployment does not know its own address, it is without `short_url`.
#[derive(Serialize)]
struct LinkRecord {
    #[serde(flatten)]
    link: Map<String, Value>,
    counts: Counts,
}

/// The clicks of a link on one day in UTC.
#[derive(Serialize)]
struct DayRecord {
    link_id: LinkId,
    day: String,
    #[serde(flatten)]
    counts: Counts,
    referrers: BTreeMap<String, u64>,
    countries: BTreeMap<String, u64>,
    devices: BTreeMap<String, u64>,
}

/// A domain to which no link may lead.
#[derive(Serialize)]
struct DomainRecord<'a> {
    domain: &'a Domain,
}

impl Links {
    async fn write_links(
        &self,
        tenant: &TenantId,
        after: Option<LinkId>,
        files: &mut PartWriter,
    ) -> Result<Option<LinkId>, BoxError> {
        let query = ListQuery { ascending: true, limit: PAGE, after, ..ListQuery::default() };
        let page = self.store.list(tenant, &query).await?;
        let reads: Vec<_> = page.links.into_iter().map(|link| self.with_counts(tenant, link)).collect();
        let mut read = stream::iter(reads).buffered(CONCURRENCY);
        while let Some(read) = read.next().await {
            let (link, counted) = read?;
            let counts = self.write_days(tenant, link.id, counted, files).await?;
            files.write("links", &LinkRecord { link: self.shown(&link)?, counts }).await?;
        }
        Ok(page.next)
    }

    /// What clients see of a link.
    fn shown(&self, link: &Link) -> Result<Map<String, Value>, BoxError> {
        let nowhere = || Url::parse("https://unknown.invalid/l/").map(Base);
        let base = self.base.clone().map_or_else(nowhere, Ok)?;
        let shown = serde_json::to_value(LinkView::of(link, &base, self.clock.now()))?;
        let Value::Object(mut shown) = shown else { return Err("a link is shown as an object".into()) };
        if self.base.is_none() {
            shown.shift_remove("short_url");
        }
        Ok(shown)
    }

    /// A link with the first part of its counts.
    fn with_counts<'a>(&'a self, tenant: &'a TenantId, link: Link) -> BoxFuture<'a, Result<(Link, Counted), BoxError>> {
        Box::pin(async move {
            let counted = self.store.counted(tenant, &link.id, None).await?;
            Ok((link, counted))
        })
    }

    /// Writes the days of a link; answers the sum.
    async fn write_days(
        &self,
        tenant: &TenantId,
        link_id: LinkId,
        mut counted: Counted,
        files: &mut PartWriter,
    ) -> Result<Counts, BoxError> {
        loop {
            for DayCounts { day, counts, referrers, countries, devices } in counted.days {
                let day = day.to_string();
                let record = DayRecord { link_id, day, counts, referrers, countries, devices };
                files.write("link_days", &record).await?;
            }
            // The sum comes after the last day.
            let Some(next) = counted.next else { return Ok(counted.total.unwrap_or_default()) };
            counted = self.store.counted(tenant, &link_id, Some(next)).await?;
        }
    }
}

impl Source for Links {
    const PART: &'static str = LINKS;

    fn steps(&self) -> &'static [Step] {
        &[
            Step { name: "links", files: &["links", "link_days"] },
            Step { name: "link_blocklist", files: &["link_blocklist"] },
        ]
    }

    async fn page(
        &self,
        tenant: &TenantId,
        step: &'static str,
        after: Option<String>,
        files: &mut PartWriter,
    ) -> Result<Option<String>, BoxError> {
        if step == "links" {
            let after = after.map(|after| after.parse()).transpose()?;
            return Ok(self.write_links(tenant, after, files).await?.map(|next| next.to_string()));
        }
        let (blocklist, _) = self.store.blocklist(tenant).await?;
        for domain in blocklist.domains() {
            files.write("link_blocklist", &DomainRecord { domain }).await?;
        }
        Ok(None)
    }
}

pub(crate) fn function(runtime: Runtime) -> BoxFuture<'static, Result<Function, BoxError>> {
    Box::pin(async move {
        let mut reader = runtime.environment.reader();
        let table: String = reader.required("LINKS_TABLE");
        let public_url: Option<Url> = reader.optional("PUBLIC_URL");
        reader.finish()?;
        let settings = QueueSettings::read(&runtime.environment, "EXPORT")?.with_lease(LEASE);
        let links = Links {
            store: LinkStore::new(Dynamo::new(runtime.aws.dynamo.clone()), table),
            base: public_url.map(|url| url.join("/l/").map(Base)).transpose()?,
            clock: runtime.clock.clone(),
        };
        let exporter = Exporter::new(&runtime, links)?;
        Ok(Function::queue(&runtime, settings, exporter))
    })
}
