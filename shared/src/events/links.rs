//! What happens to links.

use serde::{Deserialize, Serialize};

use super::EventData;
use crate::time::Timestamp;

/// A link was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCreated {
    /// The link.
    pub link_id: String,
    /// Its slug.
    pub slug: String,
    /// Where it leads.
    pub target: String,
}

impl EventData for LinkCreated {
    const TYPE: &'static str = "link.created";
    const SOURCE: &'static str = "links";
}

/// A link's time ran out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkExpired {
    /// The link.
    pub link_id: String,
    /// Its slug.
    pub slug: String,
    /// When it expired.
    pub expired_at: Timestamp,
}

impl EventData for LinkExpired {
    const TYPE: &'static str = "link.expired";
    const SOURCE: &'static str = "links";
}
