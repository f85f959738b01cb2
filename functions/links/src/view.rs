//! A link as clients see it.

use serde::Serialize;
use shared::http::ETag;
use shared::time::{Timestamp, rfc3339_millis};
use utoipa::ToSchema;

use crate::annotation::{Note, Tags, Title};
use crate::app::Base;
use crate::click_limit::ClickLimit;
use crate::link::{Link, LinkId};
use crate::redirect_status::RedirectStatus;
use crate::slug::Slug;
use crate::target::Target;
use crate::visit::Status;

/// A short link.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Link, example = json!({
    "id": "link_01k9z4n2y6e0qv3m8t5w7x9abc", "slug": "k7vq2mz", "short_url": "https://short.example/l/k7vq2mz",
    "target": "https://example.com/spring?from=letter", "redirect_status": 302, "status": "active",
    "title": "Spring sale", "note": null, "tags": ["spring"], "archived": false, "starts_at": null,
    "expires_at": "2026-06-01T00:00:00.000Z", "max_clicks": 500, "clicks_used": 12, "has_password": false,
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
    "created_by": "key_01k9z4n2y6e0qv3m8t5w7x9abc",
}))]
pub struct LinkView {
    /// Which one.
    #[schema(value_type = String, example = "link_01k9z4n2y6e0qv3m8t5w7x9abc")]
    id: LinkId,
    /// The last part of its address.
    slug: Slug,
    /// Its address.
    #[schema(example = "https://short.example/l/k7vq2mz")]
    short_url: String,
    /// Where it leads.
    target: Target,
    /// How visitors are sent on.
    redirect_status: RedirectStatus,
    /// Whether it works now, and if not, why. New states may come.
    status: Status,
    /// What it is called.
    title: Option<Title>,
    /// What to remember about it.
    note: Option<Note>,
    /// Words to find it by.
    tags: Tags,
    /// Whether it is put away.
    archived: bool,
    /// From when on it works.
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    /// From when on it does not work any more.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// After how many clicks it ends.
    max_clicks: Option<ClickLimit>,
    /// How many of these are spent; null without a limit.
    clicks_used: Option<u64>,
    /// Whether visitors must know a password.
    has_password: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last edited.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Who made it: the id of a user or an API key.
    created_by: String,
}

impl LinkView {
    /// `link` at `now`, under `base`.
    pub fn of(link: &Link, base: &Base, now: Timestamp) -> Self {
        Self {
            id: link.id,
            slug: link.slug.clone(),
            short_url: base.short_url(&link.slug),
            target: link.target.clone(),
            redirect_status: link.redirect_status,
            status: link.status(now),
            title: link.title.clone(),
            note: link.note.clone(),
            tags: link.tags.clone(),
            archived: link.archived,
            starts_at: link.starts_at.map(rfc3339_millis),
            expires_at: link.expires_at.map(rfc3339_millis),
            max_clicks: link.max_clicks,
            clicks_used: link.max_clicks.map(|_| link.clicks_used),
            has_password: link.password_hash.is_some(),
            created_at: rfc3339_millis(link.created_at),
            updated_at: rfc3339_millis(link.updated_at),
            created_by: link.created_by.clone(),
        }
    }
}

/// The entity tag of a link as it is shown at `now`: the status follows from the time, so it is part of it.
pub(crate) fn etag(link: &Link, now: Timestamp) -> ETag {
    ETag::of_version(format!("{}-{}", link.version(), link.status(now) as u8))
}

/// The path of a link in the API.
pub(crate) fn location(id: &LinkId) -> String {
    format!("/v2/links/{id}")
}
