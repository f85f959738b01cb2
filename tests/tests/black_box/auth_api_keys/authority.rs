//! What a key that is made may, by who makes it.

use serde_json::{Value, json};
use shared::time::{SignedDuration, rfc3339_millis};

use super::text;
use crate::own_tenant::OwnTenant;

#[tokio::test]
async fn a_key_has_no_more_scopes_than_its_maker() {
    let tenant = OwnTenant::new().await;
    let (admin, member) = (tenant.member(&["admin"]).await, tenant.member(&["member"]).await);
    let (own_keys, _) = tenant.api_key(&["api_keys:write", "links:read"]).await;
    let make = async |credential: &str, scopes: Value| {
        let body = json!({"name": "x", "scopes": scopes});
        tenant.send("POST", "/v1/api-keys", credential, Some(&body)).await
    };
    for (credential, scopes) in [
        (&admin.access_token, json!(["*"])),
        (&admin.access_token, json!(["tenant:*"])),
        (&member.access_token, json!(["links:*"])),
        (&member.access_token, json!(["links:read", "users:manage"])),
        (&own_keys, json!(["links:write"])),
        (&own_keys, json!(["api_keys:*"])),
        (&own_keys, json!(["*"])),
    ] {
        make(credential, scopes).await.problem(403, "forbidden");
    }
    make(&admin.access_token, json!(["users:*", "links:*", "tenant:manage"])).await.expect(201);
    make(&member.access_token, json!(["links:read", "api_keys:*"])).await.expect(201);
    make(&own_keys, json!(["links:read"])).await.expect(201);
    make(&tenant.owner.access_token, json!(["*"])).await.expect(201);
}

/// Whoever finds a key that ends, that is bound to networks or that has so many requests left must not make another one of it
/// that is not.
#[tokio::test]
async fn a_key_makes_no_key_that_passes_its_own_limits() {
    let tenant = OwnTenant::new().await;
    let end = rfc3339_millis(tenant.clock.now() + SignedDuration::from_hours(24));
    let later = rfc3339_millis(tenant.clock.now() + SignedDuration::from_hours(48));
    let limited = async |limits: Value| {
        let mut body = json!({"name": "x", "scopes": ["links:read", "api_keys:write", "clients:manage"]});
        body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        tenant.make(&body).await.expect(201).json()
    };
    let by = async |maker: &Value, limits: Value| {
        let mut body = json!({"name": "y", "scopes": ["links:read"]});
        body.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
        tenant.send("POST", "/v1/api-keys", text(maker, "api_key"), Some(&body)).await
    };
    let ending = limited(json!({"expires_at": end})).await;
    let made = by(&ending, json!({})).await.expect(201).json();
    assert_eq!(made["expires_at"], ending["expires_at"], "without one it is its maker's");
    by(&ending, json!({"expires_at": end})).await.expect(201);
    by(&ending, json!({"expires_at": later})).await.problem(403, "forbidden");

    let bound = limited(json!({"allowed_networks": ["10.0.0.0/8"]})).await;
    let made = by(&bound, json!({})).await.expect(201).json();
    assert_eq!(made["allowed_networks"], bound["allowed_networks"], "likewise");
    by(&bound, json!({"allowed_networks": ["10.1.0.0/16"]})).await.expect(201);
    by(&bound, json!({"allowed_networks": ["0.0.0.0/0"]})).await.problem(403, "forbidden");

    let counted = limited(json!({"credits": {"amount": 9}})).await;
    for limits in [json!({}), json!({"credits": {"amount": 1}})] {
        by(&counted, limits).await.problem(403, "forbidden");
    }
    // An OAuth client has no such limits, so that none of them gives one.
    let client = json!({"name": "z", "scopes": ["links:read"]});
    for key in [&ending, &bound, &counted] {
        tenant.send("POST", "/v1/oauth-clients", text(key, "api_key"), Some(&client)).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn a_key_rotates_itself_and_no_key_that_passes_its_limits() {
    let tenant = OwnTenant::new().await;
    let scopes = ["links:read", "api_keys:write"];
    let end = rfc3339_millis(tenant.clock.now() + SignedDuration::from_hours(24));
    let rotate = async |by: &Value, id: &str| {
        let path = format!("/v1/api-keys/{id}/rotate");
        tenant.send("POST", &path, text(by, "api_key"), Some(&json!({"overlap_seconds": 60}))).await
    };
    let (_, plain) = tenant.api_key(&scopes).await;
    let limits =
        [json!({"expires_at": end}), json!({"allowed_networks": ["10.0.0.0/8"]}), json!({"credits": {"amount": 9}})];
    for limit in limits {
        let mut body = json!({"name": "x", "scopes": scopes});
        body.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
        let key = tenant.make(&body).await.expect(201).json();
        rotate(&key, &plain).await.problem(403, "forbidden");
        let itself = rotate(&key, text(&key, "id")).await;
        if key["credits"].is_null() {
            let new = itself.expect(201).json();
            assert_eq!((&new["expires_at"], &new["allowed_networks"]), (&key["expires_at"], &key["allowed_networks"]));
        } else {
            // Old and new would have the balance for the overlap, and so would their successors.
            itself.problem(403, "forbidden");
        }
    }
}
