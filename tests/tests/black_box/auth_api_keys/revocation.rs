//! The end of a key by revocation.

use http::Method;
use serde_json::json;
use tests::{Ask as _, anonymous, eventually};

use super::text;
use crate::own_tenant::{OwnTenant, column};

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_where_it_matters_and_everywhere_within_half_a_minute() {
    let tenant = OwnTenant::new().await;
    let (key, id) = tenant.api_key(&["*"]).await;
    let path = format!("/v1/api-keys/{id}");
    tenant.knock(&key).await.expect(200);
    tenant.delete(&tenant.owner, &path).await.expect(204);
    tenant.send("DELETE", &path, &key, None).await.problem(401, "unauthenticated");
    tenant.wait(30);
    tenant.knock(&key).await.problem(401, "unauthenticated");
    let seen = tenant.see(&id).await;
    assert_eq!(text(&seen, "status"), "revoked");
    assert!(seen["revoked_at"].is_string());
    assert_eq!(column(&tenant.get(&tenant.owner, "/v1/api-keys").await, "status"), ["revoked"]);
    // It is deleted as far as anything can be done to it, and stays to be read.
    tenant.delete(&tenant.owner, &path).await.problem(404, "not-found");
    tenant.rotate(&id, 0).await.problem(409, "conflict");
    for change in [json!({"name": "Other"}), json!({"api_version": "v2"}), json!({"name": text(&seen, "name")})] {
        tenant.patch(&tenant.owner, &path, &change).await.problem(409, "conflict");
    }
    assert_eq!(tenant.see(&id).await, seen);
    assert!(tenant.audit().await.contains(&("api_key.revoked".to_owned(), id)));
}

#[tokio::test]
async fn the_running_stack_refuses_a_revoked_key_on_every_service() {
    let tenant = OwnTenant::new().await;
    let ask = |method: Method, path: &str, credential: &str| anonymous(method, path).bearer_auth(credential);
    let body = json!({"name": "Website", "scopes": ["links:read"]});
    let made = ask(Method::POST, "/v1/api-keys", &tenant.owner.access_token).json(&body).answer().await.expect(201);
    let key = text(&made.json(), "api_key").to_owned();
    ask(Method::GET, "/v1/links", &key).answer().await.expect(200);
    ask(Method::DELETE, made.header("location"), &tenant.owner.access_token).answer().await.expect(204);
    eventually("the key to be refused", || async {
        (ask(Method::GET, "/v1/links", &key).answer().await.status == 401).then_some(())
    })
    .await;
}
