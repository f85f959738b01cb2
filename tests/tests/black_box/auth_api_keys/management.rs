//! Keys as they are listed, seen and edited.

use serde_json::{Value, json};
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::store::ApiKeyRecord;
use shared::random::Random;
use tests::{Tenant, identity};

use super::text;
use crate::own_tenant::{OwnTenant, column};

#[tokio::test]
async fn keys_are_listed_in_pages_renamed_and_seen_by_their_tenant_alone() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(tenant.api_key(&["links:read"]).await.1);
    }
    ids.sort();
    let (mut path, mut seen) = ("/v1/api-keys?limit=2".to_owned(), Vec::new());
    loop {
        let page = tenant.get(&tenant.owner, &path).await.expect(200);
        seen.extend(column(&page, "id"));
        let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
        path = format!("/v1/api-keys?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);
    let path = format!("/v1/api-keys/{}", ids[0]);
    for (method, body) in [("GET", None), ("PATCH", Some(json!({"name": "x"}))), ("DELETE", None)] {
        other.send(method, &path, &other.owner.access_token, body.as_ref()).await.problem(404, "not-found");
        tenant
            .send(method, "/v1/api-keys/key_", &tenant.owner.access_token, body.as_ref())
            .await
            .problem(404, "not-found");
    }
    let tag = tenant.get(&tenant.owner, &path).await.header("etag").to_owned();
    let rename = async |tag: &str, body: Value| {
        tenant.send_with("PATCH", &path, &tenant.owner.access_token, &[("if-match", tag)], Some(&body)).await
    };
    let renamed = rename(&tag, json!({"name": "Mobile app"})).await.expect(200);
    assert_eq!(text(&renamed.json(), "name"), "Mobile app");
    rename(&tag, json!({"name": "x"})).await.problem(412, "precondition-failed");
    rename("*", json!({"scopes": ["*"]})).await.problem(422, "validation");
    rename("*", json!({"name": null})).await.problem(422, "validation");
    assert_eq!(text(&tenant.see(&ids[0]).await, "name"), "Mobile app");
}

#[tokio::test]
async fn a_new_key_is_answered_as_it_is_kept() {
    let tenant = OwnTenant::new().await;
    let refill = json!({"amount": 3, "every_seconds": 60});
    let new = json!({"name": "x", "scopes": ["links:read"], "credits": {"amount": 3, "refill": refill}});
    let made = tenant.post(&tenant.owner, "/v1/api-keys", &new).await.expect(201);
    let path = format!("/v1/api-keys/{}", text(&made.json(), "id"));
    let kept = tenant.get(&tenant.owner, &path).await.expect(200);
    assert_eq!((made.header("etag"), &made.json()["credits"]), (kept.header("etag"), &kept.json()["credits"]));
}

#[tokio::test]
async fn a_key_that_was_made_elsewhere_is_found_by_its_id_and_revoked() {
    let tenant = Tenant::new().await;
    let key = ApiKey::generate(KeyMode::Live, shared::time::Clock::system().now(), &Random::system());
    Tenant::put_key(&ApiKeyRecord::new(&key, tenant.id, "First key", Scopes::parse("links:*"), "platform.keys")).await;
    let path = format!("/v1/api-keys/{}", key.id());
    assert!(column(&tenant.get("/v1/api-keys").await.expect(200), "id").is_empty());
    let seen = tenant.get(&path).await.expect(200).json();
    assert_eq!((text(&seen, "name"), text(&seen, "created_by")), ("First key", "platform.keys"));
    let new = tenant.post(&format!("{path}/rotate"), &json!({"overlap_seconds": 60})).await.expect(201).json();
    let listed = tenant.get("/v1/api-keys").await.expect(200);
    assert_eq!(column(&listed, "id").len(), 2);
    assert_eq!(text(&new, "name"), "First key");
    tenant.delete(&path).await.expect(204);
    assert!(identity().api_key_fresh(&key.id()).await.unwrap().unwrap().revoked_at.is_some());
    tenant.delete(&path).await.problem(404, "not-found");
    Tenant::new().await.get(&path).await.problem(404, "not-found");
}
