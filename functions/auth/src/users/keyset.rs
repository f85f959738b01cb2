//! From a list's `cursor` and `limit` to where its page starts, and back.

use http::Uri;
use serde::{Deserialize, Serialize};
use shared::http::{Limit, Problem};
use shared::id::TenantId;

use crate::app::Core;
use crate::store::Keyset;

/// Where a page ended.
#[derive(Serialize, Deserialize)]
struct Position {
    after: String,
}

impl Core {
    /// Where the page that `cursor` asks for starts.
    pub(crate) async fn keyset(
        &self,
        tenant: &TenantId,
        uri: &Uri,
        cursor: Option<&str>,
        limit: Limit,
    ) -> Result<Keyset, Problem> {
        let after = match cursor {
            Some(cursor) => Some(self.cursors.open::<Position>(tenant, uri, cursor).await?.after),
            None => None,
        };
        Ok(Keyset { after, limit: limit.get() })
    }

    /// The cursor of the page after the one that ended at `next`.
    pub(crate) async fn cursor(
        &self,
        tenant: &TenantId,
        uri: &Uri,
        next: Option<String>,
    ) -> Result<Option<String>, Problem> {
        match next {
            Some(after) => self.cursors.seal(tenant, uri, &Position { after }).await.map(Some),
            None => Ok(None),
        }
    }
}
