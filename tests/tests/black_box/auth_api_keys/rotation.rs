//! A key and its successor.

use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::{SignedDuration, rfc3339_millis};

use super::text;
use crate::own_tenant::{OwnTenant, column, statuses};

#[tokio::test]
async fn a_rotated_key_and_its_successor_are_both_good_for_the_overlap() {
    let tenant = OwnTenant::new().await;
    let body = json!({"name": "Website", "scopes": ["links:read"], "mode": "test", "allowed_networks": ["10.0.0.0/8"]});
    let old = tenant.make(&body).await.expect(201).json();
    let answer = tenant.rotate(text(&old, "id"), 3_600).await.expect(201);
    let new = answer.json();
    assert_eq!(answer.header("location"), format!("/v1/api-keys/{}", text(&new, "id")));
    for name in ["name", "scopes", "mode", "allowed_networks", "expires_at"] {
        assert_eq!(new[name], old[name], "{name}");
    }
    assert!(text(&new, "api_key").starts_with("tf_test_") && new["api_key"] != old["api_key"]);
    for key in [&old, &new] {
        tenant.knock(text(key, "api_key")).await.expect(200);
    }
    tenant.wait(3_569);
    tenant.knock(text(&old, "api_key")).await.expect(200);
    tenant.wait(31);
    tenant.knock(text(&old, "api_key")).await.problem(401, "unauthenticated");
    tenant.knock(text(&new, "api_key")).await.expect(200);
    let owner = tenant.refreshed(&tenant.owner).await;
    let seen = tenant.get(&owner, &format!("/v1/api-keys/{}", text(&old, "id"))).await.expect(200).json();
    assert_eq!((&seen["status"], &seen["replaced_by"]), (&json!("expired"), &new["id"]));
    let trail = tenant.get(&owner, "/v1/audit?action=api_key.rotated").await.expect(200);
    assert_eq!(column(&trail, "target"), [text(&old, "id")]);
}

#[tokio::test]
async fn without_an_overlap_the_old_key_ends() {
    let tenant = OwnTenant::new().await;
    let (old, id) = tenant.api_key(&["*"]).await;
    tenant.knock(&old).await.expect(200);
    let new = tenant.rotate(&id, 0).await.expect(201).json();
    tenant.send("DELETE", "/v1/roles/none", &old, None).await.problem(401, "unauthenticated");
    tenant.wait(30);
    tenant.knock(&old).await.problem(401, "unauthenticated");
    tenant.knock(text(&new, "api_key")).await.expect(200);
}

#[tokio::test]
async fn a_key_is_rotated_once_and_by_nobody_who_may_do_less() {
    let (tenant, other) = (OwnTenant::new().await, OwnTenant::new().await);
    let (_, id) = tenant.api_key(&["*"]).await;
    let path = format!("/v1/api-keys/{id}/rotate");
    let member = tenant.member(&["member"]).await;
    let admin = tenant.member(&["admin"]).await;
    for (body, pointer) in [
        (json!({"overlap_seconds": 604_801}), "/overlap_seconds"),
        (json!({"overlap_seconds": -1}), "/overlap_seconds"),
        (json!({}), "/overlap_seconds"),
    ] {
        let problem = tenant.post(&tenant.owner, &path, &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let body = json!({"overlap_seconds": 60});
    // Whoever rotates a key holds its successor.
    for lesser in [&member, &admin] {
        tenant.post(lesser, &path, &body).await.problem(403, "forbidden");
    }
    other.post(&other.owner, &path, &body).await.problem(404, "not-found");
    let answers = join_all((0..4).map(|_| tenant.rotate(&id, 60))).await;
    assert_eq!(statuses(&answers), [201, 409, 409, 409]);
    let new = answers.iter().find(|answer| answer.status == 201).unwrap().json();
    assert_eq!(tenant.see(&id).await["replaced_by"], new["id"]);
    tenant.rotate(text(&new, "id"), 604_800).await.expect(201);
    assert_eq!(column(&tenant.get(&tenant.owner, "/v1/api-keys").await, "id").len(), 3);
}

#[tokio::test]
async fn a_rotation_that_is_asked_for_again_makes_no_second_successor() {
    let tenant = OwnTenant::new().await;
    let (_, id) = tenant.api_key(&["links:read"]).await;
    let ask = async || {
        let (owner, headers) = (&tenant.owner.access_token, [("idempotency-key", "once")]);
        let path = format!("/v1/api-keys/{id}/rotate");
        tenant.send_with("POST", &path, owner, &headers, Some(&json!({"overlap_seconds": 60}))).await.expect(201)
    };
    let (first, again) = (ask().await, ask().await);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!((&again.json()["id"], &again.json()["api_key"]), (&first.json()["id"], &Value::Null));
}

#[tokio::test]
async fn an_end_is_kept_to_and_not_moved_by_a_rotation() {
    let tenant = OwnTenant::new().await;
    let end = tenant.clock.now() + SignedDuration::from_secs(100);
    let body = json!({"name": "x", "scopes": ["links:read"], "expires_at": rfc3339_millis(end)});
    let old = tenant.make(&body).await.expect(201).json();
    let new = tenant.rotate(text(&old, "id"), 3_600).await.expect(201).json();
    assert_eq!(new["expires_at"], old["expires_at"]);
    assert_eq!(tenant.see(text(&old, "id")).await["expires_at"], old["expires_at"]);
    tenant.wait(98);
    tenant.knock(text(&new, "api_key")).await.expect(200);
    tenant.wait(2);
    for key in [&old, &new] {
        tenant.knock(text(key, "api_key")).await.problem(401, "unauthenticated");
        assert_eq!(text(&tenant.see(text(key, "id")).await, "status"), "expired");
    }
    tenant.rotate(text(&new, "id"), 0).await.problem(409, "conflict");
}
