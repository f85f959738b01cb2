//! Where from and how often a key is good.

use serde_json::json;
use tests::{Instance, http_event};

use super::text;
use crate::own_tenant::OwnTenant;

#[tokio::test]
async fn a_key_is_good_from_its_networks_alone() {
    let tenant = OwnTenant::new().await;
    let body = json!({"name": "x", "scopes": ["links:read"], "allowed_networks": ["203.0.113.9/24", "2001:db8::1"]});
    let made = tenant.make(&body).await.expect(201).json();
    assert_eq!(made["allowed_networks"], json!(["203.0.113.0/24", "2001:db8::1/128"]));
    let links = Instance::of(&links::SERVICE, "links.api").await;
    for (address, status) in [("203.0.113.77", 200), ("2001:db8::1", 200), ("203.0.114.1", 403), ("2001:db8::2", 403)] {
        let mut event = http_event("GET", "/v1/links", &[("x-api-key", text(&made, "api_key"))], None);
        event["requestContext"]["http"]["sourceIp"] = json!(address);
        let answer = links.http_in(&event, lambda_runtime::Context::default()).await;
        assert_eq!(answer.status, status, "{address}");
    }
}

#[tokio::test]
async fn credits_are_used_by_requests_and_seen() {
    let tenant = OwnTenant::new().await;
    let credits = json!({"amount": 2, "refill": {"amount": 3, "every_seconds": 600}});
    let body = json!({"name": "x", "scopes": ["links:read"], "credits": credits});
    let made = tenant.make(&body).await.expect(201).json();
    let (key, id) = (text(&made, "api_key"), text(&made, "id"));
    assert_eq!(made["credits"]["remaining"], 2);
    for left in [1, 0] {
        tenant.knock(key).await.expect(200);
        assert_eq!(tenant.see(id).await["credits"]["remaining"], left);
    }
    let refused = tenant.knock(key).await;
    assert!(!refused.header("retry-after").is_empty());
    refused.problem(429, "credits-exhausted");
    // Its successor begins with what it has.
    let new = tenant.rotate(id, 3_600).await.expect(201).json();
    assert_eq!(new["credits"]["remaining"], 0);
    tenant.knock(text(&new, "api_key")).await.problem(429, "credits-exhausted");
    tenant.wait(600);
    let owner = tenant.refreshed(&tenant.owner).await;
    let listed = tenant.get(&owner, "/v1/api-keys").await.expect(200).json();
    assert_eq!(listed["data"][1]["credits"]["remaining"], 3);
    tenant.knock(text(&new, "api_key")).await.expect(200);
}
