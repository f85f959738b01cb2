//! Lists by keyset: pages that cost the same however deep, with cursors that are opaque, signed, and bound to the
//! tenant and the query.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Uri};
use ring::hmac;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::extract::json_response;
use super::problem::{Problem, ProblemType};
use crate::id::TenantId;
use crate::identity::store::IdentityStore;

/// The size of a page: 1 to 200, 50 when the client does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// The number of rows.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Query parameters come as text.
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        match text.parse() {
            Ok(limit @ 1..=200) => Ok(Self(limit)),
            _ => Err(serde::de::Error::custom("out_of_range: is a whole number from 1 to 200")),
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Give it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
    /// How many rows there are on all pages: for an older version that tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    total: Option<u64>,
    #[serde(skip)]
    link: Option<HeaderValue>,
}

impl<T> Page<T> {
    /// A page of the list at `uri`, with the cursor of the next one.
    pub fn new(uri: &Uri, data: Vec<T>, next_cursor: Option<String>) -> Self {
        let link = next_cursor.as_deref().and_then(|cursor| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(parameters(uri).filter(|(name, _)| name != "cursor"))
                .append_pair("cursor", cursor)
                .finish();
            HeaderValue::try_from(format!("<{}?{query}>; rel=\"next\"", uri.path())).ok()
        });
        Self { data, has_more: next_cursor.is_some(), next_cursor, total: None, link }
    }

    /// A page of a list that was asked for by number, with the count of all rows.
    pub const fn numbered(data: Vec<T>, total: u64) -> Self {
        Self { data, has_more: false, next_cursor: None, total: Some(total), link: None }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        let mut response = json_response(&self);
        if let Some(link) = self.link {
            response.headers_mut().insert(http::header::LINK, link);
        }
        response
    }
}

fn parameters(uri: &Uri) -> impl Iterator<Item = (String, String)> + '_ {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned()
}

/// Where a page ended, as most cursors hold it: what is sealed must be read after a deploy as well.
#[derive(Serialize, Deserialize)]
struct Position<P> {
    after: P,
}

/// Signs and reads cursors with the installation's key, which is read once for each instance.
#[derive(Clone, Debug)]
pub struct Cursors {
    identity: IdentityStore,
    key: Arc<OnceCell<hmac::Key>>,
}

/// A SHA-256 tag cut to 128 bits (RFC 2104, section 5, allows half).
const TAG_LENGTH: usize = 16;

impl Cursors {
    /// Cursors signed by the key in `identity`.
    pub fn new(identity: IdentityStore) -> Self {
        Self { identity, key: Arc::default() }
    }

    async fn key(&self) -> Result<&hmac::Key, Problem> {
        self.key
            .get_or_try_init(|| async {
                let secret = self.identity.installation_secret().await?;
                Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret))
            })
            .await
    }

    /// Where the page starts that `cursor` asks for, as [`Self::page`] has sealed it: none for the first page.
    pub async fn start<P: DeserializeOwned>(
        &self,
        tenant: &TenantId,
        uri: &Uri,
        cursor: Option<&str>,
    ) -> Result<Option<P>, Problem> {
        let Some(cursor) = cursor else { return Ok(None) };
        let position: Position<P> = self.open(tenant, uri, cursor).await?;
        Ok(Some(position.after))
    }

    /// The page of the list at `uri` that the next one follows after `next`; none after the last.
    pub async fn page<T, P: Serialize>(
        &self,
        tenant: &TenantId,
        uri: &Uri,
        data: Vec<T>,
        next: Option<P>,
    ) -> Result<Page<T>, Problem> {
        let cursor = match next {
            Some(after) => Some(self.seal(tenant, uri, &Position { after }).await?),
            None => None,
        };
        Ok(Page::new(uri, data, cursor))
    }

    /// A cursor that stands at `position` in the list that `uri` asks for.
    pub async fn seal<P: Serialize>(&self, tenant: &TenantId, uri: &Uri, position: &P) -> Result<String, Problem> {
        let position = serde_json::to_vec(position).map_err(Problem::internal)?;
        let tag = hmac::sign(self.key().await?, &signed(tenant, uri, &position));
        let mut bytes = tag.as_ref().get(..TAG_LENGTH).unwrap_or_default().to_vec();
        bytes.extend_from_slice(&position);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Where `cursor` stands; 400 when it was altered or made for another tenant or query.
    pub async fn open<P: DeserializeOwned>(&self, tenant: &TenantId, uri: &Uri, cursor: &str) -> Result<P, Problem> {
        let invalid = || Problem::new(ProblemType::InvalidCursor, "start again without a cursor");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
        let (tag, position) = bytes.split_at_checked(TAG_LENGTH).ok_or_else(invalid)?;
        let expected = hmac::sign(self.key().await?, &signed(tenant, uri, position));
        let matches = expected
            .as_ref()
            .get(..TAG_LENGTH)
            .is_some_and(|expected| subtle::ConstantTimeEq::ct_eq(expected, tag).into());
        if !matches {
            return Err(invalid());
        }
        serde_json::from_slice(position).map_err(|_| invalid())
    }
}

/// What the tag covers: tenant, path, the query without cursor and limit (sorted), position.
fn signed(tenant: &TenantId, uri: &Uri, position: &[u8]) -> Vec<u8> {
    let mut query: Vec<_> = parameters(uri).filter(|(name, _)| name != "cursor" && name != "limit").collect();
    query.sort_unstable();
    let mut text = format!("{tenant}\n{}\n", uri.path());
    for (name, value) in query {
        let _ = writeln!(text, "{}:{name}={}:{value}", name.len(), value.len());
    }
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(position);
    bytes
}
