//! `GET /v1/auth/social`: by which providers one can sign in.

use axum::extract::State;
use http::Uri;
use serde::Serialize;
use shared::http::{Document, Page};
use utoipa::ToSchema;

use super::Social;
use super::provider::{Kind, Provider};

/// A provider, as a log-in page shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderView {
    /// What it is called in paths.
    #[schema(example = "google")]
    pub name: String,
    /// How it is spoken to.
    pub kind: Kind,
}

impl ProviderView {
    /// What is shown of `provider`.
    pub fn of(provider: &Provider) -> Self {
        Self { name: provider.name.clone(), kind: provider.kind }
    }
}

/// List the providers.
///
/// Those by which one can sign in here, in the order of the configuration. There are 10 at most, so that the list has one
/// page.
#[utoipa::path(
    get, path = "/v1/auth/social", operation_id = "list_providers", tag = "auth",
    responses(
        (status = 200, description = "The providers", body = Page<ProviderView>, example = json!({
            "data": [{"name": "google", "kind": "oidc"}, {"name": "github", "kind": "github"}],
            "next_cursor": null, "has_more": false,
        })),
        (status = "default", description = "Any problem", body = Document, content_type = "application/problem+json"),
    ),
)]
pub async fn list(State(social): State<Social>, uri: Uri) -> Page<ProviderView> {
    Page::new(&uri, social.providers.iter().map(ProviderView::of).collect(), None)
}
