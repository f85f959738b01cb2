//! API keys as they are made: shown once, whole or not at all, so many in a tenant.

use auth::store::Counted;
use futures::future::join_all;
use serde_json::{Value, json};
use shared::time::{SignedDuration, rfc3339_millis};
use tests::{Fault, FaultProxy, eventually, stack};

use super::text;
use crate::own_tenant::{OwnTenant, accounts, column, statuses};
use crate::resources::items;

#[tokio::test]
async fn a_key_works_at_once_and_is_shown_once() {
    let tenant = OwnTenant::new().await;
    let body = json!({"name": "Website", "scopes": ["links:write", "links:read"]});
    let answer = tenant.make(&body).await.expect(201);
    let made = answer.json();
    let (key, id) = (text(&made, "api_key"), text(&made, "id"));
    assert_eq!(answer.header("location"), format!("/v1/api-keys/{id}"));
    assert_eq!(
        (text(&made, "mode"), text(&made, "status"), text(&made, "created_by")),
        ("live", "active", &*tenant.owner.id)
    );
    assert_eq!(made["scopes"], json!(["links:read", "links:write"]));
    assert!(key.starts_with(text(&made, "prefix")) && key.starts_with("tf_live_"));
    tenant.knock(key).await.expect(200);
    tenant.send("GET", "/v1/users", key, None).await.problem(403, "forbidden");

    eventually("its use to be seen", || async { tenant.see(id).await["last_used_at"].as_str().map(drop) }).await;
    let listed = tenant.get(&tenant.owner, "/v1/api-keys").await.expect(200);
    assert_eq!(listed.json()["data"][0], tenant.see(id).await);
    for answer in [&listed, &tenant.get(&tenant.owner, answer.header("location")).await] {
        assert!(!String::from_utf8_lossy(&answer.body).contains(key));
        assert!(answer.json().get("api_key").is_none());
    }
    assert!(tenant.audit().await.contains(&("api_key.created".to_owned(), id.to_owned())));
}

#[tokio::test]
async fn a_key_that_is_asked_for_again_is_the_same_and_its_secret_is_not_told_again() {
    let tenant = OwnTenant::new().await;
    let body = json!({"name": "Website", "scopes": ["links:read"]});
    let ask = |body: Value| {
        let tenant = &tenant;
        async move {
            let headers = [("idempotency-key", "once")];
            let owner = &tenant.owner.access_token;
            tenant.send_with("POST", "/v1/api-keys", owner, &headers, Some(&body)).await
        }
    };
    let answers = join_all((0..5).map(|_| ask(body.clone()))).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).collect();
    assert_eq!((made.len(), statuses(&answers)), (1, vec![201; 5]));
    let key = text(&made[0].json(), "api_key").to_owned();
    for replayed in answers.iter().filter(|answer| answer.header("idempotency-replayed") == "true") {
        let replayed_body = replayed.json();
        assert_eq!((&replayed_body["id"], &replayed_body["api_key"]), (&made[0].json()["id"], &Value::Null));
        assert!(text(&replayed_body, "note").contains("rotate"));
        assert_eq!(replayed.header("location"), made[0].header("location"));
    }
    ask(json!({"name": "Another", "scopes": ["links:read"]})).await.problem(422, "idempotency-key-reused");
    assert_eq!(column(&tenant.get(&tenant.owner, "/v1/api-keys").await, "id").len(), 1);
    // It is in no table.
    for variable in ["IDEMPOTENCY_TABLE", "ACCOUNTS_TABLE", "IDENTITY_TABLE"] {
        let table = stack().environment("auth.users").unwrap().get(variable).unwrap().to_owned();
        assert!(!format!("{:?}", items(&table).await).contains(&key[40..]), "{variable}");
    }
}

