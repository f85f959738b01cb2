//! API keys: made, shown once, limited, rotated, revoked.

mod authority;
mod limits;
mod making;
mod management;
mod revocation;
mod rotation;

use serde_json::{Value, json};
use tests::Answer;

use crate::own_tenant::OwnTenant;

impl OwnTenant {
    /// Makes a key, as the owner.
    async fn make(&self, body: &Value) -> Answer {
        self.post(&self.owner, "/v1/api-keys", body).await
    }

    async fn see(&self, id: &str) -> Value {
        self.get(&self.owner, &format!("/v1/api-keys/{id}")).await.expect(200).json()
    }

    async fn rotate(&self, id: &str, overlap_seconds: u32) -> Answer {
        let body = json!({"overlap_seconds": overlap_seconds});
        self.post(&self.owner, &format!("/v1/api-keys/{id}/rotate"), &body).await
    }

    /// What a key gets from another service.
    async fn knock(&self, key: &str) -> Answer {
        self.send("GET", "/v1/links", key, None).await
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}
