//! Clicks: what the redirect tells the counting worker about one visit. It names the link, and of the visitor only what
//! [`Visitor`] keeps.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use shared::id::{Id, Kind, TenantId};
use shared::random::Random;
use shared::time::Timestamp;

use crate::link::{Link, LinkId};
use crate::visitor::{self, Country, Device, Referrer, Visitor};

/// The kind of a click's id.
#[derive(Debug)]
pub enum ClickKind {}
impl Kind for ClickKind {
    const PREFIX: &'static str = "click";
}
/// The id of a click: what makes counting idempotent.
pub type ClickId = Id<ClickKind>;

/// One visit, as a queue message. A field that is added later needs a default: messages of the version before are
/// still under way when a new one is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Click {
    /// Which one. A message that comes twice carries the same id.
    pub id: ClickId,
    /// Whose link.
    pub tenant_id: TenantId,
    /// Which link.
    pub link_id: LinkId,
    /// The day in UTC.
    pub day: Date,
    /// By what.
    pub kind: visitor::Kind,
    /// On which class of device.
    pub device: Device,
    /// From which host.
    pub referrer: Referrer,
    /// In which country, if known.
    pub country: Option<Country>,
}

impl Click {
    /// A visit of `link` by `visitor` at `now`.
    pub fn new(link: &Link, visitor: Visitor, now: Timestamp, random: &Random) -> Self {
        Self {
            id: ClickId::new(now, random),
            tenant_id: link.tenant_id,
            link_id: link.id,
            day: jiff::tz::Offset::UTC.to_datetime(now).date(),
            kind: visitor.kind,
            device: visitor.device,
            referrer: visitor.referrer,
            country: visitor.country,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::link::tests::link;

    #[test]
    fn a_click_reads_back_and_tells_nothing_personal() {
        let now: Timestamp = "2026-05-04T23:59:59.999Z".parse().unwrap();
        let visitor = Visitor::read(false, |name| match name {
            "user-agent" => Some("Mozilla/5.0 (X11; Linux x86_64) Secret-Browser/7"),
            "referer" => Some("https://news.example/secret?secret=1"),
            "cloudfront-viewer-country" => Some("AT"),
            "x-forwarded-for" => Some("203.0.113.7"),
            _ => None,
        });
        let click = Click::new(&link(), visitor, now, &Random::seeded(1));
        let json = serde_json::to_string(&click).unwrap();
        assert_eq!(serde_json::from_str::<Click>(&json).unwrap(), click);
        assert!(!json.to_lowercase().contains("secret") && !json.contains("203.0.113.7"), "{json}");
        assert_eq!(click.day.to_string(), "2026-05-04");
        assert_eq!(click.referrer.as_str(), "news.example");
        assert!(click.id.to_string().starts_with("click_"));
    }
}