#[tokio::test]
async fn bad_keys_are_refused_with_every_bad_field() {
    let tenant = OwnTenant::new().await;
    let past = rfc3339_millis(tenant.clock.now() - SignedDuration::from_secs(1));
    for (change, pointer) in [
        (json!({"scopes": null}), "/scopes"),
        (json!({"scopes": []}), "/scopes"),
        (json!({"scopes": ["links:fly"]}), "/scopes"),
        (json!({"scopes": "links:read"}), "/scopes"),
        (json!({"name": ""}), "/name"),
        (json!({"name": "a\u{0}"}), "/name"),
        (json!({"name": "x".repeat(1_000_000)}), "/name"),
        (json!({"mode": "production"}), "/mode"),
        (json!({"expires_at": past}), "/expires_at"),
        (json!({"expires_at": "tomorrow"}), "/expires_at"),
        (json!({"allowed_networks": ["203.0.113.0/24", "everywhere"]}), "/allowed_networks/1"),
        (json!({"allowed_networks": vec!["203.0.113.1"; 21]}), "/allowed_networks"),
        (json!({"credits": {"amount": 0}}), "/credits/amount"),
        (
            json!({"credits": {"amount": 1, "refill": {"amount": 1, "every_seconds": 0}}}),
            "/credits/refill/every_seconds",
        ),
        (json!({"credits": {"amount": -1}}), "/credits/amount"),
        (json!({"id": "key_1"}), "/id"),
    ] {
        let mut body = json!({"name": "Website", "scopes": ["links:read"]});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let problem = tenant.make(&body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{change}: {problem}");
    }
    tenant.make(&json!({"name": "Website"})).await.problem(422, "validation");
    assert!(column(&tenant.get(&tenant.owner, "/v1/api-keys").await, "id").is_empty());
}

#[tokio::test]
async fn a_tenant_has_five_hundred_keys_and_no_request_at_once_makes_more() {
    let tenant = OwnTenant::new().await;
    let many = accounts().counted_more(&tenant.id.parse().unwrap(), Counted::ApiKeys, 498);
    accounts().transact(vec![many]).await.unwrap();
    let body = json!({"name": "x", "scopes": ["links:read"]});
    let answers = join_all((0..4).map(|_| tenant.make(&body))).await;
    assert_eq!(statuses(&answers), [201, 201, 409, 409]);
    let ids = column(&tenant.get(&tenant.owner, "/v1/api-keys").await, "id");
    assert_eq!(ids.len(), 2);
    tenant.rotate(&ids[0], 0).await.problem(409, "conflict");
    let path = format!("/v1/api-keys/{}", ids[0]);
    let revoked = join_all((0..3).map(|_| tenant.delete(&tenant.owner, &path))).await;
    // Of several revocations one counts.
    assert_eq!(statuses(&revoked), [204, 404, 404]);
    tenant.make(&body).await.expect(201);
    tenant.make(&body).await.problem(409, "conflict");
}

#[tokio::test]
async fn a_key_is_made_whole_or_not_at_all() {
    let proxy = FaultProxy::start(|operation| (operation == "TransactWriteItems").then_some(Fault::ServerError)).await;
    let tenant = OwnTenant::with(|environment| environment.with("AWS_ENDPOINT_URL", proxy.url())).await;
    let body = json!({"name": "x", "scopes": ["links:read"]});
    let refused = tenant.make(&body).await;
    assert!(!refused.header("retry-after").is_empty());
    refused.problem(503, "unavailable");
    assert!(column(&tenant.get(&tenant.owner, "/v1/api-keys").await.expect(200), "id").is_empty());
}

#[tokio::test]
async fn a_key_goes_on_when_its_maker_is_gone() {
    let tenant = OwnTenant::new().await;
    let member = tenant.member(&["member"]).await;
    let body = json!({"name": "x", "scopes": ["links:read"]});
    let made = tenant.post(&member, "/v1/api-keys", &body).await.expect(201).json();
    tenant.delete(&tenant.owner, &member.path()).await.expect(204);
    tenant.wait(60);
    tenant.knock(text(&made, "api_key")).await.expect(200);
    assert_eq!(text(&tenant.see(text(&made, "id")).await, "created_by"), member.id);
}
