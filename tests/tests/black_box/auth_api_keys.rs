//! API keys: made, shown once, limited, rotated, revoked.

use auth::store::Counted;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::identity::Scopes;
use shared::identity::api_key::{ApiKey, KeyMode};
use shared::identity::store::ApiKeyRecord;
use shared::random::Random;
use shared::time::{SignedDuration, rfc3339_millis};
use tests::{
    Answer, Ask as _, Fault, FaultProxy, Instance, Tenant, anonymous, eventually, http_event, identity, stack,
};

use crate::own_tenant::{OwnTenant, accounts, column, statuses};
use crate::resources::items;

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
    tenant.delete(&tenant.owner, &path).await.problem(404, "not-found");
    tenant.rotate(&id, 0).await.problem(409, "conflict");
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
