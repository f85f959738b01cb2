//! Lists of a tenant's links: one partition in the order of the ids, which is the order of their making.
//!
//! Filters are applied by DynamoDB after it has read. A page therefore reads at most [`MOST_READS`] times 1 MB; when
//! these have too few matches, the page is short and its cursor goes on from there.

use std::collections::HashMap;

use shared::dynamo::{Item, Query, key, n, s, text};
use shared::id::TenantId;
use shared::time::Timestamp;

use super::{LinkStore, WriteError, door_key, read, visited};
use crate::link::{Link, LinkId};

/// The most items that DynamoDB reads in one batch.
const MOST_IN_BATCH: usize = 100;

/// The most reads of 1 MB for one page.
const MOST_READS: usize = 4;

/// Which links, in which order.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only archived ones, or only others.
    pub archived: Option<bool>,
    /// Only made at or after.
    pub created_from: Option<Timestamp>,
    /// Only made before.
    pub created_before: Option<Timestamp>,
    /// Only those whose slug, title or target's host begins with this, in whatever case.
    pub search: Option<String>,
    /// Oldest first.
    pub ascending: bool,
    /// After this link.
    pub after: Option<LinkId>,
    /// At most so many.
    pub limit: usize,
}

/// A page of links.
#[derive(Debug)]
pub struct ListedPage {
    /// The links, with the counts of their click limits.
    pub links: Vec<Link>,
    /// Where the next page starts.
    pub next: Option<LinkId>,
}

/// Adds the attributes that only searching needs: copies in lower case, and the time as a number, because RFC 3339 texts
/// of different precision do not compare.
pub(super) fn add_search_attributes(item: &mut Item, link: &Link) {
    let (host, international) = (link.target.host(), link.target.international_host());
    item.insert("search_slug".to_owned(), s(link.slug.key()));
    item.insert("search_host".to_owned(), s(without_www(host)));
    if international != host {
        item.insert("search_international_host".to_owned(), s(without_www(&international)));
    }
    item.insert("search_created".to_owned(), n(link.created_at.as_millisecond()));
    if let Some(title) = &link.title {
        item.insert("search_title".to_owned(), s(lowered(title.as_str())));
    }
}

fn without_www(host: &str) -> &str {
    host.strip_prefix("www.").unwrap_or(host)
}

/// In lower case, character by character: the beginning of a word is the same whatever follows it, also before a final ς.
fn lowered(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl LinkStore {
    /// One page of a tenant's links.
    pub async fn list(&self, tenant: &TenantId, query: &ListQuery) -> Result<ListedPage, WriteError> {
        let mut links: Vec<Link> = Vec::new();
        let mut after = query.after.map(|id| start_key(tenant, &id));
        for _ in 0..MOST_READS {
            let wanted = query.limit + 1 - links.len();
            let page = self.dynamo.query(self.build(tenant, query, after.take(), wanted)).await?;
            for item in page.items {
                links.push(read(item)?);
            }
            after = page.next;
            if links.len() > query.limit || after.is_none() {
                break;
            }
        }
        let next = if links.len() > query.limit {
            links.truncate(query.limit);
            links.last().map(|link| link.id)
        } else {
            // More may lie beyond what was read.
            after.as_ref().and_then(id_of)
        };
        self.add_counts(&mut links).await?;
        Ok(ListedPage { links, next })
    }

    /// Sets the counts of the links that have a click limit: half a read unit for each.
    async fn add_counts(&self, links: &mut [Link]) -> Result<(), WriteError> {
        let slugs: Vec<_> =
            links.iter().filter(|link| link.max_clicks.is_some()).map(|link| link.slug.clone()).collect();
        let mut counts = HashMap::new();
        for slugs in slugs.chunks(MOST_IN_BATCH) {
            let doors = self.dynamo.batch_get(&self.table, slugs.iter().map(door_key).collect(), false).await?;
            for door in doors {
                if let Some(link) = visited(door)? {
                    counts.insert(link.id, link.clicks_used);
                }
            }
        }
        for link in links {
            link.clicks_used = counts.get(&link.id).copied().unwrap_or(link.clicks_used);
        }
        Ok(())
    }

    fn build(&self, tenant: &TenantId, query: &ListQuery, after: Option<Item>, wanted: usize) -> Query {
        let mut filters = Vec::new();
        let mut built = Query::new(&self.table, "pk = :tenant AND begins_with(sk, :links)")
            .value(":tenant", s(tenant.to_string()))
            .value(":links", s("link#"))
            .after(after);
        if let Some(tag) = &query.tag {
            filters.push("contains(tags, :tag)");
            built = built.value(":tag", s(tag));
        }
        if let Some(archived) = query.archived {
            filters.push("archived = :archived");
            built = built.value(":archived", shared::dynamo::AttributeValue::Bool(archived));
        }
        if let Some(from) = query.created_from {
            filters.push("search_created >= :from");
            built = built.value(":from", n(from.as_millisecond()));
        }
        if let Some(before) = query.created_before {
            filters.push("search_created < :before");
            built = built.value(":before", n(before.as_millisecond()));
        }
        if let Some(search) = &query.search {
            filters.push(
                "(begins_with(search_slug, :search) OR begins_with(search_title, :search) OR begins_with(search_host, :host)
                 OR begins_with(search_international_host, :host))",
            );
            let search = lowered(search);
            built = built.value(":host", s(without_www(&search))).value(":search", s(&search));
        }
        if !query.ascending {
            built = built.descending();
        }
        if filters.is_empty() {
            // Without a filter what is read is what is shown.
            built.limit(wanted)
        } else {
            built.filter(filters.join(" AND "))
        }
    }
}

fn start_key(tenant: &TenantId, id: &LinkId) -> Item {
    key(tenant.to_string(), format!("link#{id}")).into()
}

fn id_of(key: &Item) -> Option<LinkId> {
    text(key, "sk")?.strip_prefix("link#")?.parse().ok()
}
