//! From a list's `cursor` and `limit` to where its page starts.

use http::Uri;
use shared::http::{Limit, Problem};
use shared::id::TenantId;

use crate::app::Core;
use crate::store::Keyset;

impl Core {
    /// Where the page that `cursor` asks for starts.
    pub(crate) async fn keyset(
        &self,
        tenant: &TenantId,
        uri: &Uri,
        cursor: Option<&str>,
        limit: Limit,
    ) -> Result<Keyset, Problem> {
        Ok(Keyset { after: self.cursors.start(tenant, uri, cursor).await?, limit: limit.get() })
    }
}
