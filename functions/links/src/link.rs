//! The link: the record that everything else here is about.

use serde::{Deserialize, Serialize};
use shared::id::{Id, Kind, TenantId};
use shared::password_hash::PasswordHash;
use shared::time::Timestamp;

use crate::annotation::{Note, Tags, Title};
use crate::click_limit::ClickLimit;
use crate::redirect_status::RedirectStatus;
use crate::slug::Slug;
use crate::target::Target;

/// The kind of a link's id.
#[derive(Debug)]
pub enum LinkKind {}
impl Kind for LinkKind {
    const PREFIX: &'static str = "link";
}
/// The id of a link.
pub type LinkId = Id<LinkKind>;

/// A link as it is stored. It holds a password's hash: what a client sees is made from it, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Link {
    /// Which one.
    pub id: LinkId,
    /// Whose.
    pub tenant_id: TenantId,
    /// The last part of the short address. It never changes: it may be in print.
    pub slug: Slug,
    /// Where it leads.
    pub target: Target,
    /// How visitors are sent on.
    pub redirect_status: RedirectStatus,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// What its owner wants to remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whether it was put away.
    #[serde(default)]
    pub archived: bool,
    /// From when on it works.
    #[serde(default, alias = "not_before", skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// From when on it does not work any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The end that was told to the world: an edit must carry it over, so that no end is told twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_told: Option<Timestamp>,
    /// After how many clicks it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_clicks: Option<ClickLimit>,
    /// How many clicks of the limit are spent. Stays 0 while there is no limit. The redirect counts it up by itself,
    /// so that an edit must leave it alone.
    #[serde(default)]
    pub clicks_used: u64,
    /// The hash of its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<PasswordHash>,
    /// When it was made, to the millisecond.
    pub created_at: Timestamp,
    /// When it was last edited, to the millisecond.
    pub updated_at: Timestamp,
    /// Who made it: the subject of the principal.
    pub created_by: String,
    /// 1 when made, one more with each edit.
    pub revision: u64,
}

impl Link {
    /// What names this version of the link, for a strong entity tag: it differs whenever a field differs.
    pub fn version(&self) -> String {
        format!("{}-{}", self.revision, self.clicks_used)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use shared::random::Random;

    use super::*;

    /// A link with nothing but what it must have, made at the epoch.
    pub(crate) fn link() -> Link {
        let random = Random::seeded(1);
        let now = Timestamp::UNIX_EPOCH;
        Link {
            id: LinkId::new(now, &random),
            tenant_id: TenantId::new(now, &random),
            slug: Slug::random(&random),
            target: "https://example.com/".parse().unwrap(),
            redirect_status: RedirectStatus::default(),
            title: None,
            note: None,
            tags: Tags::default(),
            archived: false,
            starts_at: None,
            expires_at: None,
            expiry_told: None,
            max_clicks: None,
            clicks_used: 0,
            password_hash: None,
            created_at: now,
            updated_at: now,
            created_by: "user_1".to_owned(),
            revision: 1,
        }
    }

    #[test]
    fn a_link_reads_back() {
        let full = Link {
            title: Some("Title".to_owned().try_into().unwrap()),
            note: Some("Note".to_owned().try_into().unwrap()),
            tags: serde_json::from_str(r#"["a","b"]"#).unwrap(),
            archived: true,
            starts_at: Some(Timestamp::from_second(1).unwrap()),
            expires_at: Some(Timestamp::from_second(2).unwrap()),
            max_clicks: Some(5.try_into().unwrap()),
            clicks_used: 4,
            ..link()
        };
        for link in [full, link()] {
            let json = serde_json::to_value(&link).unwrap();
            assert_eq!(serde_json::from_value::<Link>(json).unwrap(), link);
        }
    }

    #[test]
    fn the_version_changes_with_every_click_of_the_limit() {
        let link = link();
        let clicked = Link { clicks_used: 1, ..link.clone() };
        let edited = Link { revision: 2, ..link.clone() };
        assert_eq!(link.version(), "1-0");
        assert_ne!(link.version(), clicked.version());
        assert_ne!(link.version(), edited.version());
    }
}
