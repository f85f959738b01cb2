//! `GET` and `PUT /v2/links/blocklist`: the domains that the tenant's links may not lead to.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::http::{Document, ETag, Json, Preconditions, Problem, Tagged, race};
use shared::identity::{Caller, permission};
use utoipa::ToSchema;

use super::done;
use crate::app::App;
use crate::blocklist::{Blocklist, Domain};

/// The domains that the tenant's links may not lead to, each with all below it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"domains": ["gambling.example", "phishing.example"]}))]
pub struct Domains {
    /// At most 1,000.
    #[schema(value_type = Vec<Domain>, max_items = 1000)]
    domains: Blocklist,
}

/// The blocked domains.
#[utoipa::path(
    get, path = "/v2/links/blocklist", operation_id = "get_link_blocklist", tag = "links",
    params(("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, description = "The list", body = Domains, headers(("ETag" = String))),
        (status = 304, description = "It is as `If-None-Match` names it"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller<permission::ReadLinks>,
    conditions: Preconditions,
) -> Result<Tagged<Domains>, Problem> {
    let (domains, revision) = app.links.blocklist(&caller.tenant).await?;
    Ok(Tagged::unless_known(&conditions, ETag::of_version(revision), Domains { domains }))
}

/// Set the blocked domains.
///
/// They hold for links that are made, and for targets that are changed, from now on; links that are there stay.
#[utoipa::path(
    put, path = "/v2/links/blocklist", operation_id = "put_link_blocklist", tag = "links",
    params(("If-Match" = Option<String>, Header)),
    request_body(content = Domains, example = json!({"domains": ["malware.example", "zip"]})),
    responses(
        (status = 200, description = "The list as it is now", body = Domains, headers(("ETag" = String))),
        (status = 412, description = "precondition-failed: it has changed since it was read", body = Document, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn put(
    State(app): State<App>,
    caller: Caller<permission::ManageLinks>,
    conditions: Preconditions,
    Json(new): Json<Domains>,
) -> Result<Tagged<Domains>, Problem> {
    let revision = race(&app.random, async || {
        let (_, revision) = app.links.blocklist(&caller.tenant).await?;
        conditions.check(&ETag::of_version(revision))?;
        let written = app.links.put_blocklist(&caller.tenant, &new.domains, revision).await;
        Ok(done(written)?.then_some(revision + 1))
    })
    .await?;
    Ok(Tagged::new(ETag::of_version(revision), new))
}
