//! An OAuth client as the API shows it.

use serde::Serialize;
use shared::http::ETag;
use shared::time::Timestamp;
use utoipa::ToSchema;

use crate::oauth::client::{Client, GrantType, Proof};
use crate::oauth::keys::PublicKeys;
use crate::oauth::redirect_uri::RedirectUri;

/// An OAuth client.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OAuthClient, example = json!({
    "id": "client_01k9z4n2y6e0qv3m8t5w7x9abc", "name": "Nightly export", "scopes": ["links:read"],
    "token_endpoint_auth_method": "client_secret_basic", "previous_secret_expires_at": null, "jwks": null,
    "grant_types": ["client_credentials"], "redirect_uris": [],
    "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc", "created_at": "2026-05-04T09:30:00.000Z",
    "updated_at": "2026-05-04T09:30:00.000Z",
}))]
pub struct ClientView {
    /// The id: its `client_id`.
    #[schema(example = "client_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub id: String,
    /// What people call it.
    #[schema(example = "Nightly export")]
    pub name: String,
    /// What its tokens may do at most.
    #[schema(example = json!(["links:read"]))]
    pub scopes: Vec<String>,
    /// By what it gets tokens.
    pub grant_types: Vec<GrantType>,
    /// Where the browser is sent with its codes.
    #[schema(example = json!(["https://app.example.com/callback"]))]
    pub redirect_uris: Vec<RedirectUri>,
    /// How it proves itself: `client_secret_basic` (`client_secret_post` is taken too), `private_key_jwt`, or `none`.
    #[schema(example = "client_secret_basic")]
    pub token_endpoint_auth_method: &'static str,
    /// Until when the secret before the newest is good; null when there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis_or_null")]
    pub previous_secret_expires_at: Option<Timestamp>,
    /// Its public keys (RFC 7517); null when it has none.
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<PublicKeys>,
    /// Who made it.
    #[schema(example = "user_01k9z4n2y6e0qv3m8t5w7x9abc")]
    pub created_by: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "shared::time::millis")]
    pub updated_at: Timestamp,
}

/// A client with its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = OAuthClientWithSecret, example = json!({
    "client_secret": "tf_cs_XQ2m0vT5nB8cK1rY7dZ4wL9sH6fJ3gA0eU5iO2pQxR4", "id": "client_01k9z4n2y6e0qv3m8t5w7x9abc",
    "name": "Nightly export", "scopes": ["links:read"], "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["client_credentials"], "redirect_uris": [],
    "previous_secret_expires_at": null, "jwks": null, "created_by": "user_01k9z4n2y6e0qv3m8t5w7x9abc",
    "created_at": "2026-05-04T09:30:00.000Z", "updated_at": "2026-05-04T09:30:00.000Z",
}))]
pub(super) struct ClientWithSecret {
    /// The secret, shown this once; null for a client without one, and when the request is answered again.
    #[schema(example = "tf_cs_…")]
    pub client_secret: Option<String>,
    /// The client.
    #[serde(flatten)]
    pub client: ClientView,
}

impl ClientView {
    /// What is shown of `client`.
    pub fn of(client: &Client) -> Self {
        let (method, previous, keys) = match &client.proof {
            Proof::Secret { secrets } => {
                ("client_secret_basic", secrets.get(1).and_then(|secret| secret.expires_at), None)
            }
            Proof::PrivateKeyJwt { keys } => ("private_key_jwt", None, Some(keys.clone())),
            Proof::Public {} => ("none", None, None),
        };
        Self {
            id: client.id.to_string(),
            name: client.name.to_string(),
            scopes: client.scopes.iter().map(str::to_owned).collect(),
            grant_types: client.grant_types.clone(),
            redirect_uris: client.redirect_uris.clone(),
            token_endpoint_auth_method: method,
            previous_secret_expires_at: previous,
            jwks: keys,
            created_by: client.created_by.clone(),
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }

    /// The version of `client`.
    pub fn etag(client: &Client) -> ETag {
        ETag::of_version(format_args!("{}-{}", client.id, client.revision))
    }
}

impl ClientWithSecret {
    /// The same when the request is sent again: the secret is not kept.
    pub(super) fn again(&self) -> Self {
        Self { client_secret: None, client: self.client.clone() }
    }
}
